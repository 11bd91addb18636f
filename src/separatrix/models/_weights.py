"""Weights from files that strangers may have written: tensors, nothing else, each refusal with its remedy."""

from __future__ import annotations

import os
import pickle
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn

from separatrix.errors import FileError, ModelWarning, first_line, warn
from separatrix.models._checkpoint_names import assigned

PICKLED_SUFFIXES = (".pt", ".pth", ".bin", ".ckpt")
"""What torch.save usually writes; read by torch's tensors-only unpickler or not at all."""

_CONVERT = 'safetensors.torch.save_file(model.state_dict(), "model.safetensors")'
_SHOWN = 3  # names listed in one sentence
_SNIFFED = 64  # bytes


def read_weights(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """The named tensors of a safetensors file, or of a ``.pt``/``.pth`` file with tensors only; on the CPU.

    Nothing in the file is executed: pickles are read with ``weights_only=True``.

    Raises:
        FileError: the file is missing, damaged, not what its suffix says, or holds more than tensors.
    """
    path = Path(path)
    if path.suffix.lower() in PICKLED_SUFFIXES:
        return _read_pickled(path)
    if path.suffix.lower() == ".safetensors":
        return read_safetensors(path)[0]
    raise FileError(
        f"{path} is no weights file by its suffix {path.suffix or '(none)'!r}; "
        f"weights come as .safetensors, or as {', '.join(PICKLED_SUFFIXES)} with tensors only."
    )


def read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a safetensors file and the metadata of its header.

    Raises:
        FileError: the file is missing, damaged or something else.
    """
    _require_content(path, "a safetensors file")
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            names = list(file.keys())
            return {name: file.get_tensor(name) for name in names}, file.metadata() or {}
    except Exception as error:  # a stranger's header can name anything
        raise FileError(f"{path} is damaged or incomplete ({first_line(error)}); copy or download it again.") from error


def _read_pickled(path: Path) -> dict[str, Tensor]:
    _require_content(path, "a file of torch.save")
    if zipfile.is_zipfile(path):
        _inspect_archive(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's remarks on pickle protocols; the outcome is what counts
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise FileError(
            f"{path} holds pickled objects, which could run code, and is refused; "
            f"where you trust it, write {_CONVERT} and load that file, or give it as the model itself with --allow-code."
        ) from error
    # A stranger's file can fail inside the reader in any way; each of them means the same to the user.
    except Exception as error:
        raise FileError(
            f"{path} is damaged, incomplete or not written by torch.save ({first_line(error)}); "
            f"copy it again, or write {_CONVERT} and load that file."
        ) from error
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        inside = f"a dictionary of {listed(content)}" if isinstance(content, Mapping) else f"a {type(content).__name__}"
        raise FileError(
            f"{path} holds {inside} instead of named tensors; save the state dict alone, "
            'for example safetensors.torch.save_file(checkpoint["state_dict"], "model.safetensors").'
        )
    return {str(name): tensor for name, tensor in content.items()}


def _inspect_archive(path: Path) -> None:
    """Refuses archives that are no plain torch.save: programs, and members that could unpack to any size."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except Exception as error:  # names that are no text, features that Python lacks: a stranger's zip fails in any way
        raise FileError(f"{path} is damaged ({first_line(error)}); copy or download it again.") from error
    if any(member.filename.endswith("/constants.pkl") for member in members):
        raise FileError(
            f"{path} is a TorchScript program, which is code, and is refused; where you trust it, write {_CONVERT}, "
            "or give it as the model itself with --allow-code (allow_code=True)."
        )
    # torch.save stores its members as they are, so together they cannot be larger than the file.
    if sum(member.file_size for member in members) > path.stat().st_size:
        raise FileError(
            f"{path} is a compressed archive, which torch.save does not write, and is refused; write "
            f"{_CONVERT} instead."
        )


def require_present(path: Path) -> bytes:
    """The first bytes of a file.

    Raises:
        FileError: it is missing, empty or cannot be read.
    """
    try:
        with path.open("rb") as file:
            start = file.read(_SNIFFED)
    except FileNotFoundError:
        raise FileError(f"{path} does not exist; check the path (the current directory is {Path.cwd()}).") from None
    except (OSError, ValueError) as error:  # a NUL byte in a path is a ValueError
        reason = getattr(error, "strerror", None) or error
        raise FileError(f"{path} cannot be read ({reason}); give a readable file.") from error
    if not start:
        raise FileError(f"{path} is empty; copy or download it again.")
    return start


def _require_content(path: Path, wanted: str) -> None:
    """Refuses what is missing, and what its first bytes show to be something else than ``wanted``."""
    start = require_present(path)
    found = _content(start)
    if found is not None and found != wanted:
        remedy = {
            "a Git LFS pointer": "run `git lfs pull` to fetch the file itself",
            "a safetensors file": "rename it to end in .safetensors",
            "a file of torch.save": f"rename it to end in .pt, or write {_CONVERT}",
        }.get(found, "copy or download the model file itself")
        raise FileError(f"{path} is not {wanted} but {found}; {remedy}.")


def _content(start: bytes) -> str | None:
    """Return what the first bytes of a file show it to be, None if they show nothing."""
    # Eight bytes of header length, little-endian, then a JSON object. First, because a length may begin like
    # a pickle.
    if start[5:9] == b"\0\0\0{":
        return "a safetensors file"
    if start.startswith((b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")):
        return "a file of torch.save"
    if start.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer"
    if start.lstrip()[:1] == b"<":
        return "an HTML page"
    return None


def fill(module: nn.Module, tensors: Mapping[str, Tensor], *, source: Path, model: str, assign: bool = False) -> None:
    """Loads the tensors into the module: all names, shapes and values are right, or it stays as it was.

    Names may have a prefix in common, and tied weights may come once (`separatrix.models._checkpoint_names`).

    Args:
        module: what to fill.
        tensors: by state-dict name.
        source: the file they come from, for messages.
        model: what messages call the module.
        assign: make the tensors the module's parameters (keeping their number format) instead of copying into
            them.

    Raises:
        FileError: names are missing or unexpected, a shape or kind differs, or a weight is NaN or infinite.

    Warns:
        ModelWarning: a prefix was left out.
    """
    wanted = module.state_dict()
    tensors, left_out = assigned(module, tensors)
    if left_out is not None:
        warn(
            f"{source} names its tensors as a wrapper does: {left_out} is left out to fit {model}.",
            ModelWarning,
        )
    missing, unexpected = wanted.keys() - tensors.keys(), tensors.keys() - wanted.keys()
    if missing or unexpected:
        parts = [
            f"{label} {listed(names)}" for label, names in (("missing", missing), ("unexpected", unexpected)) if names
        ]
        raise FileError(
            f"{source} does not fit {model} ({'; '.join(parts)}); "
            "load it with the factory of the architecture it was saved from."
        )
    for name, target in wanted.items():
        given = tensors[name]
        if given.shape != target.shape:
            raise FileError(
                f"{source} does not fit {model} ({name} has shape {tuple(given.shape)}, "
                f"expected {tuple(target.shape)}); build the model with the sizes it was saved with."
            )
        if given.is_floating_point() != target.is_floating_point() or given.is_complex() != target.is_complex():
            raise FileError(
                f"{source} does not fit {model} ({name} holds {given.dtype}, expected {target.dtype}); "
                "save the weights in the model's number format."
            )
    # As the module will hold them: a large number may overflow on the way to its number format.
    loaded = {name: tensors[name] if assign else tensors[name].to(target.dtype) for name, target in wanted.items()}
    parameters = {name for name, _ in module.named_parameters()}
    for name, tensor in loaded.items():
        if trouble := _unusable(tensor, is_parameter=name in parameters):
            raise FileError(
                f"{source} has {trouble} in {name}, so every orbit would be lost; "
                "use an earlier checkpoint, or weights saved with more precision."
            )
    module.load_state_dict(loaded, strict=True, assign=assign)


def unusable_weight(module: nn.Module) -> str | None:
    """Name the first tensor that no orbit survives, such as ``"NaN in encoder.0.weight"``; None if there is none.

    Buffers may be infinite, as attention masks are; parameters may not.
    """
    for name, parameter in module.named_parameters():
        if trouble := _unusable(parameter, is_parameter=True):
            return f"{trouble} in {name}"
    for name, buffer in module.named_buffers():
        if trouble := _unusable(buffer, is_parameter=False):
            return f"{trouble} in {name}"
    return None


def _unusable(tensor: Tensor, *, is_parameter: bool) -> str | None:
    if bool(tensor.isnan().any()):
        return "NaN"
    if is_parameter and bool(tensor.isinf().any()):
        return "infinite values"
    return None


def listed(names: Any) -> str:
    """The first few names, and how many more there are."""
    ordered = sorted(map(str, names))
    rest = len(ordered) - _SHOWN
    return ", ".join(ordered[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")
