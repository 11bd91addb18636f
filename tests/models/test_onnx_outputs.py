"""Decoders with several outputs: which are taken and how they are joined is declared, and a wrong declaration is refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

import separatrix as sx
from separatrix.errors import FieldError, InputError
from separatrix.models._adapter import adapter_of
from separatrix.models._pyramid import summed
from separatrix.testing import assert_is_latent_field

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


def write(path: Path, ins: int, outputs: dict[str, tuple[int, int, bool]]) -> Path:
    """A file whose output ``name`` has ``channels`` from a fixed 1×1 convolution, on maps pooled by ``by`` or transposed."""
    helper, kinds = onnx.helper, onnx.TensorProto
    nodes, weights = [], []
    draw = np.random.default_rng(0)
    for name, (channels, by, enlarged) in outputs.items():
        shape = (ins, channels, by, by) if enlarged else (channels, ins, by, by)
        weights.append(onnx.numpy_helper.from_array(draw.normal(size=shape).astype(np.float32) / 3, f"w{name}"))
        kind = "ConvTranspose" if enlarged else "Conv"
        nodes.append(helper.make_node(kind, ["x", f"w{name}"], [name], strides=[by, by], kernel_shape=[by, by]))
    graph = helper.make_graph(
        nodes,
        path.stem,
        [helper.make_tensor_value_info("x", kinds.FLOAT, ["n", ins, "h", "w"])],
        [helper.make_tensor_value_info(name, kinds.FLOAT, ["n", outputs[name][0], None, None]) for name in outputs],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(path))
    return path


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    """Images 3×4h×4w to 2×h×w; back to an eighth, a half and the whole of the size, and something of other channels."""
    write(tmp_path / "encoder.onnx", 3, {"mean": (2, 4, False), "extra": (1, 4, False)})
    write(
        tmp_path / "decoder.onnx",
        2,
        {"small": (3, 1, True), "half": (3, 2, True), "full": (3, 4, True), "grey": (1, 4, True)},
    )
    return tmp_path


def loaded(pair: Path, **options: str) -> sx.LatentField:
    return sx.load(pair, latent_shape=(2, 2, 3), options=options)


def alone(pair: Path, declared: str | None = None) -> Callable[[torch.Tensor], torch.Tensor]:
    """The decoder by itself: most outputs alone are of the wrong size for the encoder, and no field would decode them."""
    adapter = adapter_of(loaded(pair, **({} if declared is None else {"decoded": declared})))
    assert adapter is not None
    return adapter.decode


def test_outputs_are_upsampled_and_summed(pair: Path) -> None:
    z = torch.randn(5, 2, 2, 3, generator=torch.Generator().manual_seed(0))
    small, half, full, grey = (alone(pair, name)(z) for name in ("small", "half", "full", "grey"))
    for mode, corners in (("bilinear", {"align_corners": False}), ("nearest", {})):
        field = loaded(pair, decoded="small+half+full", upsampling=mode)
        expected = sum(interpolate(part, size=(8, 12), mode=mode, **corners) for part in (small, half)) + full
        assert torch.allclose(field.decode(z), expected, atol=1e-6)
        words = f"decode takes the sum of small, half, full, each upsampled ({mode}) to the largest, of 4 outputs."
        assert words in field.details["notes"]
        assert_is_latent_field(field)
    assert torch.equal(alone(pair, "grey,full")(z), torch.cat([grey, full], dim=1))
    assert torch.equal(alone(pair)(z), small)


def test_the_latent_may_be_an_output_that_is_not_the_first(tmp_path: Path) -> None:
    write(tmp_path / "encoder.onnx", 3, {"logvar": (2, 4, False), "mean": (2, 4, False)})
    write(tmp_path / "decoder.onnx", 2, {"y": (3, 4, True)})
    first, mean = loaded(tmp_path), loaded(tmp_path, encoded="mean")
    x = torch.rand(2, 3, 8, 12)
    assert torch.equal(loaded(tmp_path, encoded="logvar").encode(x), first.encode(x))
    assert not torch.allclose(mean.encode(x), first.encode(x))
    assert "the option encoded takes others" in first.details["notes"][1]
    assert "encode takes mean, of 2 outputs." in mean.details["notes"]


def test_another_declaration_is_another_fingerprint(pair: Path) -> None:
    prints = [loaded(pair, **options).fingerprint for options in ({}, {"decoded": "full"}, {"decoded": "small+full"})]
    more = [loaded(pair, decoded="full+small", upsampling="nearest"), loaded(pair, range="-1..1")]
    assert len({*prints, *(field.fingerprint for field in more)}) == 5


def test_the_range_of_images_is_declared(pair: Path) -> None:
    given, unit, symmetric = (loaded(pair, range=name, decoded="full") for name in ("as-given", "0..1", "-1..1"))
    x = torch.rand(2, 3, 8, 12)
    assert given.details["preprocessing"] is None
    assert torch.equal(unit.encode(x), given.encode(x))
    assert torch.allclose(symmetric.encode(x), given.encode(2 * x - 1), atol=1e-6)
    z = given.encode(x)
    assert torch.allclose(symmetric.decode(z), (given.decode(z) + 1) / 2, atol=1e-6)
    assert torch.allclose(symmetric(z), given(z), atol=1e-5)  # the dynamics do not change: ranges cancel in E∘D


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"decoded": "small+whole"},
            r"decoder\.onnx has no output 'whole', which the option decoded=small\+whole names; it has small, half, full, grey\.",
        ),
        (
            {"encoded": "mu"},
            r"encoder\.onnx has no output 'mu', which the option encoded=mu names; it has mean, extra\.",
        ),
        ({"decoded": ""}, r"decoder\.onnx has no output ''"),
        ({"decoded": "full+full"}, r"names an output twice; name each once"),
        ({"decoded": "small+half,full"}, r"mixes \+ \(summed\) with commas \(stacked\); write one of them"),
        (
            {"decoded": "full", "upsampling": "cubic"},
            r"option upsampling must be one of bilinear, nearest, not 'cubic'",
        ),
        ({"upsampling": "nearest"}, r"upsampling is for outputs that are combined; name them by the option decoded"),
        ({"range": "-1,1"}, r"option range must be one of as-given, 0\.\.1, -1\.\.1, not '-1,1'"),
        ({"outputs": "full"}, r"'ONNX' has no option 'outputs'"),
    ],
)
def test_wrong_declarations_are_refused(pair: Path, options: dict[str, str], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        loaded(pair, **options)


def test_outputs_that_cannot_be_summed_are_refused_when_they_are_seen(pair: Path) -> None:
    with pytest.raises(FieldError, match=r"of the shapes .* cannot be summed; name outputs with as many channels each"):
        loaded(pair, decoded="grey+full").decode(torch.zeros(1, 2, 2, 3))


@pytest.mark.parametrize(
    ("shapes", "sentence"),
    [
        ([(1, 3, 2, 4), (1, 3, 4, 2)], "cannot be made one size"),
        ([(1, 3), (1, 3, 4, 4)], "cannot be made one size"),
        ([(1, 3, 4), (1, 3, 8)], "cannot be made one size"),
        ([(1, 3, 4, 4), (1, 1, 4, 4)], "cannot be summed"),
    ],
)
def test_shapes_that_make_no_pyramid(shapes: Sequence[tuple[int, ...]], sentence: str) -> None:
    with pytest.raises(FieldError, match=sentence):
        summed([torch.zeros(shape) for shape in shapes])


@pytest.mark.real
def test_the_published_pair_of_vaelight_is_the_preset(real_data: Path) -> None:
    """Four outputs, an eighth to the whole of the size, are the image: torch from its layers and onnxruntime agree to 4e-6."""
    folder = real_data / "weights/vaelight"
    published = sx.load(
        folder / "VAEencoder.onnx",
        decoder=folder / "VAEpreview.onnx",
        latent_shape=(4, 2, 3),
        options={"decoded": "output+101+92+77", "range": "-1..1"},
    )
    preset = sx.load("vaelight", weights=folder, latent_shape=(4, 2, 3), options={"units": "raw"})
    x = torch.rand(3, 3, 16, 24, generator=torch.Generator().manual_seed(0))
    z = preset.encode(x)
    assert torch.allclose(published.encode(x), z, atol=4e-6 * float(z.abs().max()))
    assert torch.allclose(published.decode(z), preset.decode(z), atol=4e-6)
    assert_is_latent_field(published)
