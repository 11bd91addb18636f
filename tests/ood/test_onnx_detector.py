"""Detectors as ONNX files: the same scores, tested on loading, and a sentence where there is no such form."""

from __future__ import annotations

import pytest
import torch
from blobs import images
from torch import nn

import separatrix as sx
from separatrix import ood
from separatrix.errors import FileError, InputError
from separatrix.models import ConvAutoencoder, train_autoencoder
from separatrix.numerics._metrics import auroc
from separatrix.ood._score_graph import ScoreGraph

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

DETECTORS = {
    "mean": lambda f: ood.TrajectoryDetector(f, steps=4, self_check=False),
    "end": lambda f: ood.TrajectoryDetector(f, steps=4, statistic="end", self_check=False),
    "max": lambda f: ood.TrajectoryDetector(f, steps=4, statistic="max", metric="cosine", self_check=False),
    "path": lambda f: ood.TrajectoryDetector(f, steps=4, statistic="path", self_check=False),
    "speed": lambda f: ood.TrajectoryDetector(f, steps=4, statistic="speed", self_check=False),
    "typicality": lambda f: ood.TypicalityDetector(f, steps=4),
    "typicality of the course alone": lambda f: ood.TypicalityDetector(f, steps=4, baselines=False),
    "knn": ood.KNNDetector,
    "knn of directions": lambda f: ood.KNNDetector(f, normalize=True, reduce="mean"),
    "mahalanobis": ood.MahalanobisDetector,
    "reconstruction": ood.ReconstructionDetector,
    "residual": ood.ResidualDetector,
}


