"""Encoder and decoder as two ONNX files, run by onnxruntime; no gradients, and no path out of their folder."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from separatrix.errors import FieldError, FileError, InputError, first_line
from separatrix.field import LatentField
from separatrix.models._adapter import ModelAdapter
from separatrix.models._folders import optional
from separatrix.models._onnx_outputs import UPSAMPLING, TakenOutputs
from separatrix.models._onnx_sessions import OnnxSession
from separatrix.models._preprocessing import Preprocessing
from separatrix.models._registry import Family, LoadRequest
from separatrix.models._weights import listed

ENCODER, DECODER = "encoder.onnx", "decoder.onnx"
OPTION = {"encode": "encoded", "decode": "decoded"}
"""The option that says which outputs of a half make its result."""

_AS_GIVEN = "as-given"
_RANGES: dict[str, Callable[[], Preprocessing | None]] = {
    _AS_GIVEN: lambda: None,
    "0..1": Preprocessing,
    "-1..1": Preprocessing.symmetric,
}
_LARGEST = 2**31  # bytes of one ONNX file, by its format
_LONGEST_NAME = 60  # characters of a file's name in a message


class OnnxPair(ModelAdapter):
    """Two onnxruntime sessions on the CPU with one input each; of several outputs the declared ones are taken, else the first.

    There are no gradients: derivatives are central differences, dense up to 512 latent dimensions. Above that ρ comes
    from differences too and ‖J‖₂, which needs Jᵀ, is unknown. There is no float64 copy.

    Args:
        encoder, decoder: the files, checked by :func:`require_contained`.
        latent_shape: where the decoder's file leaves it open.
        declared: which outputs make the result, by role (`TakenOutputs.declared`); the first where nothing is said.
        upsampling: of outputs that are combined and of fewer pixels than the largest.
        preprocessing: the range of the images that both files work with; None for data that are taken as they are.

    Raises:
        FileError: a file cannot be run, or has several inputs.
        InputError: the shape of a latent is neither in the file nor given, or a declaration does not fit the file.
    """

    family = "ONNX"
    digest: Tensor

    def __init__(
        self,
        encoder: Path,
        decoder: Path,
        latent_shape: tuple[int, ...] | None = None,
        declared: Mapping[str, str] | None = None,
        upsampling: str = UPSAMPLING[0],
        preprocessing: Preprocessing | None = None,
    ) -> None:
        super().__init__()
        self.preprocessing = preprocessing
        self.sessions = {"encode": _session(encoder), "decode": _session(decoder)}
        content = hashlib.sha256()
        for path in (encoder, decoder):
            for file in (path, *require_contained(path)):
                content.update(file.read_bytes())
        declared = declared or {}
        self.taken = {
            role: _taken(role, session, declared.get(role), upsampling) for role, session in self.sessions.items()
        }
        if declared:  # other outputs are another map
            content.update(repr(sorted(self.taken.items())).encode())
        # What the field's fingerprint is of: the files, since a session shows no weights.
        self.register_buffer("digest", torch.tensor(list(content.digest()), dtype=torch.uint8))
        shape = self.sessions["decode"].inputs[0].shape[1:]
        if all(isinstance(size, int) and size > 0 for size in shape) and shape:
            self.latent_shape = tuple(shape)
            if latent_shape not in (None, self.latent_shape):
                raise InputError(f"{decoder} takes latents of shape {self.latent_shape}; leave latent_shape out.")
        elif latent_shape is not None:
            self.latent_shape = latent_shape
        else:
            raise InputError(f"{decoder} leaves the shape of its latents open ({shape}); give latent_shape=(…).")
        self.notes = ("No gradients reach through ONNX: derivatives are differences, and ‖J‖₂ is known up to k = 512.",)
        for role, session in self.sessions.items():
            names = [output.name for output in session.outputs]
            if role in declared:
                self.notes += (f"{role} takes {self.taken[role]}, of {len(names)} outputs.",)
            elif len(names) > 1:
                self.notes += (
                    f"{role} has the outputs {listed(names)}, of which the first, {names[0]}, is taken; "
                    f"the option {OPTION[role]} takes others.",
                )

    def encode(self, x: Tensor) -> Tensor:
        """E(x) by the encoder's session."""
        return self._run("encode", x if self.preprocessing is None else self.preprocessing.to_encoder(x))

    def decode(self, z: Tensor) -> Tensor:
        """D(z) by the decoder's session."""
        y = self._run("decode", z)
        return y if self.preprocessing is None else self.preprocessing.to_image(y)

    def _run(self, role: str, batch: Tensor) -> Tensor:
        session = self.sessions[role]
        given, taken = session.inputs[0], self.taken[role]
        rows = batch.detach().cpu().to(torch.float32).numpy()
        fixed = given.shape[0] if given.shape and isinstance(given.shape[0], int) else None
        try:
            parts = [
                [output[:count] for output in session.run(taken.names, {given.name: part})]
                for part, count in _batches(rows, fixed or max(len(rows), 1))
            ]
        except Exception as error:  # onnxruntime's errors share no base class
            raise FieldError(
                f"{session.path.name} cannot {role} a batch {rows.shape} ({first_line(error)})."
            ) from error
        outputs = [torch.from_numpy(np.concatenate(output)) for output in zip(*parts, strict=True)]
        return taken.combine(outputs).to(batch.device)

    def __deepcopy__(self, _memo: Any) -> OnnxPair:
        raise TypeError("an ONNX session computes in the format it was exported in")


