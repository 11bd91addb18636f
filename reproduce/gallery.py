"""A gallery of known checkpoints: each with its living page and its report, and a page of cards that leads to them.

    SEPARATRIX_DATA=... python reproduce/gallery.py [--out gallery] [--only taef2 …]

The ten Burgess VAEs (trained by others), five FashionMNIST autoencoders, TAEF2 and VAElight at 64 pixels, and the digits of the documentation. Minutes on
one core; who stops it goes on with the same command. With all models it also writes results/gallery.json and the pictures of docs/gallery.md.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import separatrix as sx
from separatrix.explorer._gallery import labels_in_words, sets_in_words
from separatrix.runs import Exhibit, gallery
from separatrix.words import counted

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from burgess import NAMES
from real_models import fashion_case

ROOT = Path(__file__).parents[1]
MARK = "<!-- written by reproduce/gallery.py -->\n"
DATA = Path(os.environ.get("SEPARATRIX_DATA", "."))
STARTS, EXAMPLES = 50, 12
# Nothing settles in the first two; the third wanders for long.
STEPS = {"taef2": 60, "vaelight": 60, "fashion-conv8": 400}
SIDES = {"taef2": (10, 4), "vaelight": (16, 6), "fashion-conv8": (24, 6), "digits": (40, 30), "fashion-conv2": (40, 24)}
SLICED = (24, 10)  # points a side of the field and of the basins, where the plane is one of very many


@cache
def images_of(name: str, size: int | None = None) -> Tensor:
    """Test images of a data set."""
    source, key = DATA / f"data/{name}.npz", "x" if name.startswith("bsds") else "x_test"
    return sx.data.load_images(source, key=key, limit=STARTS, size=None if size is None else (size, size)).pixels


@cache
def digits() -> Tensor:
    from sklearn.datasets import load_digits

    return torch.from_numpy(np.float32(load_digits().images[:STARTS, None] / 16))


def exhibits() -> Iterator[Exhibit]:
    """All of them, in the order of their cards."""
    file = ROOT / "docs/static/digits.safetensors"
    yield _exhibit("digits", partial(sx.load, file), digits(), origin="docs/static/digits.safetensors")
    for name in ("conv2", "conv8", "conv32", "conv128", "fc"):
        yield _exhibit(f"fashion-{name}", lambda name=name: fashion_case(DATA, name).field, images_of("fashion_mnist"))
    for name in NAMES:
        pixels = images_of("mnist", 32) if name.endswith("mnist") else None  # of dSprites there are none at hand
        yield _exhibit(name, partial(sx.load, f"burgess/{name}"), pixels, origin=f"burgess/{name}")
    for name in ("taef2", "vaelight"):
        yield _exhibit(name, partial(sx.load, name), images_of("bsds500_64px")[:8], origin=name)


def _exhibit(name: str, load: Any, images: Tensor | None, **more: Any) -> Exhibit:
    field_side, basin_side = SIDES.get(name, SLICED)
    return Exhibit(
        name=name,
        load=load,
        starts=lambda: sx.starts.gaussian(STARTS, seed=0) if images is None else sx.starts.encoded(images),
        examples=None if images is None else images[:EXAMPLES],
        protocol=sx.Protocol(max_steps=STEPS[name]) if name in STEPS else None,
        field_side=field_side,
        basin_side=basin_side,
        **more,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("gallery"))
    parser.add_argument("--only", nargs="*", default=[])
    options = parser.parse_args()
    torch.set_num_threads(1)
    chosen = [each for each in exhibits() if not options.only or each.name in options.only]
    began = time.process_time()
    found = gallery(chosen, out=options.out, figures=False, progress=True)
    seconds = time.process_time() - began
    print(f"{found.index}: {len(found.records)} models, {seconds:.0f} s of one core")
    if not options.only and not found.failed:
        keep(found.records, found.index, seconds)


def keep(records: Any, index: Path, seconds: float) -> None:
    """Write what is committed: the numbers, the page of the documentation and its pictures."""
    record = {
        "command": "python reproduce/gallery.py",
        "torch": torch.__version__,
        "seconds": round(seconds),
        "models": list(records),
    }
    (ROOT / "reproduce/results/gallery.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    place = ROOT / "docs/pictures/gallery"
    place.mkdir(exist_ok=True)
    drawn = re.findall(r"<svg.*?</svg>", index.read_text(encoding="utf-8"), re.DOTALL)
    for each, picture in zip(records, drawn, strict=True):
        (place / f"{each['name']}.svg").write_text(alone(picture) + "\n", encoding="utf-8")
    page = ROOT / "docs/gallery.md"
    head = page.read_text(encoding="utf-8").partition(MARK)[0]
    page.write_text(head + MARK + table(record), encoding="utf-8")


def alone(picture: str) -> str:
    """The picture of a card as a file: its letters and discs are larger, because a page shows it in a column of 350 pixels."""
    larger = picture.replace('r="11"', 'r="17"').replace('width="18" height="18"', 'width="28" height="28"')
    larger = re.sub(
        r'(<rect x=")([\d.-]+)(" y=")([\d.-]+)',
        lambda at: f"{at[1]}{float(at[2]) - 5:.1f}{at[3]}{float(at[4]) - 5:.1f}",
        larger,
    )
    larger = re.sub(r'(<text x="[\d.-]+" y=")([\d.-]+)', lambda at: f"{at[1]}{float(at[2]) + 2.5:.1f}", larger)
    return larger.replace("<svg ", '<svg font-family="sans-serif" font-weight="700" font-size="20" ', 1)


def table(record: Any) -> str:
    """The cards as they stand in docs/gallery.md."""
    lines = [
        f"\n{len(record['models'])} models, {record['seconds'] / 60:.0f} minutes of one core, torch {record['torch']}.\n",
        "| field | what was found |",
        "|---|---|",
    ]
    for each in record["models"]:
        words = (
            f"**{each['name']}**, {counted(each['latent_dim'], 'latent number')}",
            f"{each['headline'].rstrip('.')}.",
            f"Limit sets: {sets_in_words(each)}. Labels: {labels_in_words(each)}.",
            f"The living page has {each['bytes'] / 1e6:.1f} MB{'' if each['model_inside'] else ', without the model'}.",
        )
        lines.append(f"| ![The field of {each['name']}](pictures/gallery/{each['name']}.svg) | {'<br>'.join(words)} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
