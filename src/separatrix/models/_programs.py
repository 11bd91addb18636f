"""Files that are programs: TorchScript, exported .pt2, whole pickled modules. Run only where the user says so."""

from __future__ import annotations

import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from separatrix.errors import FileError, InputError, first_line
from separatrix.field import LatentField
from separatrix.field._given import declared_shape
from separatrix.models._adapter import ModelAdapter
from separatrix.models._outputs import unwrapped
from separatrix.models._registry import Family, LoadRequest
from separatrix.models._weights import PICKLED_SUFFIXES, require_present


class ProgramPair(ModelAdapter):
    """Two programs, or one with the methods encode and decode.

    Args:
        encode, decode: modules that take a batch; or one module twice, whose methods of these names are called.
        latent_shape: shape of one latent.
    """

    family = "program"

    def __init__(self, encode: nn.Module, decode: nn.Module, latent_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.encoder = encode
        self.decoder = decode
        self.in_one = encode is decode
        self.latent_shape = latent_shape

    @property
    def model_class(self) -> str:
        """Class of the encoder's program."""
        return type(self.encoder).__name__

    def encode(self, x: Tensor) -> Tensor:
        """E(x)."""
        one: Any = self.encoder
        return unwrapped(one.encode(x) if self.in_one else one(x), "encode")

    def decode(self, z: Tensor) -> Tensor:
        """D(z)."""
        one: Any = self.decoder
        return unwrapped(one.decode(z) if self.in_one else one(z), "decode")


def _load(request: LoadRequest) -> LatentField:
    path = Path(request.spec)
    request.refuse_weights("holds its own weights")
    if not request.allow_code:
        if path.suffix.lower() == ".pt2":
            raise FileError(
                f"{path} is an exported program, which is code, and is refused; where you trust its author, give "
                "--allow-code (allow_code=True), or write the weights as safetensors and give the model as "
                "package.module:factory."
            )
        raise InputError(
            f"{request.spec} holds weights without their model; give the model as package.module:factory "
            f"and the file as its weights: weights={path.name!r} (a TorchScript program or a pickled module from an "
            "author you trust can be run with --allow-code)."
        )
    encoder = _read(path)
    decoder = encoder if request.decoder is None else _read(Path(request.decoder))
    if decoder is encoder and not (hasattr(encoder, "encode") and hasattr(encoder, "decode")):
        raise InputError(
            f"{path} has no methods encode and decode, so it is one half of a pair; give the other as "
            '--decoder FILE (decoder="FILE").'
        )
    shape = request.latent_shape or declared_shape(encoder)
    if shape is None:
        raise InputError(f"{path} does not say how its latents are shaped; give latent_shape=(…).")
    return ProgramPair(encoder, decoder, shape).field(f"program {path.name}", origin=request.spec)


def _read(path: Path) -> Any:
    """The module in a file, which may run code while it is read."""
    require_present(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's remarks on how old TorchScript is
            if path.suffix.lower() == ".pt2":
                return torch.export.load(path).module()
            if _is_torchscript(path):
                return torch.jit.load(str(path), map_location="cpu").eval()
            content = torch.load(path, map_location="cpu", weights_only=False)
    # A file that may run code can fail in any way.
    except Exception as error:
        raise FileError(f"{path} cannot be loaded ({first_line(error)}); export it again with this torch.") from error
    if not isinstance(content, nn.Module):
        raise FileError(
            f"{path} holds a {type(content).__name__}, not a module; give the model as package.module:factory with "
            f"weights={path.name!r}."
        )
    return content.eval()


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


PROGRAM = Family(
    name="program",
    form="model.pt2 or a TorchScript model.pt with allow_code",
    load=_load,
    suffixes=(".pt2", *PICKLED_SUFFIXES),
    verified="small networks scripted, exported and pickled by this torch",
)
