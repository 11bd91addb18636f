"""A reference model in one file: the weights as safetensors, and in the header how to build the model."""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Callable
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import TypeVar

import safetensors.torch
import torch

from separatrix.errors import FileError, InputError, first_line
from separatrix.field import LatentField
from separatrix.models._autoencoders import ConvAutoencoder, DenseAutoencoder
from separatrix.models._base import ReferenceAutoencoder
from separatrix.models._burgess import BurgessVAE
from separatrix.models._registry import Family, LoadRequest
from separatrix.models._weights import fill, read_safetensors, unusable_weight

_SUFFIX = ".safetensors"
_LENGTH = 8  # bytes that say how long the header is
B = TypeVar("B")
# A file names its factory, and files come from strangers: these are the only names that are followed.
_FACTORIES: dict[str, type[ReferenceAutoencoder]] = {
    f"separatrix.models:{model.__name__}": model for model in (ConvAutoencoder, DenseAutoencoder, BurgessVAE)
}


def save_model(model: ReferenceAutoencoder, path: str | os.PathLike[str]) -> Path:
    """Writes a reference model to one safetensors file, from which ``sx.load`` reads it back bit-equal.

    The header says ``separatrix`` (version), ``factory`` and ``config`` (JSON). The file appears complete or
    not at all.

    Args:
        model: a ConvAutoencoder, DenseAutoencoder or BurgessVAE.
        path: where to; must end in ``.safetensors``. An existing file is replaced.

    Returns:
        The path.

    Raises:
        InputError: the model is none of these, has a weight that is NaN or infinite, or the path has another
            suffix.
        FileError: the file cannot be written.

    >>> import tempfile
    >>> from separatrix.models import DenseAutoencoder
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     place = save_model(DenseAutoencoder((1, 4, 4), 2), f"{folder}/model.safetensors")
    ...     load_model(place).latent_dim
    2
    """
    path = Path(path)
    factory = f"separatrix.models:{type(model).__name__}"
    if _FACTORIES.get(factory) is not type(model):
        names = ", ".join(reference.__name__ for reference in _FACTORIES.values())
        raise InputError(
            f"save_model writes the reference models ({names}), not {type(model).__name__}; save your own "
            'with safetensors.torch.save_file(model.state_dict(), "weights.safetensors") and load it '
            'with sx.load("package.module:factory", weights="weights.safetensors").'
        )
    if path.suffix != _SUFFIX:
        raise InputError(f"save_model writes safetensors, so {path.name!r} must end in {_SUFFIX}.")
    if trouble := unusable_weight(model):
        raise InputError(f"This {type(model).__name__} has {trouble}; save the weights of an earlier epoch.")
    header = {
        "separatrix": metadata.version("separatrix"),
        "factory": factory,
        "config": json.dumps(model.config),
    }
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    write_atomically(path, _in_order(safetensors.torch.save(tensors, metadata=header)))
    return path


def _in_order(content: bytes) -> bytes:
    """The same file with its metadata sorted: safetensors writes them in another order every time."""
    end = _LENGTH + int.from_bytes(content[:_LENGTH], "little")
    record = json.loads(content[_LENGTH:end])
    record["__metadata__"] = dict(sorted(record["__metadata__"].items()))
    header = json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode().ljust(end - _LENGTH)
    return len(header).to_bytes(_LENGTH, "little") + header + content[end:]


def load_model(path: str | os.PathLike[str]) -> ReferenceAutoencoder:
    """The model that :func:`save_model` wrote, on the CPU, in eval mode, with the number format it was saved in.

    Nothing is executed on the file's behalf: it can only choose among the reference models.

    Raises:
        FileError: the file is missing, damaged, was not written by save_model, or names a factory that a file
            may not.

    See :func:`save_model` for an example.
    """
    path = Path(path)
    tensors, header = read_safetensors(path)
    own = f'load it into your own factory: sx.load("package.module:factory", weights="{path.name}")'
    if "factory" not in header:
        raise FileError(f"{path} holds weights but does not say of which model; {own}.")
    if header["factory"] not in _FACTORIES:
        raise FileError(
            f"{path} names the factory {header['factory']!r}, but a file may only name the reference models "
            f"of separatrix.models; {own}."
        )
    try:
        # On the meta device nothing is allocated, whatever sizes a stranger's header claims.
        with torch.device("meta"):
            model = built(_FACTORIES[header["factory"]], header.get("config", "{}"), path)
    except (InputError, TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise FileError(
            f"{path} has a config that {header['factory']} refuses ({first_line(error)}); "
            "save the model again with the separatrix that reads it."
        ) from error
    fill(model, tensors, source=path, model="the model its header describes", assign=True)
    return model.eval()


def built(factory: Callable[..., B], config: str, path: Path) -> B:
    """Return what a constructor makes of its arguments in a file's header: in their types, none unknown, none of absurd size.

    Raises:
        FileError: the text is no such object; the constructor may raise more.
    """
    from separatrix.storage._records import record_of, schema_of, values_of

    schema = schema_of(factory, list(inspect.signature(factory).parameters), defaults=True)
    return factory(**values_of(record_of(config, schema, f"The config in {path}")))


def write_atomically(path: Path, content: bytes) -> None:
    """Writes to a sibling and renames it, so that ``path`` is never half-written."""
    sibling = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with sibling.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        sibling.replace(path)
    except OSError as error:
        raise FileError(
            f"{path} cannot be written ({error.strerror}); give a path in an existing, writable folder with "
            "enough space."
        ) from error
    finally:
        with suppress(OSError):  # after success it is gone, and there may be no folder
            sibling.unlink()


def _load_saved(request: LoadRequest) -> LatentField:
    if request.weights is not None:
        raise InputError(
            f"{request.spec} holds its own weights, so weights= does not apply; "
            f"to load {request.weights.name} into an architecture, give its package.module:factory."
        )
    model = load_model(request.spec)
    if request.latent_shape not in (None, (model.latent_dim,)):
        raise InputError(
            f"{request.spec} has latents of shape ({model.latent_dim},), not {request.latent_shape}; "
            "leave latent_shape out."
        )
    return model.field()


SAVED = Family(
    name="saved by separatrix",
    form="path/to/model.safetensors",
    load=_load_saved,
    suffixes=(_SUFFIX,),
    verified="the reference autoencoders, trained",
)
