"""load(spec): every form a user may type, and one sentence for everything that can be wrong with it."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from separatrix.errors import FieldError, FileError, InputError, SeparatrixError
from separatrix.models import ConvAutoencoder, DenseAutoencoder, load

SOURCE = """
import torch
from dataclasses import dataclass
from torch import nn
from separatrix import LatentField
from separatrix.models import ConvAutoencoder, DenseAutoencoder

class Net(nn.Module):
    def __init__(self, shape=None):
        super().__init__()
        self.encoder, self.decoder = nn.Linear(6, 3), nn.Linear(3, 6)
        if shape is not None:
            self.latent_shape = shape
    def encode(self, x):
        return self.encoder(x)
    def decode(self, z):
        return self.decoder(z)

class Bare(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = nn.Linear(6, 3), nn.Linear(3, 6)

@dataclass
class Options:
    width: "int" = 3

class Zoo:
    @staticmethod
    def small():
        return Net((3,))

def make_field():
    return DenseAutoencoder((1, 4, 4), 2, hidden=(8,)).field(name="mine")
def make_reference():
    return DenseAutoencoder((1, 4, 4), 2, hidden=(8,))
def make_module():
    return Net((Options().width,))
def make_dim():
    net = Net(); net.latent_dim = 3
    return net
def make_shapeless():
    return Net()
def make_methods():
    net = Net()
    return net.encode, net.decode
def make_modules():
    return nn.Linear(6, 3), nn.Linear(3, 6)
def make_three():
    a, b, c = nn.Linear(6, 3), nn.Linear(3, 6), nn.Linear(6, 6)
    return (lambda x: a(c(x))), b
def make_lambdas():
    return (lambda x: x / 2), (lambda z: z)
def make_bare():
    return Bare()
def make_nothing():
    pass
def make_number():
    return 3.14
def make_error():
    raise ZeroDivisionError("division by zero.")
def make_exit():
    raise SystemExit(3)
def make_sized(width, depth=2):
    return None
def make_nan():
    net = Net((3,))
    with torch.no_grad():
        net.decoder.weight[0, 0] = torch.nan
    return net
def make_sibling():
    import SIBLING
    return SIBLING.make()
def make_looked_at():
    field = make_field()
    field.fingerprint
    return field
NET = Net((3,))
VERSION = 3
"""

_numbers = itertools.count()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, with a module of models whose name no other test has imported."""
    name = f"sx_models_{next(_numbers)}"
    (tmp_path / f"{name}.py").write_text(SOURCE.replace("SIBLING", f"{name}_sibling"))
    (tmp_path / f"{name}_sibling.py").write_text(f"from {name} import Net\ndef make(): return Net((3,))\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path / name


@pytest.fixture(params=["module", "file"])
def spec(request: pytest.FixtureRequest, folder: Path) -> Callable[[str], str]:
    """Writes a spec for a factory: as package.module:factory and as path/to/file.py:factory."""
    return lambda factory: f"{folder.name}:{factory}" if request.param == "module" else f"{folder}.py:{factory}"


@pytest.mark.parametrize(
    ("factory", "shape"),
    [
        ("make_field", (2,)),
        ("make_reference", (2,)),
        ("make_module", (3,)),
        ("make_dim", (3,)),
        ("make_sibling", (3,)),
        ("Zoo.small", (3,)),
        ("NET", (3,)),
    ],
)
def test_what_a_factory_may_return(spec: Callable[[str], str], factory: str, shape: tuple[int, ...]) -> None:
    path, modules = list(sys.path), len(sys.modules)
    field = load(spec(factory))
    assert sys.path == path
    assert len(sys.modules) >= modules
    assert field.latent_shape == shape
    z = torch.randn(4, *shape)
    assert field(z).shape == z.shape
    double = field.to(dtype=torch.float64)
    assert torch.allclose(double(z.double()).float(), field(z), atol=1e-5)
    assert field.fingerprint is not None


@pytest.mark.parametrize("factory", ["make_methods", "make_modules", "make_lambdas", "make_shapeless"])
def test_shapes_that_must_be_given(spec: Callable[[str], str], factory: str) -> None:
    with pytest.raises(InputError, match=r"does not say how its latents are shaped; give latent_shape=\(…\)"):
        load(spec(factory))
    assert load(spec(factory), latent_shape=3).latent_shape == (3,)
    assert load(spec(factory), latent_shape=(3,)).name == spec(factory)


def test_the_field_keeps_its_name_and_takes_dtype_and_device(spec: Callable[[str], str]) -> None:
    field = load(spec("make_field"), dtype=torch.float64, device="cpu")
    assert field.name == "mine"
    assert field.dtype == torch.float64


@pytest.mark.parametrize(
    ("factory", "sentence"),
    [
        ("make_feild", "has no 'make_feild'; did you mean make_field"),
        ("xyzzy", "has no 'xyzzy'; check the name after the colon"),
        ("torhc", "has no 'torhc'; check the name after the colon"),
        ("NTE", "has no 'NTE'; did you mean NET"),
        ("Net.register_bufer", "has no 'Net.register_bufer'; check the name after the colon"),
        ("Zoo.large", "has no 'Zoo.large'"),
        ("", "lacks the factory; give package.module:factory"),
        ("a-b", "'a-b' in .* is no name of a factory"),
        ("VERSION", "is no function but of type int"),
        ("make_sized", r"cannot be called without arguments \(it needs width\)"),
        ("make_nothing", "returned a NoneType; it must return a LatentField, a pair"),
        ("make_number", "returned a float; it must return"),
        ("make_bare", r"no methods encode and decode; give its parts \(model.encoder, model.decoder\)"),
        ("make_error", "raised ZeroDivisionError: division by zero; call it in plain Python"),
        ("make_exit", "raised SystemExit: 3"),
    ],
)
def test_bad_factories_are_one_sentence(spec: Callable[[str], str], factory: str, sentence: str) -> None:
    path = list(sys.path)
    with pytest.raises(InputError, match=sentence) as caught:
        load(spec(factory))
    assert sys.path == path
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith((".", "?"))


def test_the_cause_is_chained(spec: Callable[[str], str]) -> None:
    with pytest.raises(InputError) as caught:
        load(spec("make_error"))
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_nan_weights_are_named(spec: Callable[[str], str]) -> None:
    with pytest.raises(FieldError, match=r"has NaN in decoder\.weight"):
        load(spec("make_nan"))


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("import sx_no_such_package", "raised ModuleNotFoundError: No module named 'sx_no_such_package'"),
        ("def broken(:", "raised SyntaxError"),
        ("1 / 0", "raised ZeroDivisionError: division by zero"),
        ("import sys; sys.exit('stop')", "raised SystemExit: stop"),
    ],
)
def test_modules_that_cannot_be_imported(spec: Callable[[str], str], folder: Path, source: str, sentence: str) -> None:
    folder.with_suffix(".py").write_text(source)
    modules = set(sys.modules)
    with pytest.raises(InputError, match=rf"Importing .*{folder.name}.* {sentence}"):
        load(spec("make"))
    assert not {name for name in set(sys.modules) - modules if name.startswith("sx_models")}


