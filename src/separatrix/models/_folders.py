"""Folders of model files as Hugging Face libraries write them: found or fetched, and looked at before any is loaded.

Only safetensors and JSON are fetched and read. A folder may come from anyone: nothing in it is executed, names in it
do not lead out of it, and what a library would silently fill with random weights is refused.
"""

from __future__ import annotations

import logging
import math
import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import cached_property
from io import StringIO
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from separatrix.errors import FileError, InputError, SeparatrixError, first_line
from separatrix.models._weights import listed

_HUB = re.compile(r"hf:(?P<name>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?(?:#(?P<subfolder>[\w./-]+))?")
_CONVERT = 'load it where you trust it and write it again with model.save_pretrained("folder", safe_serialization=True)'
# Buffers that older versions of the libraries wrote down and newer ones compute: they hold nothing that was learnt.
_COMPUTED = re.compile(r"(^|\.)(position_ids|(rotary|rope)\w*(\.\w+)*\.inv_freq|(attn|attention)\.(bias|masked_bias))$")
_MOST_LAYERS = 2000
_SMALL = 2**20  # a size up to this is harmless, whatever the weights
_DEPTHS = re.compile(r"layers?(_per_block)?$|blocks?$|depths?$|n_layer$")
_SIZES = re.compile(r"size$|dim$|channels$|heads$|width$|embd$|inner$|d_model$|patches$")
_LAYERS = ("num_hidden_layers", "n_layer")  # what transformers calls the number of layers


@dataclass(frozen=True)
class ModelFolder:
    """A folder with a model's files.

    Attributes:
        path: where it lies.
        origin: the spec it was found by.
        revision: the hub's commit, None for folders of the user.
    """

    path: Path
    origin: str
    revision: str | None = None

    @cached_property
    def config(self) -> dict[str, Any]:
        """``config.json``, empty if there is none."""
        return self.read_json("config.json") if (self.path / "config.json").is_file() else {}

    @property
    def model_type(self) -> str:
        """transformers' word for the architecture, empty where there is none."""
        return str(self.config.get("model_type", ""))

    @property
    def architectures(self) -> tuple[str, ...]:
        """Class names in a transformers config."""
        named = self.config.get("architectures")
        return tuple(map(str, named)) if isinstance(named, list) else ()

    @property
    def diffusers_class(self) -> str:
        """Class name in a diffusers config, empty where there is none."""
        return str(self.config.get("_class_name", ""))

    def has(self, *names: str) -> bool:
        """Tell whether all these files are there."""
        return all((self.path / name).is_file() for name in names)

    def read_json(self, name: str) -> dict[str, Any]:
        """A JSON object from a file of the folder.

        Raises:
            FileError: it is missing, damaged, huge or no object.
        """
        from separatrix.storage._records import foreign_json, read_bounded

        path, remedy = self.path / name, "copy or download the whole folder"
        try:
            content = foreign_json(read_bounded(path, remedy), str(path))
        except FileNotFoundError as error:
            raise FileError(f"{path} cannot be read ({error.strerror}); {remedy}.") from error
        if not isinstance(content, dict):
            raise FileError(f"{path} holds a {type(content).__name__}, not an object; copy or download it again.")
        return content

    def words(self) -> str:
        """Return what it is, for a sentence about a folder that nobody recognises."""
        if self.diffusers_class:
            return f"holds a {self.diffusers_class}"
        if self.model_type or self.architectures:
            return f"holds a {' or '.join(self.architectures) or self.model_type}"
        if self.has("model_index.json"):
            return "holds a whole pipeline"
        return "holds no config.json that names a model"

    def remedy(self) -> str:
        """Say what to do about it."""
        if self.has("model_index.json"):
            hub = "#vae" if self.origin.startswith("hf:") else "/vae"
            return f"name the autoencoder in it, such as {self.origin}{hub}"
        return "write a factory for it and give path/to/file.py:factory"


