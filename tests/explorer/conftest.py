"""A small field with its living page, and a real Chromium to open it in."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import separatrix as sx
from separatrix.explorer import explorer_page, scene_of
from separatrix.limitsets import join_searches
from separatrix.models import load_model
from separatrix.report import ModelResults
from separatrix.runs import demo
from separatrix.runs._demo import _PLANS

CHROMIUM = os.environ.get("SEPARATRIX_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
AXE = Path(__file__).parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip


@pytest.fixture(scope="session")
def demo_folder(tmp_path_factory) -> Path:
    """The demo with the model that its living page is of, and no figures."""
    folder = tmp_path_factory.mktemp("explorer") / "demo"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("separatrix.runs._demo._PLANS", _PLANS[:1])
        demo(folder, figures=False, progress=False)
    return folder


@pytest.fixture(scope="session")
def demo_field(demo_folder) -> sx.LatentField:
    """Its model with two latent numbers."""
    return load_model(demo_folder / "k2" / "model.safetensors").eval().field("Two numbers, 1,400 digits")


@pytest.fixture(scope="session")
def demo_limits(demo_folder) -> sx.LimitSets:
    """The limit sets that its page names."""
    searches = [sx.load_result(demo_folder / "k2" / name) for name in ("from-digits", "from-noise")]
    return join_searches(searches)


@pytest.fixture(scope="session")
def precomputed_page(demo_field, demo_limits, tmp_path_factory) -> Path:
    """The same without the model."""
    results = ModelResults(title="No model", subtitle="", latent_field=demo_field, searches={"digits": demo_limits})
    path = tmp_path_factory.mktemp("precomputed") / "page.html"
    scene = scene_of(results, field_side=24, basin_side=16, model=False)
    path.write_text(explorer_page(scene), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Debian's Chromium, driven by Playwright."""
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: pip install -e .[dev]")
    if CHROMIUM is None:
        pytest.skip("No Chromium is on this machine (set SEPARATRIX_CHROMIUM, or install the package chromium).")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


class Visit:
    """A page as a reader has it: opened from the disk, offline; what it complains of and asks for is kept."""

    def __init__(
        self, browser: Any, path: Path | str, *, fragment: str = "", awake: bool = True, **options: Any
    ) -> None:
        options = {
            "offline": True,
            "viewport": {"width": 1280, "height": 900},
            "reduced_motion": "reduce",
            **options,
        }  # particles cost time
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on(
            "console", lambda said: self.complaints.append(said.text) if said.type in ("error", "warning") else None
        )
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda asked: self.requests.append(asked.url))
        self.home = "file:" if isinstance(path, Path) else path
        self.page.goto((path.as_uri() if isinstance(path, Path) else path) + fragment)
        if awake and options.get("java_script_enabled", True):
            self.page.wait_for_selector("html[data-separatrix=ready]", timeout=60_000)

    def until(self, expression: str) -> None:
        """Wait for something to be true; Playwright's own way evaluates text in the page, which its policy forbids."""
        for _ in range(3000):
            if self.page.evaluate(expression):
                return
            self.page.wait_for_timeout(10)
        raise AssertionError(f"never true: {expression}")

    def serious(self) -> list[tuple[str, list[str]]]:
        """What axe-core finds serious or critical on the page, and where."""
        if not AXE.is_file():
            pytest.skip("axe-core is not installed: npm ci --prefix web")
        self.page.evaluate(AXE.read_text(encoding="utf-8"))
        found = self.page.evaluate(
            "axe.run().then(r => r.violations.filter(v => ['serious', 'critical'].includes(v.impact)))"
        )
        return [(each["id"], [node["html"][:120] for node in each["nodes"]]) for each in found]

    def outside(self) -> list[str]:
        """Requests to anything but this file and what it made itself."""
        return [url for url in self.requests if not url.startswith((self.home, "blob:", "data:"))]

    def orbits(self, starts: list[list[float]]) -> list[dict[str, Any]]:
        """Orbits as the page follows them, one after the other: their points and what became of them."""
        found: list[dict[str, Any]] = self.page.evaluate(
            """async starts => {
              const made = [];
              for (const z of starts) {
                const {orbit, done} = separatrix.start(Float32Array.from(z), false);
                await done;
                made.push({z: orbit.points.map(p => Array.from(p.z)), t: orbit.points.map(p => p.t), fate: orbit.fate});
              }
              return made;
            }""",
            starts,
        )
        return found


@pytest.fixture
def visit(browser) -> Iterator[Any]:
    """Open a page; closed again at the end of the test."""
    opened: list[Visit] = []

    def go(path: Path, **options: Any) -> Visit:
        opened.append(Visit(browser, path, **options))
        return opened[-1]

    yield go
    for each in opened:
        each.context.close()


@pytest.fixture
def random_starts(demo_limits) -> torch.Tensor:
    """200 points over the part of the plane that the page shows."""
    low, high = demo_limits.points.amin(dim=0), demo_limits.points.amax(dim=0)
    middle, size = (low + high) / 2, (high - low).max()
    uniform = torch.rand(200, 2, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    return (middle + 1.2 * size * (uniform - 0.5)).float()
