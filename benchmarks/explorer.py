"""Bars of the living page, in Chromium: how large the file is, how soon it can be used, how long a step takes, how many frames it draws.

Four pages. *Inside*, *precomputed*: the k = 2 FashionMNIST autoencoder (or one of the same architecture with random weights, where the data are absent), with
the model in the file and without it. *TAEF2*: a foundation model's tiny autoencoder at 64 pixels, 2,048 latents, in one file (where its weights are at hand). *3,025 sets*: a map
with an attractor at every whole number of a square. *Usable*: the plane is drawn, the model has passed its test and a click starts an orbit. *On the screen*:
the first frame of that is done. *Step*: from
asking for one step to its point and its decoded picture, both in the page's main thread. Throttled: four times, as Chromium does it, which slows the page and
not its worker. *Scrolling*: frames per second while the table runs from its first set to its last. Medians of ten page loads; the best stands beside
them, because this machine may have other work.

    python benchmarks/explorer.py [--only inside] [--loads 3] [--pages FOLDER] [--out FOLDER]
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from explorer_engines import CHROMIUM, FLAGS, model

import separatrix as sx
from separatrix.errors import ConvergenceWarning
from separatrix.explorer import explorer_page, scene_of
from separatrix.explorer._scene import BASIN_SIDE
from separatrix.limitsets import grid_search
from separatrix.plots import Plane
from separatrix.report import ModelResults

LOADS, STARTS, THROTTLE = 10, 128, 4
BARS: dict[str, dict[str, float]] = {
    "inside": {
        "bytes": 6e6,
        "usable_ms": 500,
        "step_ms": 16,
        "throttled_usable_ms": 2000,
        "throttled_step_ms": 60,
        "frames": 60,
    },
    "precomputed": {"bytes": 1e6, "usable_ms": 100},
    "TAEF2": {"bytes": 16e6, "step_ms": 1000},
    "3,025 sets": {"usable_ms": 1000, "scrolling": 60},
}
WORDS = {
    "bytes": "size of the file", "usable_ms": "usable after", "shown_ms": "on the screen after", "step_ms": "a step with its picture", "many_ms": "a step among many",
    "throttled_usable_ms": "usable after, throttled", "throttled_shown_ms": "on the screen after, throttled", "throttled_step_ms": "a step with its picture, throttled", "frames": "frames per second at 1920×1080",
    "scrolling": "frames per second while the table scrolls",
}  # fmt: skip
_MEASURE = """async () => {
  const {backend, plane} = separatrix, [left, right, bottom, top] = separatrix.scene.about.plane.extent;
  const z = backend.snap(plane.lift(left + .3 * (right - left), bottom + .6 * (top - bottom)));
  const one = async () => { const t = performance.now(); const [next] = await backend.step(z, 1); await backend.decode(next.z); return performance.now() - t; };
  const first = await one(), times = [], runs = first < 100 ? 50 : 3;
  for (let i = 0; i < runs * .4; i++) await one();
  for (let i = 0; i < runs; i++) times.push(await one());
  const t = performance.now(); await backend.step(z, 4 * runs);
  return {step: times.sort((a, b) => a - b)[runs >> 1], many: (performance.now() - t) / (4 * runs)};
}"""
_SHOWN = """() => new Promise(done => {
  const look = () => { const [mark] = performance.getEntriesByName('separatrix-shown'); mark ? done(mark.startTime) : setTimeout(look, 10); };
  look();
})"""
_FRAMES = """() => new Promise(done => {
  let frames = 0, began; const frame = now => { began ??= now; if (now - began > 2000) return done(1000 * frames / (now - began)); frames++; requestAnimationFrame(frame); };
  requestAnimationFrame(frame);
})"""

_SCROLL = """() => new Promise(done => {
  const box = document.querySelector('#sets-box'); box.scrollIntoView();
  let frames = 0, began; const frame = now => {
    began ??= now; const share = (now - began) / 2000;
    if (share > 1) return done(frames / 2); frames++; box.scrollTop = share * (box.scrollHeight - box.clientHeight); requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
})"""


def _autoencoder(inside: bool) -> str:
    field = model().field("FashionMNIST, k = 2")
    limits = sx.find_attractors(field, sx.starts.gaussian(STARTS, seed=0, std=5.0))
    extent = Plane.of(limits).extent(limits)
    results = ModelResults(
        title="FashionMNIST, k = 2", subtitle="", latent_field=field, searches={"noise": limits},
        grid=grid_search(field, extent, BASIN_SIDE, known=limits),
    )  # fmt: skip
    return explorer_page(scene_of(results, model=inside))


def _taef2() -> str:
    taef2 = sx.load("taef2")
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    return _page("taef2", taef2, taef2.encode(images), sx.Protocol(max_steps=10), field_side=6, basin_side=3)


def _lattice() -> str:
    field = sx.LatentField.from_map(lambda z: z - 0.1 * torch.sin(2 * math.pi * z), latent_shape=(2,))
    whole = torch.cartesian_prod(torch.arange(55.0), torch.arange(55.0))
    return _page("many", field, whole + 0.1, sx.Protocol(), field_side=20, basin_side=12)


MADE: dict[str, Callable[[], str]] = {
    "inside": lambda: _autoencoder(True),
    "precomputed": lambda: _autoencoder(False),
    "3,025 sets": _lattice,
    **({"TAEF2": _taef2} if os.environ.get("SEPARATRIX_DATA") else {}),
}


def _page(name: str, field: sx.LatentField, starts: torch.Tensor, protocol: sx.Protocol, **sides: int) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        limits = sx.find_attractors(field, starts, protocol)
        results = ModelResults(title=name, subtitle="", latent_field=field, searches={"starts": limits})
        return explorer_page(scene_of(results, **sides))


def page_of(name: str, folder: Path) -> Path:
    """The file of a page; one that is there is taken."""
    path = folder / f"{name}.html"
    if not path.exists():
        path.write_text(MADE[name](), encoding="utf-8")
    return path


def measured(path: Path, loads: int) -> dict[str, dict[str, float]]:
    """Every number as its median and its best of all loads; a page that has them beside it was measured before."""
    from playwright.sync_api import sync_playwright

    found: dict[str, list[float]] = {}
    known = path.with_name(f"{path.stem}.{loads}.json")
    if known.exists():
        numbers: dict[str, dict[str, float]] = json.loads(known.read_text(encoding="utf-8"))
        return numbers

    def load(browser: Any, prefix: str, throttle: float) -> None:
        context = browser.new_context(offline=True, viewport={"width": 1920, "height": 1080})
        page = context.new_page()
        context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": throttle})
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-separatrix=ready]", timeout=60_000)
        usable = page.evaluate("performance.getEntriesByName('separatrix-ready')[0].startTime")
        found.setdefault(f"{prefix}usable_ms", []).append(usable)
        found.setdefault(f"{prefix}shown_ms", []).append(page.evaluate(_SHOWN))
        if page.evaluate("separatrix.backend.anywhere"):
            step = page.evaluate(_MEASURE)
            found.setdefault(f"{prefix}step_ms", []).append(step["step"])
            if not prefix:
                found.setdefault("many_ms", []).append(step["many"])
        if not prefix:
            found.setdefault("frames", []).append(page.evaluate(_FRAMES))
            if page.evaluate("separatrix.scene.about.sets.length") > 1000:
                found.setdefault("scrolling", []).append(page.evaluate(_SCROLL))
        context.close()

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for _ in range(loads):
            load(browser, "", 1)
            load(browser, "throttled_", THROTTLE)
        browser.close()
    numbers = {
        name: {
            "median": statistics.median(values),
            "best": max(values) if name in ("frames", "scrolling") else min(values),
        }
        for name, values in found.items()
    }
    numbers = {"bytes": {"median": path.stat().st_size, "best": path.stat().st_size}, **numbers}
    known.write_text(json.dumps(numbers), encoding="utf-8")
    print(*rows(path.stem, numbers), sep="\n", flush=True)
    return numbers


def page(record: dict[str, Any]) -> str:
    """The table as it is committed."""
    lines = [f"Measured by `python benchmarks/explorer.py`: medians of {record['loads']} loads (best); k = 2, 28×28, where nothing else is said.", "",
             "| page | | median (best) | bar |", "|---|---|---:|---:|"]  # fmt: skip
    lines += [row for form, numbers in record["pages"].items() for row in rows(form, numbers)]
    return "\n".join(lines) + "\n"


def rows(form: str, numbers: dict[str, dict[str, float]]) -> list[str]:
    """The lines of one page in the table."""
    return [
        f"| {form} | {words} | {_said(name, numbers[name])} | {_said(name, BARS[form].get(name))} |"
        for name, words in WORDS.items()
        if name in numbers
    ]


def _said(name: str, value: Any) -> str:
    if value is None:
        return "–"
    pattern = (
        "{:.2f} MB"
        if name == "bytes"
        else "{:.0f}"
        if name in ("frames", "scrolling")
        else "{:.2f} ms"
        if name.endswith(("step_ms", "many_ms"))
        else "{:.0f} ms"
    )
    scale = 1e-6 if name == "bytes" else 1
    if not isinstance(value, dict):
        return f"{'≥' if name in ('frames', 'scrolling') else '≤'} {pattern.format(value * scale)}"
    best = "" if name == "bytes" else f" ({pattern.format(value['best'] * scale).split()[0]})"
    return pattern.format(value["median"] * scale) + best


def main() -> None:
    """Measure and print; write where all pages were measured, or where a folder is given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", nargs="+", choices=list(MADE), default=list(MADE), metavar="PAGE", help=", ".join(MADE)
    )
    parser.add_argument("--loads", type=int, default=LOADS, help="of each page, plain and throttled (%(default)s)")
    parser.add_argument(
        "--pages",
        type=Path,
        help="a folder where pages and their numbers are kept, so that a run that was stopped goes on",
    )
    parser.add_argument("--out", type=Path, help="a folder for explorer.json and .md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder: Path = options.pages or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        pages = {name: measured(page_of(name, folder), options.loads) for name in options.only}
    record = {"loads": options.loads, "pages": pages}
    print(page(record))
    whole = options.only == list(MADE) and options.loads == LOADS
    to: Path | None = options.out or (Path(__file__).parent / "results" if whole else None)
    if to is not None:
        to.mkdir(parents=True, exist_ok=True)
        (to / "explorer.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        (to / "explorer.md").write_text(page(record), encoding="utf-8")


if __name__ == "__main__":
    main()