def find_folder(spec: str) -> ModelFolder:
    """The folder of a spec: ``hf:org/name@revision#subfolder`` from the hub or its cache, else a directory.

    From the hub only ``*.safetensors`` and ``*.json`` are fetched, and the commit is recorded, whatever name the revision
    was given by.

    Raises:
        InputError: the spec is malformed, or huggingface_hub is not installed.
        FileError: there is no such directory, repository, revision or subfolder.
    """
    if not spec.startswith("hf:"):
        path = Path(spec)
        if not os.path.isdir(path):
            raise FileError(f"{spec} is no folder; check the path (the current directory is {Path.cwd()}).")
        return ModelFolder(path, spec)
    parts = _HUB.fullmatch(spec)
    if parts is None or ".." in spec:
        raise InputError(f"{spec!r} is no model of the hub; write hf:org/name, hf:org/name@revision#subfolder.")
    inside = parts["subfolder"] or ""
    root = Path(_fetched(parts["name"], parts["revision"], inside, spec))
    folder = root / inside
    if not folder.is_dir():
        raise FileError(f"{spec} has no subfolder {inside!r} with safetensors or JSON files; check its name.")
    return ModelFolder(folder, spec, revision=root.name)


def _fetched(name: str, revision: str | None, inside: str, spec: str) -> str:
    with optional("huggingface_hub", "transformers"):
        from huggingface_hub import snapshot_download
    prefix = f"{inside}/" if inside else ""
    try:
        return snapshot_download(
            name, revision=revision, allow_patterns=[f"{prefix}*.safetensors", f"{prefix}*.json"], max_workers=4
        )
    # The client raises errors of several HTTP libraries; each of them means that the files are not to be had.
    except Exception as error:
        raise FileError(
            f"{spec} could not be fetched ({type(error).__name__}: {first_line(error)}); check the name and the "
            "connection, or download the folder and give its path."
        ) from error


@contextmanager
def optional(package: str, extra: str | None) -> Iterator[None]:
    """Around the import of a package that is an extra, or in none (None): one sentence if it is missing."""
    try:
        yield
    except ImportError as error:
        install = package if extra is None else f'"separatrix[{extra}]"'
        raise InputError(
            f"This model needs {package} ({first_line(error)}); install it with pip install {install}."
        ) from error


@contextmanager
def one_sentence(folder: ModelFolder, what: str) -> Iterator[None]:
    """Around everything that a family makes of a folder: valid JSON can still hold any value anywhere.

    What is raised on purpose is kept; the rest becomes a FileError that names the folder.
    """
    try:
        yield
    except SeparatrixError:
        raise
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise FileError(
            f"{folder.origin} cannot be used as a {what} ({type(error).__name__}: {telling_line(error)}); check the values "
            "in its JSON files, or copy or download the whole folder again."
        ) from error


