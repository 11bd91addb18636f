"""Scoring of tar shards against the bare network, on the same pictures and at as many evaluations.

    python benchmarks/score_shards.py [--quick] [--out benchmarks/results]

Shards of PNGs 28×28 are written to a temporary folder and scored into a table by `separatrix.ood.score_to_table`, with the typicality detector and ten steps.
Side by side, round by round: the bare network (E, f for every step, D of the reconstruction) on the same pixels, which are in memory already; reading the shards;
decoding their PNGs, which any network needs; and the detector alone on those pixels. Processor seconds on one thread, medians over the rounds, because the machine may have other work.
The pace is the bare network's seconds over those of the table less decoding. Pictures are random and repeat per shard, which costs as much as others.
Writes score_shards.json and .md.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import tarfile
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from omp import processor
from PIL import Image
from torch import nn

import separatrix as sx
from separatrix.data._picture_stream import decoded_block
from separatrix.data._shards import pictures_in
from separatrix.data._sources import files_of
from separatrix.limitsets._assemble import versions
from separatrix.models import ConvAutoencoder
from separatrix.ood._score_task import BLOCK

SHAPE = (1, 28, 28)
STEPS = 10
MILLION = 1_000_000
NETWORKS = {"8 channels": (8, 4, 500), "32 channels": (32, 2, 300)}  # base channels, shards, pictures in each


@dataclass
class Row:
    """One network: processor seconds, medians."""

    name: str
    parameters: int
    shards: int
    pictures: int
    evaluations: float  # of f per picture, as they were counted
    bare: float
    table: float  # everything, from the files to the table
    reading: float  # the members of the shards, not decoded
    decoding: float
    scoring: float  # the detector alone, on the pixels in memory
    pace: float  # median over rounds of bare / (table − decoding)


def lively(channels: int) -> ConvAutoencoder:
    """An untrained autoencoder whose orbits do not come to rest, so that every step is made."""
    torch.manual_seed(0)
    model = ConvAutoencoder(SHAPE, 16, base_channels=channels)
    with torch.no_grad():
        for part in model.modules():
            if isinstance(part, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
                part.weight *= 2
    return model.eval()


def write_shards(folder: Path, shards: int, count: int) -> None:
    """Tar files in WebDataset's layout, with a label beside every picture."""
    pixels = torch.randint(0, 256, (count, *SHAPE[1:]), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    for shard in range(shards):
        with tarfile.open(folder / f"{shard:06d}.tar", "w") as archive:
            for index, image in enumerate(pixels.roll(shard, 0).numpy()):
                content = io.BytesIO()
                Image.fromarray(image).save(content, "PNG")
                for ending, data in (("png", content.getvalue()), ("cls", b"7")):
                    entry = tarfile.TarInfo(f"{shard:06d}{index:06d}.{ending}")
                    entry.size = len(data)
                    archive.addfile(entry, io.BytesIO(data))


def took(work: Callable[[], Any]) -> float:
    """Processor seconds."""
    began = time.process_time()
    work()
    return time.process_time() - began


def evaluations(model: ConvAutoencoder, detector: Any, pixels: torch.Tensor) -> float:
    """Evaluations of f per picture: those rows that are encoded after the picture itself."""
    rows: list[int] = []
    hook = model.encoder.register_forward_hook(lambda _, __, out: rows.append(len(out)))
    detector.score(pixels)
    hook.remove()
    return sum(rows) / len(pixels) - 1


def encoded(folder: Path) -> Iterator[list[Any]]:
    """The pictures of all shards in blocks, not decoded."""
    for file in files_of([folder]):
        pictures = pictures_in(file)
        while some := list(islice(pictures, BLOCK)):
            yield some


def measured(name: str, rounds: int, quick: bool) -> Row:
    """One network, on its shards."""
    channels, shards, count = NETWORKS[name]
    if quick:
        count //= 10
    model = lively(channels)
    field = model.field()
    fit = torch.rand(200, *SHAPE, generator=torch.Generator().manual_seed(2))
    detector = sx.TypicalityDetector(field, steps=STEPS).fit(fit)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "shards"
        folder.mkdir()
        write_shards(folder, shards, count)
        blocks = list(encoded(folder))
        pixels = [decoded_block(block, SHAPE, False, None).block.pixels for block in blocks]
        made = evaluations(model, detector, pixels[0])

        def bare() -> None:
            with field.guest():
                for part in (part for block in pixels for part in block.split(128)):
                    z = field.encode(part)
                    for _ in range(round(made)):
                        z = field.bare(z)
                    field.decode(z)

        def table(number: int) -> None:
            sx.ood.score_to_table(detector, folder, Path(place) / f"{number}.csv", fpr=0.05)

        table(-1)
        seconds = [
            (
                took(bare),
                took(lambda number=number: table(number)),  # type: ignore[misc]
                took(lambda: list(encoded(folder))),
                took(lambda: [decoded_block(block, SHAPE, False, None) for block in blocks]),
                took(lambda: [detector.score(block) for block in pixels]),
            )
            for number in range(rounds)
        ]
    paces = [bare / (table - decoding) for bare, table, _, decoding, _ in seconds]
    middle = [statistics.median(column) for column in zip(*seconds, strict=True)]
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return Row(name, parameters, shards, shards * count, made, *middle, statistics.median(paces))


def page(record: dict[str, Any]) -> str:
    """The table as it is committed."""
    rows = [Row(**row) for row in record["rows"]]
    lines = [
        f"Measured by `python benchmarks/score_shards.py` ({record['machine']}, one thread, processor seconds, medians of {record['rounds']} rounds side by",
        "side). Tar shards of PNGs 28×28 are scored into a table with the typicality detector; *bare* is the network alone on the same pixels, at as many",
        "evaluations. *Pace*: bare over table less decoding, which any network needs. *Detector*: it alone, on the",
        "pixels in memory. Hours for a million are those of one core, by proportion.",
        "",
        "| network | parameters | shards | pictures | f per picture | bare, ms per picture | table | reading | decoding | detector | pace | with decoding | 10⁶ pictures |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        each = [
            f"{1000 * value / row.pictures:.3f}"
            for value in (row.bare, row.table, row.reading, row.decoding, row.scoring)
        ]
        lines.append(
            f"| {row.name} | {row.parameters:,} | {row.shards} | {row.pictures:,} | {row.evaluations:.1f} | {' | '.join(each)} | {row.pace:.1%} | "
            f"{row.bare / row.table:.1%} | {row.table / row.pictures * MILLION / 3600:.1f} h |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the pictures, to see that it runs")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", sx.errors.SeparatrixWarning)
    rows = [asdict(measured(name, options.rounds, options.quick)) for name in NETWORKS]
    record = {"machine": processor(), "versions": versions(), "rounds": options.rounds, "rows": rows}
    print(page(record))
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "score_shards.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    (options.out / "score_shards.md").write_text(page(record), encoding="utf-8")


if __name__ == "__main__":
    main()
