"""What the documentation takes for granted: a folder with the files that it names, and the names that its reader has."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bound import ROOT
from PIL import Image
from safetensors.torch import save_file
from sklearn.datasets import load_digits

import separatrix as sx
from separatrix.models import BurgessVAE, DenseAutoencoder, save_model
from separatrix.models._taef2 import TAEF2
from separatrix.models._vaelight import VAELight

sys.path.insert(0, str(ROOT / "tests" / "models"))
import test_onnx_outputs
import tiny_models

SIDE, K = 8, 32
MODEL = f'''
from pathlib import Path

import torch

import separatrix as sx


def build(seed=1):
    """Digits of 8×8 pixels, {K} latent numbers, random weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return sx.models.DenseAutoencoder((1, {SIDE}, {SIDE}), {K}, hidden=(16,)).eval()


load = make = f = factory = build


def step(z):
    return torch.tanh(2 * z)
'''


_DIGITS = load_digits().images / 16


def digits(first: int, last: int) -> torch.Tensor:
    return torch.from_numpy(_DIGITS[first:last]).float()[:, None]


def network() -> Any:
    return tiny_models.seeded(lambda: DenseAutoencoder((1, SIDE, SIDE), K, hidden=(16,))).eval()


def _pictures(folder: Path, first: int, last: int) -> None:
    folder.mkdir(parents=True)
    for number in range(first, last):
        Image.fromarray((255 * _DIGITS[number]).astype(np.uint8)).save(folder / f"{number:04d}.png")


def _python() -> None:
    for name in ("my_model.py", "my_vae.py", "build.py", "package/module.py"):
        path = Path(name)
        path.parent.mkdir(exist_ok=True)
        path.write_text(MODEL.replace(f"{K}, hidden", "24, hidden") if name == "my_vae.py" else MODEL, encoding="utf-8")
    save_file(network().state_dict(), "w.safetensors")
    for name in ("a.pt", "b.pt", "c.pt"):
        torch.save(network().state_dict(), name)


def _images() -> None:
    for number, name in enumerate(
        ("images", "photos", "train", "test", "held-out", "held_out", "a", "b", "others", "cats", "dogs")
    ):
        _pictures(Path(name), 40 * number, 40 * number + 40)
    np.save("test.npy", digits(0, 40).numpy())
    np.save("images.npy", digits(0, 40).numpy())


def _shards() -> None:
    import tarfile

    import pyarrow as pa
    import pyarrow.parquet as pq

    Path("shards").mkdir()
    for number in range(2):
        with tarfile.open(f"shards/{number:04d}.tar", "w") as tar:
            for path in sorted(Path("cats").iterdir())[:10]:
                tar.add(path, path.name)
    pictures = [{"bytes": path.read_bytes(), "path": path.name} for path in sorted(Path("dogs").iterdir())[:10]]
    pq.write_table(pa.table({"image": pictures}), "more.parquet")


def _saved_models() -> None:
    torch.manual_seed(0)
    for name in ("before", "after"):
        save_model(DenseAutoencoder((1, SIDE, SIDE), 2, hidden=(16,)), f"{name}.safetensors")
    Path("checkpoints").mkdir()
    for epoch in (1, 2):
        save_model(DenseAutoencoder((1, SIDE, SIDE), 2, hidden=(16,)), f"checkpoints/epoch-{epoch}.safetensors")


def _families() -> None:
    tiny_models.MODELS["AutoencoderKL"].write(Path("sd/vae"))
    tiny_models.write_mae(Path("vit-mae"))
    tiny_models.write_mae(Path("path/to/folder"))
    tiny_models.write_encoder(Path("dinov2-small"))
    tiny_models.write_sae(Path("sae/layer_12"))
    tiny_models.write_sae(Path("hub/org/saes/layer_12"))
    tiny_models.MODELS["AutoencoderKL"].write(Path("hub/stabilityai/sd-vae-ft-mse"))
    tiny_models.write_mae(Path("hub/facebook/vit-mae-base"))
    tiny_models._language("Qwen3", **tiny_models.LM)(Path("hub/Qwen/Qwen3-0.6B"))
    _tokenizer(Path("hub/Qwen/Qwen3-0.6B"))
    Path("my_decoder.py").write_text(
        "import torch\n\n\ndef make():\n    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(256, 768), torch.nn.Sigmoid(), "
        "torch.nn.Unflatten(1, (3, 16, 16))).eval()\n",
        encoding="utf-8",
    )


def _tokenizer(folder: Path) -> None:
    import tokenizers
    import transformers

    words = {
        word: number
        for number, word in enumerate(["the", "a", "cat", "dog", "sat", "ran", "on", "mat", "and", "so", "was", "it"])
    }
    model = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="the"))
    model.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    transformers.PreTrainedTokenizerFast(tokenizer_object=model).save_pretrained(folder)


def _onnx() -> None:
    import onnx

    tiny_models.write_onnx(Path("pair"))
    encoder = onnx.load("pair/encoder.onnx")
    encoder.graph.node[-1].output[0] = encoder.graph.output[0].name = "mean"
    onnx.save(encoder, "pair/encoder.onnx")
    test_onnx_outputs.write(Path("down.onnx"), 3, {"z": (4, 4, False)})
    test_onnx_outputs.write(Path("up.onnx"), 4, {"y": (3, 4, True)})
    test_onnx_outputs.write(Path("VAEencoder.onnx"), 3, {"z": (4, 8, False)})
    pyramid = {"output": (3, 8, True), "101": (3, 4, True), "92": (3, 2, True), "77": (3, 1, True)}
    test_onnx_outputs.write(Path("VAEpreview.onnx"), 4, pyramid)


def _programs() -> None:
    k = 16
    down = torch.nn.Linear(24, k)
    up = torch.nn.Linear(k, 24)
    n = torch.export.Dim("n", min=1, max=4096)
    for name, half, width in (("encoder", down, 24), ("decoder", up, k)):
        torch.export.save(torch.export.export(half, (torch.zeros(5, width),), dynamic_shapes=({0: n},)), f"{name}.pt2")
    whole = tiny_models.Whole().eval()
    whole.latent_dim = k
    whole.down, whole.up = down, up
    torch.jit.script(whole).save("scripted.pt")
    torch.save(whole, "pickled.pt")


def _published() -> None:
    for name, kind in (("taef2", TAEF2), ("vaelight", VAELight)):
        for place in (Path("weights") / name, Path("folder/with/encoder/and/decoder")):
            if place.exists():
                continue
            place.mkdir(parents=True)
            model = tiny_models.seeded(lambda kind=kind: kind((32, 32)))
            for half in ("encoder", "decoder"):
                save_file(getattr(model, half).state_dict(), place / f"{half}.safetensors")
    Path("weights/burgess_vae").mkdir()
    save_file(tiny_models.seeded(BurgessVAE).state_dict(), "weights/burgess_vae/betaB_mnist.safetensors")


# what a page writes → who writes the files for it
WRITERS: dict[str, Callable[[], None]] = {
    r"": _python,
    r"/\s|\.npy": _images,
    r"shards/": _shards,
    r"checkpoints/|before\.safetensors": _saved_models,
    r"hf:": _families,
    r"\.onnx": _onnx,
    r"\.pt2": _programs,
    r"\btaef2": _published,
}


def lay_out(code: str) -> None:
    """Write into the working directory what the code of a page names."""
    for write in dict.fromkeys(write for pattern, write in WRITERS.items() if re.search(pattern, code)):
        write()


def make_buckets() -> None:
    """The buckets that pages copy to."""
    import fsspec

    store = fsspec.filesystem("s3")
    for name in ("bucket", "my-bucket"):
        if not store.exists(name):
            store.mkdir(name)
    if Path("cats").is_dir():
        store.put([str(path) for path in Path("cats").iterdir()], "bucket/set/")


def snapshot_download(name: str, **_: Any) -> str:
    """The hub of the desk."""
    return str(Path("hub") / name)


def names() -> Mapping[str, Any]:
    """What the reader has in hand."""
    model = network()
    field = model.field()
    images = digits(0, 60)
    return {
        "model": model,
        "network": torch.nn.Linear(2, 2),
        "field": field,
        "encode": model.encode,
        "decode": model.decode,
        "images": images,
        "train": images,
        "held_out": digits(200, 260),
        "new_images": digits(300, 340),
        "limits": sx.find_attractors(field, sx.starts.encoded(images[:10])),
        "starts": sx.starts.encoded(images),
        "protocol": sx.Protocol(max_steps=300),
        "loader": images.split(20),
        "train_on": lambda batch: model(batch),
        "fields": [
            tiny_models.seeded(lambda: DenseAutoencoder((1, SIDE, SIDE), 2)).field(),
            DenseAutoencoder((1, SIDE, SIDE), 2).field(),
        ],
        "epochs": [1, 2],
        "photographs": digits(0, 8),
        "texts": [" ".join(["the cat sat on a mat and so it was"] * 2)] * 3,
        "tokens": torch.arange(60).reshape(3, 20) % 50,
        "my_loader": lambda request: network().field(request.spec),
    }