def telling_line(error: BaseException) -> str:
    """Return what an exception says, in one line: the first, or the one that a first line with a colon at its end announces."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if len(lines) > 1 and lines[0].endswith(":"):
        return f"{lines[0]} {lines[1]}".rstrip(".")
    return first_line(error)


def nested(config: Any) -> Iterator[tuple[str, Any]]:
    """All names in a configuration with their values, also in the configurations inside it."""
    waiting = [config]  # not recursive: json reads deeper nesting than Python calls
    while waiting:
        inner = waiting.pop()
        if isinstance(inner, dict):
            yield from inner.items()
            waiting.extend(inner.values())
        elif isinstance(inner, list):
            waiting.extend(inner)


def require_safetensors(folder: ModelFolder) -> list[Path]:
    """The safetensors files of a folder, each with a header that is true and an index that stays in the folder.

    Raises:
        FileError: there are none, one is damaged, or an index names files elsewhere.
    """
    files = sorted(folder.path.glob("*.safetensors"))
    if not files:
        pickled = [
            path.name for path in sorted(folder.path.iterdir()) if path.suffix in (".bin", ".pt", ".pth", ".ckpt")
        ]
        if pickled:
            raise FileError(f"{folder.origin} has its weights as pickles only ({listed(pickled)}); {_CONVERT}.")
        raise FileError(f"{folder.origin} holds no .safetensors weights; copy or download the whole folder.")
    for index in folder.path.glob("*.safetensors.index.json"):
        places = folder.read_json(index.name).get("weight_map")
        if not isinstance(places, dict):
            raise FileError(f"{index} has no weight_map; copy or download it again.")
        names = {str(place) for place in places.values()}
        if foreign := [name for name in sorted(names) if Path(name).name != name]:
            raise FileError(f"{index} points outside of its folder ({listed(foreign)}) and is refused.")
        if missing := sorted(names - {path.name for path in files}):
            raise FileError(f"{folder.origin} lacks {listed(missing)}; copy or download the whole folder.")
    for path in files:
        try:
            with safe_open(path, framework="pt", device="cpu") as file:
                file.keys()
        except Exception as error:  # a stranger's header can name anything
            raise FileError(f"{path} is damaged or incomplete ({first_line(error)}); copy it again.") from error
    return files


def refuse_code(folder: ModelFolder, allow_code: bool) -> None:
    """Raises a FileError if the folder brings or names Python code, which would have to be run, unless that is allowed."""
    if allow_code:
        return
    # transformers fetches an attn_implementation "org/name" from the hub as a compiled kernel and imports it.
    for name, value in nested(folder.config):
        if not name.endswith(("_implementation", "_implementation_internal")):
            continue
        for kernel in value.values() if isinstance(value, dict) else (value,):
            if isinstance(kernel, str) and "/" in kernel:
                raise FileError(
                    f"{folder.origin} names the kernel {kernel!r} of the hub ({name} in config.json), whose code would "
                    "run here; where you trust its author, give --allow-code (allow_code=True)."
                )
    if folder.config.get("auto_map"):
        raise FileError(
            f"{folder.origin} brings its own Python code (auto_map in config.json), which would run here; "
            "where you trust its author, give --allow-code (allow_code=True)."
        )


def load_pretrained(kind: Any, folder: ModelFolder, *, dropped: str | None = None, **options: Any) -> Any:
    """``kind.from_pretrained`` on a folder: offline, safetensors only, float32, every weight from the file and all of them.

    Args:
        kind: a model class of diffusers or transformers.
        folder: the files.
        dropped: a regular expression that finds (by search) the weights the file may hold beyond the model: heads and
            towers that the map does not go through. Any other is the trace of a config.json of another model.
        options: for from_pretrained.

    Raises:
        FileError: a file is damaged, or weights are missing, of another shape, or without a place in the model.
    """
    _refuse_sizes(folder, sum(map(_numbers_in, require_safetensors(folder))))
    try:
        with silenced(), torch.random.fork_rng(devices=[]):
            model, report = kind.from_pretrained(
                str(folder.path),
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
                torch_dtype=torch.float32,
                **options,
            )
    # A stranger's folder can fail inside these libraries in any way; each of them means the same to the user.
    except Exception as error:
        raise FileError(
            f"{folder.origin} cannot be loaded as {kind.__name__} ({first_line(error)}); copy or download the whole "
            "folder, or check that its config.json belongs to its weights."
        ) from error
    absent = [*report.get("missing_keys", ()), *report.get("mismatched_keys", ())]
    if absent:
        raise FileError(
            f"{folder.origin} lacks weights of its {kind.__name__} ({listed(absent)}), which would be random; give the "
            "folder of the complete model."
        )
    unused = [name for name in report.get("unexpected_keys", ()) if not _COMPUTED.search(name)]
    if dropped is not None:
        unused = [name for name in unused if not re.search(dropped, name)]
    if unused:
        more = f" and {len(unused) - 1} more" if len(unused) > 1 else ""
        raise FileError(
            f"{folder.origin} has weights that the {type(model).__name__} of its config.json has no place for "
            f"({min(unused)}{more}), so another model was meant; give the config.json that was saved with them."
        )
    return model.eval().requires_grad_(False)


def _numbers_in(path: Path) -> int:
    """Count how many numbers the tensors of a safetensors file have."""
    with safe_open(path, framework="pt", device="cpu") as file:
        return sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118


def _refuse_sizes(folder: ModelFolder, numbers: int) -> None:
    """Raises a FileError for a config of sizes that its weights cannot have, before a library builds anything of that size.

    A layer has at least one weight, and a weight with an axis of length d at least d numbers.
    """
    for name, value in nested(folder.config):
        for size in value if isinstance(value, list) else [value]:
            if isinstance(size, bool) or not isinstance(size, int | float):
                continue
            if name in _LAYERS and not size >= 1:
                raise FileError(
                    f"{folder.origin} says {name} = {size}, so no layer; give the config.json of its weights."
                )
            most = _MOST_LAYERS if _DEPTHS.search(name) else max(numbers, _SMALL) if _SIZES.search(name) else math.inf
            if size > most:
                raise FileError(
                    f"{folder.origin} says {name} = {size:g}, and its weights are {numbers:,} numbers; give the config.json "
                    "that was saved with them."
                )


@contextmanager
def silenced() -> Iterator[None]:
    """Nothing that a library prints or warns about while loading reaches the user: what matters is raised here."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def origin_details(folder: ModelFolder) -> dict[str, Any]:
    """Return what a result records about where the files came from."""
    return {"origin": folder.origin, "revision": folder.revision}