def test_places_that_do_not_exist(folder: Path) -> None:
    with pytest.raises(InputError, match=r"No module 'sx_absent' is installed or lies in"):
        load("sx_absent.models:make")
    with pytest.raises(InputError, match=rf"No module '{folder.name}\.deeper'"):
        load(f"{folder.name}.deeper:make")
    with pytest.raises(InputError, match=r"absent\.py does not exist"):
        load("absent.py:make")
    with pytest.raises(InputError, match="is no module name"):
        load("some/path:make")
    with pytest.raises(InputError, match=r"no family of models has the scheme 'hub'"):
        load("hub:org/name")
    with pytest.raises(InputError, match="lacks the factory"):
        load(f"{folder}.py")
    with pytest.raises(InputError, match=r"one of these forms: package\.module:factory"):
        load("model.h5")
    with pytest.raises(FileError, match=r"absent\.safetensors does not exist"):
        load("absent.safetensors")
    with pytest.raises(InputError, match=r"weights without their model; .* weights='model\.pt'"):
        load("folder/model.pt")


def test_the_current_directory_counts_only_during_the_import(folder: Path) -> None:
    load(f"{folder.name}:make_module")
    assert str(folder.parent) not in sys.path
    with pytest.raises(ModuleNotFoundError):
        __import__(f"{folder.name}_sibling")


def test_a_module_written_a_moment_ago_is_found(folder: Path) -> None:
    load(f"{folder.name}:make_module")
    times = (folder.parent.stat().st_atime_ns, folder.parent.stat().st_mtime_ns)
    fresh = folder.with_name(f"{folder.name}_fresh")
    fresh.with_suffix(".py").write_text(SOURCE)
    os.utime(folder.parent, ns=times)  # a clock too coarse to tell the import system that something changed
    assert load(f"{fresh.name}:make_module").latent_dim == 3