def _batches(rows: NDArray[Any], size: int) -> Iterator[tuple[NDArray[Any], int]]:
    """Batches of exactly ``size`` rows, and how many of them are meant: the last is filled up with its last row.

    A file that was exported for a fixed number of rows takes no other.
    """
    for first in range(0, max(len(rows), 1), size):
        part = rows[first : first + size]
        missing = size - len(part) if len(part) else 0
        yield np.ascontiguousarray(np.concatenate([part, np.repeat(part[-1:], missing, axis=0)])), len(part)


def require_contained(path: Path) -> list[Path]:
    """Reads an ONNX file without its external data, and refuses it if these would be read from outside its folder.

    Returns:
        The files of its external data.

    Raises:
        FileError: the file is missing, damaged, uses operators from a library of its own, or points out of its folder.
        InputError: onnx is not installed.
    """
    with optional("onnx", "onnx"):
        import onnx
    if not os.path.isfile(path):
        raise FileError(f"{path} does not exist; check the path (the current directory is {Path.cwd()}).")
    try:
        if path.stat().st_size >= _LARGEST:
            raise FileError(f"{path} is larger than an ONNX file can be (2 GiB); export it with external data.")
        model = onnx.load_model_from_string(path.read_bytes())
    except FileError:
        raise
    # Parsing a stranger's protobuf can fail in any way; each of them means the same to the user.
    except Exception as error:
        raise FileError(f"{path} is no ONNX file, or damaged ({first_line(error)}); export it again.") from error
    if not model.HasField("graph") or not model.graph.output:
        raise FileError(f"{path} is no ONNX file, or holds no graph; export it again.")
    folder, external = path.parent.resolve(), set()
    for tensor in _tensors(model):
        for entry in tensor.external_data:
            if entry.key != "location":
                continue
            place = PurePosixPath(entry.value.replace("\\", "/"))
            outside = place.is_absolute() or ".." in place.parts or ":" in entry.value
            try:
                contained = not outside and (folder / place).resolve().is_relative_to(folder)
                there = contained and (folder / place).is_file()
            except (OSError, RuntimeError, ValueError) as error:  # too long, a loop of links, a NUL byte
                raise FileError(
                    f"{path} reads its weights from {_short(entry.value)}, which is no file name, and is refused."
                ) from error
            if not contained:
                raise FileError(
                    f"{path} reads its weights from {entry.value!r}, outside of its folder, and is refused."
                )
            if not there:
                raise FileError(f"{path} needs {entry.value!r} beside it, which is missing; copy both files.")
            external.add(folder / place)
    foreign = sorted({node.domain for node in _nodes(model.graph)} - _known_domains(model))
    if foreign:
        raise FileError(
            f"{path} uses operators of {', '.join(foreign)}, which need a library of their own and are refused; "
            "export it with standard operators."
        )
    return sorted(external)


