"""A detector is loaded for the model that it was fitted on, and what that is, is asked of its answers, not only of its weights."""

from __future__ import annotations

import json
import warnings

import pytest
import torch
from blobs import images
from safetensors.torch import load_file, save_file
from torch import nn

import separatrix as sx
from separatrix import ood
from separatrix.errors import DetectorWarning, FieldError, FileError
from separatrix.field._fingerprints import fingerprint, unregistered, weights_fingerprint

pytestmark = pytest.mark.filterwarnings("ignore::separatrix.errors.ConvergenceWarning")

DETECTORS = {
    "trajectory": lambda f: ood.TrajectoryDetector(f, steps=4, self_check=False),
    "typicality": lambda f: ood.TypicalityDetector(f, steps=4),
    "knn": ood.KNNDetector,
    "mahalanobis": ood.MahalanobisDetector,
    "reconstruction": ood.ReconstructionDetector,
    "residual": ood.ResidualDetector,
}
X = torch.rand(80, 6, generator=torch.Generator().manual_seed(0))


def linear(seed, *shape):
    layer = nn.Linear(*shape)
    generator = torch.Generator().manual_seed(seed)
    for parameter in layer.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) / 3
    return layer


class Model(nn.Module):
    """Two layers, and a gain that is kept where weights are not looked for."""

    def __init__(self, gain, kept):
        super().__init__()
        self.encoder, self.decoder, self.kept = linear(0, 6, 3), linear(1, 3, 6), kept
        if kept == "buffer":
            self.register_buffer("gain", torch.tensor(gain), persistent=False)
        elif kept == "attribute":
            self.gain = gain

    def encode(self, x):
        return self.encoder(x).tanh() * self.gain

    def decode(self, z):
        return self.decoder(z)


class Plain:
    def __init__(self, model, gain):
        self.model, self.gain = model, gain

    def encode(self, x):
        return self.model(x).tanh() * self.gain


class Packed(nn.Module):
    """Static int8 quantisation: the weights lie in a TorchScript object, which a state dict holds as no tensor."""

    def __init__(self, seed):
        super().__init__()
        layer, self.linear = linear(seed, 6, 3), torch.ao.nn.quantized.Linear(6, 3)
        self.linear.set_weight_bias(torch.quantize_per_tensor(layer.weight, 0.01, 0, torch.qint8), layer.bias)
        self.linear.scale, self.linear.zero_point = 0.01, 128

    def forward(self, x):
        return self.linear(torch.quantize_per_tensor(x, 0.01, 128, torch.quint8)).dequantize().tanh()


def with_gain(kept, gain=1.0):
    decoder = linear(1, 3, 6)
    if kept in ("buffer", "attribute"):
        model = Model(gain, kept)
        return sx.LatentField(model.encode, model.decode, latent_shape=3)
    encoder, tensor = linear(0, 6, 3), torch.tensor(gain)
    functions = {
        "closure": lambda x: encoder(x).tanh() * tensor,
        "number in a closure": lambda x: encoder(x).tanh() * gain,
        "plain object": Plain(encoder, gain).encode,
        "packed int8": Packed(0 if gain == 1.0 else 7),
    }
    return sx.LatentField(functions[kept], decoder, latent_shape=3, dtype=torch.float32)


PLACES = ["buffer", "attribute", "closure", "number in a closure", "plain object", "packed int8"]


@pytest.mark.parametrize("kind", DETECTORS)
@pytest.mark.parametrize("kept", PLACES)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_a_model_of_the_same_weights_that_behaves_differently_is_refused(kept, kind, tmp_path):
    detector = DETECTORS[kind](with_gain(kept)).fit(X)
    folder = detector.save(tmp_path / "d")
    same = ood.Detector.load(folder, with_gain(kept))
    assert torch.equal(same.score(X), detector.score(X))
    with pytest.raises(FileError, match="fitted on a model that behaves differently: with the same weights") as caught:
        ood.Detector.load(folder, with_gain(kept, 1.01))
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith("or fit again.")


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_dynamic_quantisation_is_refused_since_its_scale_is_that_of_the_batch():
    net = nn.Sequential(linear(0, 6, 3), nn.Tanh())
    dynamic = torch.ao.quantization.quantize_dynamic(net, {nn.Linear}, dtype=torch.qint8)
    field = sx.LatentField(dynamic, linear(1, 3, 6), latent_shape=3)
    with pytest.raises(FieldError, match=r"depends on the other latents of the batch .*quantise statically"):
        ood.KNNDetector(field).fit(X)
    assert any(name.startswith("packed") for name in unregistered(field.modules))