@pytest.mark.parametrize("make", DETECTORS.values(), ids=DETECTORS)
def test_the_same_scores_p_values_and_decisions(wells, tmp_path, make):
    detector = make(wells).fit(images(200))
    exported = ood.export_onnx(detector, tmp_path / "d.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["d.onnx"]
    assert exported.parity <= 1e-4
    again = ood.OnnxDetector.load(tmp_path / "d.onnx")
    x = torch.cat(
        [
            images(30, seed=1),
            3 + images(5, seed=2),
            torch.zeros(1, 1, 4, 4).double(),
            torch.full((1, 1, 4, 4), torch.nan),
        ]
    )
    expected = detector.score(x)
    score = again.score(x)
    assert score.dtype == torch.float64
    assert torch.equal(score.isnan(), expected.isnan())
    known = ~expected.isnan()
    # float64 throughout; logarithms of the smallest distances magnify its rounding.
    assert ((score - expected)[known].abs() <= 1e-7 * expected[known].abs().clamp(min=1)).all()
    assert (again.p_values(x) - detector.p_values(x))[known].abs().max() <= 1 / 101 + 1e-12
    assert torch.equal(again.decide(x, 0.1).unscorable, detector.decide(x, 0.1).unscorable)
    assert ((again.score(x[:1]) - expected[:1]).abs() <= 1e-7 * expected[:1].abs().clamp(min=1)).all()


class Linear32(nn.Module):
    """Four pixels to two latents in float32, without the bounds that a tanh sets: a finite input can overflow a score."""

    def encode(self, x):
        return x.flatten(1)[:, :2].clone()

    def decode(self, z):
        return torch.cat([0.5 * z, 0.25 * z], dim=1).reshape(-1, 1, 2, 2)


@pytest.mark.parametrize("make", DETECTORS.values(), ids=DETECTORS)
def test_what_overflows_is_unscorable_in_both(tmp_path, make):
    model = Linear32()
    field = sx.LatentField(model.encode, model.decode, latent_shape=(2,), dtype=torch.float32, modules=[model])
    detector = make(field).fit(torch.randn(200, 1, 2, 2, generator=torch.Generator().manual_seed(0)))
    exported = ood.export_onnx(detector, tmp_path / "d.onnx")
    x = torch.tensor([0.5, 1e30, 3e38]).reshape(-1, 1, 1, 1).expand(-1, 1, 2, 2)
    assert torch.equal(exported.decide(x, 0.05).decision, detector.decide(x, 0.05).decision)
    if detector.kind == "residual":
        assert detector.decide(x, 0.05).unscorable.tolist() == [False, True, True]


@pytest.mark.parametrize("kind", ["knn", "mahalanobis", "reconstruction", "residual", "typicality"])
def test_a_graph_in_float64_calls_what_overflows_unscorable(wells, kind):
    class Linear64(type(wells.modules[0])):
        def encode(self, x):
            return x.flatten(1) @ self.basis

        def decode(self, z):
            return super().decode(0.5 * z)

    model = Linear64()
    field = sx.LatentField(model.encode, model.decode, latent_shape=(2,), modules=[model])
    detector = DETECTORS[kind](field).fit(images(200))
    x = torch.cat([images(2), 1e200 * images(2)])
    score, p_value = ScoreGraph(detector)(x)
    assert score.isnan().tolist() == p_value.isnan().tolist() == [False, False, True, True]
    assert detector.score(x).isnan().tolist() == [False, False, True, True]


def test_a_convolutional_network_in_float32(tmp_path):
    torch.manual_seed(0)
    model = ConvAutoencoder((1, 8, 8), 3, base_channels=4)
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(240, 1, 1, 1, generator=generator) * torch.rand(240, 1, 2, 2, generator=generator)
    x = x.repeat_interleave(4, dim=2).repeat_interleave(4, dim=3)
    # Untrained, its latents would lie so close together that float32 hardly tells them apart.
    train_autoencoder(model, x, epochs=60, batch_size=40, learning_rate=1e-2)
    detector = ood.TypicalityDetector(model.field(), steps=3).fit(x[:200])
    exported = ood.export_onnx(detector, tmp_path / "d.onnx", x[200:])
    assert exported.parity <= 1e-4
    expected = detector.score(x[200:])
    assert ((exported.score(x[200:]) - expected).abs() <= 1e-4 * expected.abs().clamp(min=1)).all()
    assert auroc(exported.score(x[200:]), exported.score(3 * torch.ones(9, 1, 8, 8))) > 0.99


class Growing(nn.Module):
    """f(z) = 5z."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(5.0, dtype=torch.float64))

    def encode(self, x):
        return self.factor * x

    def decode(self, z):
        return z


def test_orbits_that_leave_every_bound_before_their_last_step_are_unscorable_in_both(tmp_path):
    module = Growing()
    field = sx.LatentField(module.encode, module.decode, latent_shape=3)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(80, 3, generator=generator, dtype=torch.float64)
    detector = ood.TrajectoryDetector(field, statistic="path", steps=6, self_check=False).fit(x)
    exported = ood.export_onnx(detector, tmp_path / "d.onnx")
    sizes = torch.logspace(0, 4, 41, dtype=torch.float64)
    strange = sizes[:, None] * torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)
    expected, score = detector.score(strange), exported.score(strange)
    assert 5 < int(expected.isnan().sum()) < 36
    # "Out of bounds" is measured from the mean start of a block there, and from the orbit's own start here.
    assert abs(int(score.isnan().sum()) - int(expected.isnan().sum())) <= 1


def test_a_file_that_computes_something_else_fails_its_own_test(wells, tmp_path):
    path = tmp_path / "d.onnx"
    ood.export_onnx(ood.MahalanobisDetector(wells).fit(images(100)), path)
    model = onnx.load(path)
    for tensor in model.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if values.dtype.kind == "f" and values.ndim == 2:
            tensor.CopyFrom(onnx.numpy_helper.from_array(values * 1.001, tensor.name))
    onnx.save(model, path)
    with pytest.raises(FileError, match="fails its own test"):
        ood.OnnxDetector.load(path)


def test_other_files_are_refused(wells, tmp_path):
    path = tmp_path / "d.onnx"
    with pytest.raises(FileError, match="does not exist"):
        ood.OnnxDetector.load(path)
    path.write_bytes(b"no graph")
    with pytest.raises(FileError, match="no ONNX file"):
        ood.OnnxDetector.load(path)
    ood.export_onnx(ood.ResidualDetector(wells).fit(images(100)), path)
    model = onnx.load(path)
    golden = next(entry for entry in model.metadata_props if entry.key == "separatrix.golden")
    golden.value = golden.value[: len(golden.value) // 2]
    onnx.save(model, path)
    with pytest.raises(FileError, match="do not match their checksum"):
        ood.OnnxDetector.load(path)
    del model.metadata_props[:]
    onnx.save(model, path)
    with pytest.raises(FileError, match="no exported detector"):
        ood.OnnxDetector.load(path)


def test_inputs_of_another_shape(wells, tmp_path):
    exported = ood.export_onnx(ood.ResidualDetector(wells).fit(images(100)), tmp_path / "d.onnx")
    with pytest.raises(InputError, match="takes inputs of shape"):
        exported.score(torch.zeros(2, 1, 8, 8))


class Frozen(nn.Module):
    """Leaves torch in its encoder: a tracer sees a constant."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.eye(4))

    def encode(self, x):
        return torch.from_numpy((x.detach() @ self.weight.detach()).numpy().copy()) * 0.5

    def decode(self, z):
        return z @ self.weight


class Unusual(Frozen):
    """An operator that ONNX does not have."""

    def encode(self, x):
        return 0.5 * torch.special.modified_bessel_i0(x)


def test_what_has_no_onnx_form_is_one_sentence_and_leaves_no_file(wells, tmp_path):
    x = torch.rand(60, 4, generator=torch.Generator().manual_seed(0))
    for module, words in ((Frozen(), "does not give this detector's scores"), (Unusual(), "cannot be written as ONNX")):
        field = sx.LatentField(module.encode, module.decode, latent_shape=4)
        with pytest.raises(InputError, match=words):
            ood.export_onnx(ood.ResidualDetector(field).fit(x), tmp_path / "d.onnx")
    by_rule = ood.TrajectoryDetector(wells, steps=50, tolerance=1e-6, self_check=False).fit(images(100))
    with pytest.raises(InputError, match="tolerance=0"):
        ood.export_onnx(by_rule, tmp_path / "d.onnx")
    with pytest.raises(InputError, match="fitted on latents"):
        ood.export_onnx(ood.ResidualDetector(wells).fit_features(torch.randn(60, 2).double()), tmp_path / "d.onnx")
    with pytest.raises(InputError, match="not fitted"):
        ood.export_onnx(ood.ResidualDetector(wells), tmp_path / "d.onnx")
    assert list(tmp_path.iterdir()) == []