def test_two_files_of_one_name_are_two_modules(tmp_path: Path) -> None:
    for place, size in (("a", 2), ("b", 3)):
        (tmp_path / place).mkdir()
        (tmp_path / place / "model.py").write_text(
            f"from separatrix.models import DenseAutoencoder\ndef make(): return DenseAutoencoder((1, 4, 4), {size})\n"
        )
    assert [load(f"{tmp_path / place / 'model.py'}:make").latent_dim for place in ("a", "b")] == [2, 3]


def saved(path: Path, module: nn.Module, prefix: str = "") -> Path:
    tensors = {f"{prefix}{name}": tensor for name, tensor in module.state_dict().items()}
    save_file(tensors, path) if path.suffix == ".safetensors" else torch.save(tensors, path)
    return path


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
@pytest.mark.parametrize("factory", ["make_field", "make_reference", "make_looked_at"])
def test_weights_are_loaded_into_the_model(
    spec: Callable[[str], str], tmp_path: Path, factory: str, suffix: str
) -> None:
    trained = DenseAutoencoder((1, 4, 4), 2, hidden=(8,))
    field = load(spec(factory), weights=saved(tmp_path / f"w{suffix}", trained))
    assert field.fingerprint == trained.field().fingerprint
    z = torch.randn(3, 2)
    assert torch.equal(field(z), trained.field()(z))
    with pytest.raises(FileError, match=r"does not fit .*make_module \(missing decoder\.bias"):
        load(spec("make_module"), weights=tmp_path / f"w{suffix}")


def test_weights_of_a_pair_are_named_encoder_and_decoder(spec: Callable[[str], str], tmp_path: Path) -> None:
    pair = nn.ModuleDict({"encoder": nn.Linear(6, 3), "decoder": nn.Linear(3, 6)})
    path = saved(tmp_path / "w.safetensors", pair)
    field = load(spec("make_modules"), weights=path, latent_shape=3)
    z = torch.randn(3, 3)
    assert torch.equal(field(z), pair["encoder"](pair["decoder"](z)))
    methods = load(spec("make_methods"), weights=path, latent_shape=3)
    assert torch.equal(methods(z), field(z))
    for factory, count in (("make_three", 3), ("make_lambdas", 0)):
        with pytest.raises(InputError, match=f"uses {count} modules, so w.safetensors cannot be assigned"):
            load(spec(factory), weights=path, latent_shape=3)


def test_bad_weights_are_file_errors(spec: Callable[[str], str], tmp_path: Path) -> None:
    with pytest.raises(FileError, match="does not exist"):
        load(spec("make_field"), weights=tmp_path / "absent.pt")
    with pytest.raises(FileError, match="no weights file by its suffix"):
        load(spec("make_field"), weights=tmp_path / "w.npz")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"latent_shape": 0}, "Every size in latent_shape"),
        ({"latent_shape": (3,)}, r"latents of shape \(2,\), not \(3,\)"),
        ({"dtype": torch.int64}, "dtype must be a floating number format"),
        ({"dtype": "float64"}, "dtype must be a floating number format"),
        ({"device": "cuda:99"}, "device 'cuda:99' is not available here"),
        ({"device": "abacus"}, "device 'abacus' is not available here"),
    ],
)
def test_bad_options_are_one_sentence(spec: Callable[[str], str], options: dict[str, object], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        load(spec("make_field"), **options)  # type: ignore[arg-type]


@pytest.mark.usefixtures("folder")
def test_every_error_is_ours() -> None:
    for spec in (
        ":",
        "::",
        ":make",
        "a:b:c",
        ".:x",
        "..py:x",
        "/:x",
        "\0:x",
        "a\nb:c",
        ".safetensors",
        "é:ü",
    ):
        with pytest.raises(SeparatrixError):
            load(spec)


@pytest.mark.real
def test_published_files_load_in_one_line(real_data: Path, folder: Path) -> None:
    folder.with_suffix(".py").write_text(
        "from separatrix.models import ConvAutoencoder\n"
        "def conv2(): return ConvAutoencoder((1, 28, 28), 2, base_channels=32, stages=2)\n"
    )
    field = load(f"{folder}.py:conv2", weights=real_data / "weights/fashion_ae/conv2.safetensors")
    reference = ConvAutoencoder((1, 28, 28), 2, stages=2)
    assert field.name == reference.field().name
    for suffix in ("pt", "safetensors"):
        vae = load("separatrix.models:BurgessVAE", weights=real_data / f"weights/burgess_vae/VAE_mnist.{suffix}")
        assert vae(torch.zeros(1, 10)).abs().max() > 1e-3
