"""Living pages of real models, used in Chromium as a reader would: what a click does there, how much of the arrows a plane leaves out, what goes round.

    SEPARATRIX_DATA=... python reproduce/living_pages.py [--only conv32] [--pictures FOLDER] [--shown docs]

The demo's model; a VAE of dSprites and a β-VAE of MNIST (trained by others); a FashionMNIST autoencoder of 32 latents with a closed curve; TAEF2, the
tiny autoencoder of FLUX.2's latents, at 64 pixels (2,048 latents, orbits of 60 steps). Each page is opened from its file, offline; an orbit is started from
the plane, one from noise, and another plane is chosen where k > 2. Then it is said what the page said. Writes living_pages.json and .md, and with --shown
explorer.png and explorer-dark.png, the closed curve as README shows it, and the same of a narrow window (explorer-narrow.png, explorer-narrow-dark.png).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

import separatrix as sx
from separatrix.errors import ConvergenceWarning
from separatrix.explorer import explorer_page, scene_of
from separatrix.report import ModelResults
from separatrix.runs import demo, explore_run

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from explorer_engines import CHROMIUM, FLAGS
from real_models import burgess_case, fashion_case

NAMES = ("demo", "VAE_dsprites", "betaB_mnist", "conv32", "taef2")
STARTS = 200  # of the searches
# Pictures of README: how wide the window is, how much of a page is shown from the top of its plane, where the pointer is in the plane, and pixels per pixel.
SHOWN = {"explorer": (1240, 730, (330, 300), 1), "explorer-narrow": (390, 640, (180, 165), 2)}
PATIENCE = 60  # seconds for each act in a page


def page_of(name: str, data: Path, to: Path) -> Path:
    """Search, and write the page."""
    path = to / f"{name}.html"
    if path.exists():
        return path
    if name == "demo":
        with tempfile.TemporaryDirectory() as folder:
            demo(Path(folder) / "demo", figures=False, progress=False)
            explore_run(Path(folder) / "demo", out=path)
        return path
    protocol, sides = sx.Protocol(), {"field_side": 40, "basin_side": 28}
    if name == "taef2":
        field, protocol, sides = sx.load("taef2"), sx.Protocol(max_steps=60), {"field_side": 10, "basin_side": 4}
        with np.load(data / "data/bsds500_64px.npz") as photographs:
            images = torch.from_numpy(photographs["x"][:8]).permute(0, 3, 1, 2).float() / 255
        starts: Any = sx.starts.encoded(images)
        named = {f"photograph {i}": image for i, image in enumerate(images)}
    else:
        case = (fashion_case if name.startswith("conv") else burgess_case)(data, name)
        field, starts = case.field, case.starts[:STARTS]
        named = {f"test image {i}": image for i, image in enumerate(_images(name, data)[:12])}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        limits = sx.find_attractors(field, starts, protocol)
        results = ModelResults(title=name, subtitle="", latent_field=field, searches={"starts": limits}, inputs=named)
        scene = scene_of(results, **sides)
    path.write_text(explorer_page(scene), encoding="utf-8")
    return path


def _images(name: str, data: Path) -> torch.Tensor:
    """Test images as the model takes them; none are at hand of dSprites."""
    if name.endswith("dsprites"):
        return torch.zeros(0)
    with np.load(data / f"data/{'fashion_mnist' if name.startswith('conv') else 'mnist'}.npz") as arrays:
        images = torch.from_numpy(arrays["x_test"][:12]).float().unsqueeze(1) / 255
    if name.startswith("conv"):
        return images
    return torch.nn.functional.interpolate(images, size=32, mode="bilinear", align_corners=False)


def _until(page: Any, expression: str) -> bool:
    for _ in range(PATIENCE * 20):
        if page.evaluate(expression):
            return True
        page.wait_for_timeout(50)
    return False


def used(browser: Any, path: Path, pictures: Path | None) -> dict[str, Any]:
    """Do what a reader does, and keep what the page says."""
    context = browser.new_context(offline=True, viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(path.as_uri())
    page.wait_for_selector("html[data-separatrix=ready]", timeout=120_000)

    def until(expression: str) -> bool:
        return _until(page, expression)

    def kept(what: str) -> None:
        if pictures is not None:
            page.wait_for_timeout(1000)  # pictures are decoded after their step is known
            page.locator(".explorer").screenshot(path=pictures / f"{path.stem}-{what}.png")

    ended = "separatrix.journey.orbit?.done && !document.querySelector('#fate').textContent.startsWith('It ')"
    page.locator("#plane-top").click(position={"x": 180, "y": 140})
    until(ended)
    found: dict[str, Any] = {
        "model": path.stem,
        "k": page.evaluate("separatrix.scene.k"),
        "bytes": path.stat().st_size,
        "sets": page.evaluate("separatrix.scene.about.sets.length"),
        "inside": page.evaluate("separatrix.backend.anywhere"),
        "click": page.inner_text("#fate"),
    }
    kept("click")
    page.click("#start-noise")
    until("document.querySelector('#starts-words').textContent.includes('noise 1')")
    until(ended)
    found["noise"] = page.inner_text("#fate")
    if found["k"] > 2:
        moving = page.evaluate("separatrix.scene.about.sets.findIndex(row => row.moving)")
        kind = (
            "pca"
            if moving >= 0
            else "sets"
            if page.locator("#plane-kind option[value=sets]").count()
            else "coordinates"
        )
        page.select_option("#plane-kind", kind)
        until("document.querySelector('#plane-stop').hidden")
        found["plane"] = page.evaluate("separatrix.view.sheet.words")
        found["nodes"] = page.evaluate("separatrix.view.sheet.field.count")
        found["out"] = page.evaluate("separatrix.view.sheet.typicalOut")
        if moving >= 0:
            kind = page.evaluate(f"separatrix.scene.about.sets[{moving}].kind")
            found["round"] = {"kind": kind, **_round(page, moving, until)}
        kept("plane")
    page.set_viewport_size({"width": 390, "height": 900})
    page.emulate_media(color_scheme="dark")
    page.wait_for_timeout(500)
    kept("phone")
    found["complaints"] = complaints
    context.close()
    return found


def _round(page: Any, moving: int, until: Any) -> dict[str, float]:
    """Start beside what moves, let it play, and see how far the orbit comes around while it does."""
    page.evaluate(f"separatrix.start(separatrix.scene.trace({moving})[0].map(v => v * 1.02), true)")
    until(
        "separatrix.journey.orbit.arrived !== undefined && separatrix.journey.at > separatrix.journey.orbit.arrived + 250"
    )
    found: dict[str, float] = page.evaluate(
        """() => {
          const {orbit, at} = separatrix.journey, {plane} = separatrix.view.sheet;
          const seen = orbit.points.slice(orbit.arrived, at + 1).map(({z}) => plane.coordinates(z));
          const quarters = new Set(seen.map(([x, y]) => Math.floor(8 * (Math.atan2(y, x) / (2 * Math.PI) + .5)) % 8));
          return {steps: seen.length, eighths: quarters.size, playing: separatrix.journey.playing ? 1 : 0};
        }"""
    )
    return found


def shown(browser: Any, path: Path, folder: Path) -> None:
    """Draw the page while an orbit goes round, in light and dark, in a wide and in a narrow window."""
    for name, (width, height, (x, y), scale) in SHOWN.items():
        for scheme, suffix in (("light", ""), ("dark", "-dark")):
            context = browser.new_context(
                offline=True, viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce",
                device_scale_factor=scale,
            )  # fmt: skip
            page = context.new_page()
            page.goto(path.as_uri())
            page.wait_for_selector("html[data-separatrix=ready]", timeout=120_000)
            moving = page.evaluate("separatrix.scene.about.sets.findIndex(row => row.moving)")
            page.select_option("#plane-kind", "pca")
            _until(page, "document.querySelector('#plane-stop').hidden && !separatrix.view.streamless")
            page.evaluate(
                f"{{ const {{plane}} = separatrix.view.sheet, mean = plane.origin, z = separatrix.scene.trace({moving})[0];"
                " separatrix.start(z.map((v, i) => mean[i] + 1.7 * (v - mean[i])), true); }"
            )
            _until(page, "separatrix.journey.at > 40")
            page.click("#play")
            page.locator("#plane-top").hover(position={"x": x, "y": y})
            page.wait_for_timeout(1000)
            page.evaluate("scrollTo(0, 0)")
            box = page.locator(".explorer").bounding_box()
            page.screenshot(path=folder / f"{name}{suffix}.png", full_page=True, clip={**box, "height": height})
            context.close()


def table(record: Mapping[str, Any]) -> str:
    """The page as it is committed."""
    lines = [
        f"Written by `{record['command']}`: each page opened from its file, offline, in Chromium, and used.",
        "",
        "| model | latents | file | limit sets | a click in the plane | a start from noise | another plane; its nodes; out of it |",
        "|---|---:|---:|---:|---|---|---|",
    ]
    for row in record["rows"]:
        plane = "the plane is all there is" if row["k"] == 2 else f"{row['plane']}; {row['nodes']:,}; {row['out']:.0%}"
        lines.append(
            f"| {row['model']} | {row['k']:,} | {row['bytes'] / 1e6:.2f} MB | {row['sets']} | {row['click']} | {row['noise']} | {plane} |"
        )
    lines += [
        "",
        "*Out of it*: the median over the nodes of the share of an arrow's squared length that points out of the plane.",
    ]
    for row in record["rows"]:
        if "round" in row:
            lines.append(
                f"On the {row['round']['kind']} of {row['model']} the orbit went on for {row['round']['steps']} steps while it was watched and came through "
                f"{row['round']['eighths']} of the 8 eighths around the middle of its plane."
            )
    silent = all(not row["complaints"] for row in record["rows"])
    lines.append("No page had anything to complain of." if silent else "Some pages complained; see the numbers.")
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=NAMES, default=NAMES)
    parser.add_argument(
        "--pages", type=Path, help="a folder where the pages are kept, and taken from if they are there"
    )
    parser.add_argument("--pictures", type=Path, help="a folder for screenshots")
    parser.add_argument("--shown", type=Path, help="a folder for the pictures of README")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    data = Path(os.environ["SEPARATRIX_DATA"])
    for folder in filter(None, (options.pages, options.pictures)):
        folder.mkdir(parents=True, exist_ok=True)
    from playwright.sync_api import sync_playwright

    rows = []
    temporary = tempfile.mkdtemp()
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for name in options.only:
            path = page_of(name, data, options.pages or Path(temporary))
            rows.append(used(browser, path, options.pictures))
            print(rows[-1], flush=True)
            if name == "conv32" and options.shown:
                shown(browser, path, options.shown)
        browser.close()
    shutil.rmtree(temporary)
    record = {"command": "python reproduce/living_pages.py", "rows": rows}
    print(table(record))
    if tuple(options.only) == NAMES:
        (options.out / "living_pages.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        (options.out / "living_pages.md").write_text(table(record), encoding="utf-8")


if __name__ == "__main__":
    main()
