"""A report of 3,025 attractors in Chromium: how large it is, how soon it is there, and how smoothly it scrolls.

The map has an attractor at every whole number of a square of 55 × 55, and decodes a latent to 28 × 28 pixels, so that every attractor has its card with its picture. *Seen*: from
the beginning of the navigation to the first paint. *Whole*: until all of it is there; beside it the processor time of the page's main thread until then, which other work on the
machine lengthens less. *Scrolling*: frames per second while the list of cards runs from its first to its last within two seconds. Medians of ten loads; the best stands beside them, because this machine may have other work.

    python benchmarks/report_large.py
"""

from __future__ import annotations

import json
import math
import statistics
import tempfile
from pathlib import Path
from typing import Any

import torch
from explorer_engines import CHROMIUM, FLAGS
from torch import Tensor

import separatrix as sx

LOADS, SIDE = 10, 55
WORDS = {
    "seen_ms": "seen after, ms", "whole_ms": "whole after, ms", "processor_ms": "of which processor time, ms", "frames": "frames per second while the cards scroll",
}  # fmt: skip
BARS = {"seen_ms": "≤ 1000", "whole_ms": "≤ 1000", "processor_ms": "–", "frames": "60"}
_SCROLL = """box => new Promise(done => {
  box.scrollIntoView();
  let frames = 0, began; const frame = now => {
    began ??= now; const share = (now - began) / 2000;
    if (share > 1) return done(frames / 2); frames++; box.scrollTop = share * (box.scrollHeight - box.clientHeight); requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
})"""


def lattice() -> sx.LatentField:
    """f(z) = z − 0.9 sin(2πz)/2π, by way of 28 × 28 pixels."""
    basis = torch.randn(2, 784, generator=torch.Generator().manual_seed(0))
    back = torch.linalg.pinv(basis)

    def decode(z: Tensor) -> Tensor:
        return torch.sigmoid(0.02 * (z @ basis)).reshape(-1, 1, 28, 28)

    def encode(x: Tensor) -> Tensor:
        z = torch.logit(x.flatten(1), eps=1e-6) @ back / 0.02
        return z - 0.9 * torch.sin(2 * math.pi * z) / (2 * math.pi)

    return sx.LatentField(encode, decode, latent_shape=(2,), dtype=torch.float32, name="3,025 wells")


def measured(path: Path) -> dict[str, Any]:
    """Every number as its median and its best of ten loads."""
    from playwright.sync_api import sync_playwright

    found: dict[str, list[float]] = {name: [] for name in BARS}
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for _ in range(LOADS):
            context = browser.new_context(offline=True, viewport={"width": 1280, "height": 900})
            page = context.new_page()
            session = context.new_cdp_session(page)
            session.send("Performance.enable", {"timeDomain": "threadTicks"})
            page.goto(path.as_uri(), timeout=120_000)
            metrics = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
            found["processor_ms"].append(1000 * metrics["TaskDuration"])
            found["seen_ms"].append(page.evaluate("performance.getEntriesByName('first-paint')[0].startTime"))
            found["whole_ms"].append(page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd"))
            found["frames"].append(page.locator(".many").evaluate(_SCROLL))
            context.close()
        browser.close()
    best = {name: (max if name == "frames" else min)(values) for name, values in found.items()}
    return {name: {"median": statistics.median(values), "best": best[name]} for name, values in found.items()}


def page(record: dict[str, Any]) -> str:
    """The table as it is committed."""
    rows = [
        f"| {words} | {record[name]['median']:.0f} ({record[name]['best']:.0f}) | {BARS[name]} |"
        for name, words in WORDS.items()
    ]
    head = f"Measured by `python benchmarks/report_large.py`: a report of {record['attractors']:,} attractors, {record['bytes'] / 1e6:.1f} MB; medians of ten loads (best)."
    return "\n".join([head, "", "| | took | bar |", "|---|---|---|", *rows]) + "\n"


def main() -> None:
    """Measure, print, write."""
    whole = torch.cartesian_prod(torch.arange(float(SIDE)), torch.arange(float(SIDE))) - SIDE // 2
    with tempfile.TemporaryDirectory() as place:
        run = sx.runs.attractors(lattice(), sx.starts.points(whole + 0.1), out=Path(place) / "run")
        assert run.report is not None
        record = {"attractors": len(run.limits.attractors), "bytes": run.report.stat().st_size, **measured(run.report)}
    print(page(record))
    to = Path(__file__).parent / "results"
    (to / "report_large.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    (to / "report_large.md").write_text(page(record), encoding="utf-8")


if __name__ == "__main__":
    main()