@pytest.mark.parametrize("kept", ["buffer", "closure", "packed int8"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_the_fingerprint_sees_what_a_state_dict_leaves_out(kept):
    one, same, other = with_gain(kept), with_gain(kept), with_gain(kept, 1.01)
    assert one.fingerprint == same.fingerprint
    assert one.fingerprint != other.fingerprint
    assert one.weights_fingerprint == other.weights_fingerprint == one.describe()["weights"]
    for field in (one, same):
        field(torch.ones(3, 3))
    assert one.fingerprint == same.fingerprint


def test_the_fingerprint_of_plain_modules_is_what_it_always_was():
    """Of files that were written before: names, shapes, formats and bytes of the state dict."""
    net = linear(0, 2, 2)
    assert fingerprint((net,)) == weights_fingerprint((net,)) == fingerprint((net,), (net, net.forward))
    net.weight.data, net.bias.data = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.zeros(2)
    assert fingerprint((net,)) == "98bcad565a5a62d66f0c0c93e30234b73f598f49421c36f4a443c3c6a53f11d4"


def test_scratch_memory_is_no_part_of_a_model():
    """A buffer that every evaluation overwrites would make a model another one after each."""

    def make():
        net, scratch = linear(0, 3, 3), torch.zeros(100, 3)
        return sx.LatentField.from_map(lambda z: scratch[: len(z)].copy_(net(z).tanh()), latent_shape=3)

    one, other = make(), make()
    one(torch.ones(3, 3))
    for _ in range(2):
        other(torch.full((5, 3), 2.0))
    assert one.fingerprint == other.fingerprint == one.weights_fingerprint
    assert list(unregistered((), (lambda z: z * X,))) == ["captured 0.X"]


def test_a_detector_with_scratch_memory_is_loaded_again(tmp_path):
    def make():
        net, scratch = linear(0, 3, 3), torch.zeros(200, 3)
        return sx.LatentField.from_map(lambda z: scratch[: len(z)].copy_(net(z).tanh()), latent_shape=3)

    z = torch.randn(60, 3, generator=torch.Generator().manual_seed(0))
    detector = ood.ResidualDetector(make()).fit_features(z)
    loaded = ood.Detector.load(detector.save(tmp_path / "d"), make())
    assert torch.equal(loaded.score_features(z), detector.score_features(z))
    assert ood._files.identity(loaded) == ood._files.identity(detector)


def aged(folder):
    """The files as they were before golden scores."""
    path = folder / "detector.safetensors"
    save_file({name: t for name, t in load_file(path).items() if not name.startswith("golden.")}, path)
    import hashlib

    record = json.loads((folder / "detector.json").read_text())
    del record["field"]["weights"]
    record["field"]["fingerprint"] = record["field"].get("old", record["field"]["fingerprint"])
    record["tensors_sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    (folder / "detector.json").write_text(json.dumps(record))


def test_an_old_file_is_loaded_with_a_warning(wells, tmp_path):
    detector = ood.KNNDetector(wells).fit(images(60))
    folder = detector.save(tmp_path / "d")
    aged(folder)
    with pytest.warns(DetectorWarning, match="saved without golden scores, so whether the model behaves as it did"):
        loaded = ood.Detector.load(folder, wells)
    assert torch.equal(loaded.score(images(5)), detector.score(images(5)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ood.Detector.load(loaded.save(tmp_path / "new"), wells)


def test_an_old_file_of_a_model_with_buffers_is_loaded_too(tmp_path):
    field = with_gain("buffer")
    folder = ood.KNNDetector(field).fit(X).save(tmp_path / "d")
    record = json.loads((folder / "detector.json").read_text())
    record["field"]["old"] = record["field"]["weights"]
    (folder / "detector.json").write_text(json.dumps(record))
    aged(folder)
    with pytest.warns(DetectorWarning, match="without golden scores"):
        ood.Detector.load(folder, with_gain("buffer"))


def test_other_weights_are_still_named_as_such(tmp_path):
    folder = ood.KNNDetector(with_gain("attribute")).fit(X).save(tmp_path / "d")
    field = with_gain("attribute")
    field.modules[0].encoder.weight.data[0, 0] += 1e-3
    with pytest.raises(FileError, match=r"another model .*fingerprint differs"):
        ood.Detector.load(folder, field)


@pytest.mark.parametrize("kind", DETECTORS)
def test_rounding_is_no_other_behaviour(kind, tmp_path):
    """Other batches, other formats of the same numbers: as another machine or number of threads would have it."""
    detector = DETECTORS[kind](with_gain("attribute")).fit(X)
    folder = detector.save(tmp_path / "d")
    model = Model(1.0 + 1e-6, "attribute")
    ood.Detector.load(folder, sx.LatentField(model.encode, model.decode, latent_shape=3))


def test_a_model_that_expands_rounding_is_given_its_room(tmp_path):
    """f doubles angles: ten steps multiply a difference by a thousand."""

    def make(gain=1.0):
        return sx.LatentField.from_map(lambda z: (2 * gain * z + 0.3).sin(), latent_shape=3, dtype=torch.float32)

    z = torch.randn(90, 3, generator=torch.Generator().manual_seed(0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        detector = ood.TypicalityDetector(make(), steps=10, protocol=sx.Protocol(max_steps=30)).fit_features(z)
        folder = detector.save(tmp_path / "d")
        ood.Detector.load(folder, make(1 + 1e-7))
        with pytest.raises(FileError, match="behaves differently"):
            ood.Detector.load(folder, make(1.02))


@pytest.mark.parametrize("kind", DETECTORS)
@pytest.mark.parametrize(
    ("gain", "device", "refused"), [(1.001, "cuda:0", False), (1.001, "cpu", True), (1.1, "cuda:0", True)]
)
def test_another_kind_of_device_is_given_more_room_and_not_all(kind, gain, device, refused, tmp_path):
    """TensorFloat-32 keeps 10 bits of every factor: a thousandth is no other model on an accelerator, a tenth is."""
    folder = DETECTORS[kind](with_gain("attribute")).fit(X).save(tmp_path / "d")
    record = json.loads((folder / "detector.json").read_text())
    record["field"]["device"] = device
    (folder / "detector.json").write_text(json.dumps(record))
    if not refused:
        ood.Detector.load(folder, with_gain("attribute", gain))
        return
    with pytest.raises(FileError, match="behaves differently"):
        ood.Detector.load(folder, with_gain("attribute", gain))


def test_answers_that_tell_nothing_are_said_to_tell_nothing(tmp_path):
    chaos = sx.LatentField.from_map(lambda z: (1e6 * z).sin() * torch.nan, latent_shape=3)
    detector = ood.KNNDetector(chaos).fit_features(torch.randn(60, 3, generator=torch.Generator().manual_seed(0)))
    folder = detector.save(tmp_path / "d")
    assert {float(t.max()) for n, t in load_file(folder / "detector.safetensors").items() if "image." in n} == {-1.0}


@pytest.mark.parametrize("kind", DETECTORS)
def test_loading_refuses_a_liar_in_the_words_of_every_door(kind, tmp_path):
    folder = DETECTORS[kind](with_gain("attribute")).fit(X).save(tmp_path / "d")
    model = Model(1.0, "attribute")
    liar = sx.LatentField(lambda x: model.encode(x) + 0.1 * torch.randn(len(x), 3), model.decode, latent_shape=3)
    with pytest.raises(FieldError, match="the model draws random numbers"):
        ood.Detector.load(folder, liar)


def test_no_data_of_the_training_set_are_stored(tmp_path):
    folder = ood.ReconstructionDetector(with_gain("attribute")).fit(X).save(tmp_path / "d")
    stored = load_file(folder / "detector.safetensors")["golden.x"]
    assert stored.shape == (4, 6)
    assert torch.cdist(stored, X).min() > 0.01