def _short(name: str) -> str:
    return repr(name if len(name) <= _LONGEST_NAME else name[:_LONGEST_NAME] + "…")


def _known_domains(model: Any) -> set[str]:
    functions = {function.domain for function in model.functions}
    return {"", "ai.onnx", "ai.onnx.ml", "com.microsoft"} | functions


def _nodes(graph: Any) -> Iterator[Any]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _nodes(inner)


def _tensors(model: Any) -> Iterator[Any]:
    yield from _graph_tensors(model.graph)
    for function in model.functions:
        yield from _node_tensors(function.node)


def _graph_tensors(graph: Any) -> Iterator[Any]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    yield from _node_tensors(graph.node)


def _node_tensors(nodes: Iterable[Any]) -> Iterator[Any]:
    for node in nodes:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                yield from (sparse.values, sparse.indices)
            for inner in (attribute.g, *attribute.graphs):
                yield from _graph_tensors(inner)


def _session(path: Path) -> OnnxSession:
    require_contained(path)
    session = OnnxSession(path)
    if len(session.inputs) != 1:
        names = ", ".join(given.name for given in session.inputs)
        raise FileError(f"{path} has several inputs ({names}); export a model with one.")
    return session


def _taken(role: str, session: OnnxSession, text: str | None, upsampling: str) -> TakenOutputs:
    names = [output.name for output in session.outputs]
    if text is None:
        return TakenOutputs((names[0],))
    return TakenOutputs.declared(text, names, OPTION[role], session.path.name, upsampling)


def _load(request: LoadRequest) -> LatentField:
    request.refuse_weights("holds its own weights")
    if request.folder is not None:
        encoder, decoder = request.folder.path / ENCODER, request.folder.path / DECODER
    else:
        encoder = Path(request.spec)
        decoder = Path(request.decoder) if request.decoder else encoder.with_name(DECODER)
        if request.decoder is None and (encoder.name == DECODER or not os.path.isfile(decoder)):
            raise InputError(
                f"{request.spec} is one half of a pair; give the encoder as the model and the decoder as "
                f'--decoder decoder.onnx (decoder="decoder.onnx").'
            )
    declared = {role: request.options[option] for role, option in OPTION.items() if option in request.options}
    if "upsampling" in request.options and not declared:
        raise InputError("The option upsampling is for outputs that are combined; name them by the option decoded.")
    adapter = OnnxPair(
        encoder,
        decoder,
        request.latent_shape,
        declared,
        request.choice("upsampling", UPSAMPLING[0], UPSAMPLING),
        _RANGES[request.choice("range", _AS_GIVEN, tuple(_RANGES))](),
    )
    return adapter.field(f"ONNX {encoder.name} + {decoder.name}", origin=request.spec)


ONNX = Family(
    name="ONNX",
    form="encoder.onnx with decoder=decoder.onnx, or a folder with both",
    load=_load,
    suffixes=(".onnx",),
    recognises=lambda folder: folder.has(ENCODER, DECODER),
    options={
        "encoded": "the encoder's output that is the latent; a+b sums several, a,b stacks their channels (the first output)",
        "decoded": "the same for what the decoder makes; smaller maps are upsampled to the largest first",
        "upsampling": "how: bilinear (the default) or nearest",
        "range": f"values of the images of both files: {_AS_GIVEN} (the default), 0..1 or -1..1",
    },
    verified="published weights of VAElight, whose decoder has four outputs; exports of small networks",
)
