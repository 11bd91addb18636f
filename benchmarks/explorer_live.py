"""The living page behind its server: how soon a click is answered, whether its orbits are Python's, and what 100,000 hostile messages do to it.

*A click*: from the pointer going down in Chromium to the end of the frame in which the picture of the new orbit's start is painted, and from asking for one
step to its point and its decoded picture, over the socket. The model is the k = 2 FashionMNIST autoencoder (or one of the same architecture with random
weights, where the data are absent), the clicks are at random places. Medians of fifty; the fastest stands beside them, because this machine may have other
work. *Orbits* from 200 random starts of the plane are followed by the page and by Python, every point compared, and the limit set. *Hostile messages* (`hostile.py`) come over eight sockets at once, beside raw bytes to the port, pings from somebody who reads no answer, and a
page that goes on clicking. The server is a process of its own; its memory is what the kernel says.

    python benchmarks/explorer_live.py [clicks]
"""

from __future__ import annotations

import json
import logging
import os
import random
import socket
import statistics
import struct
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import torch
from explorer_engines import CHROMIUM, FLAGS, model
from hostile import hostile
from torch import Tensor
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

import separatrix as sx
from separatrix.explorer import scene_of, serve
from separatrix.explorer._answers import Answers, Ask, Part
from separatrix.report import ModelResults

CLICKS, ORBITS, MESSAGES, SOCKETS, RAW, BAR = 50, 200, 100_000, 8, 300, 50.0
_LAST = b"last"  # the number of the question after which everything has been read
_CLICKED = """() => new Promise(done => {
  const canvas = document.getElementById('now'), to = canvas.getContext('2d'), top = document.getElementById('plane-top');
  let began;
  top.addEventListener('pointerdown', event => { began = event.timeStamp; }, {capture: true, once: true});
  to.putImageData = function (...all) {
    delete to.putImageData;
    to.putImageData(...all);
    requestAnimationFrame(() => { const {port1, port2} = new MessageChannel(); port1.onmessage = () => { window.clicked = performance.now() - began; }; port2.postMessage(0); });
  };
  done();
})"""
_STEP = """async () => {
  const {backend, plane} = separatrix, [left, right, bottom, top] = separatrix.scene.about.plane.extent;
  const z = plane.lift(left + .3 * (right - left), bottom + .6 * (top - bottom));
  const one = async () => { const t = performance.now(); const [next] = await backend.step(z, 1); await backend.decode(next.z); return performance.now() - t; };
  for (let i = 0; i < 20; i++) await one();
  const times = []; for (let i = 0; i < COUNT; i++) times.push(await one());
  return times;
}"""

_ORBITS = """starts => {
  const {orbit} = separatrix.start(Float32Array.from(starts[0]), false);
  return Promise.all(starts.map(async z => {
    const each = new orbit.constructor(Float32Array.from(z), separatrix.backend, separatrix.journey.fates);
    await each.finish();
    return [each.points.map(p => Array.from(p.z)), each.fate];
  }));
}"""


def searched() -> tuple[sx.LatentField, sx.LimitSets]:
    """The field and its limit sets."""
    field = model().field("FashionMNIST, k = 2")
    return field, sx.find_attractors(field, sx.starts.gaussian(128, seed=0, std=5.0))


def served() -> None:
    """The server, as a process of its own."""
    field, limits = searched()
    results = ModelResults(title=field.name, subtitle="", latent_field=field, searches={"noise": limits})
    serve(scene_of(results, live=True), field, browser=False)


def in_chromium(url: str) -> dict[str, Any]:
    """Milliseconds from a click to its first frame, and of a step with its picture; and the page's orbits beside Python's."""
    from playwright.sync_api import sync_playwright

    draw, found = random.Random(0), []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_context(viewport={"width": 1280, "height": 1200}).new_page()
        page.goto(url)
        page.wait_for_selector("html[data-separatrix=ready]", timeout=60_000)
        page.wait_for_timeout(1000)
        box = page.locator("#plane-top").bounding_box()
        assert box is not None
        while len(found) < CLICKS:
            x, y = (draw.uniform(0.05, 0.95) for _ in range(2))
            page.evaluate("window.clicked = undefined")
            page.evaluate(_CLICKED)
            page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])
            for _ in range(200):
                page.wait_for_timeout(20)
                if (took := page.evaluate("window.clicked")) is not None:
                    found.append(took)
                    break
            page.wait_for_timeout(300)
        steps = page.evaluate(_STEP.replace("COUNT", str(CLICKS)))
        left, right, bottom, top = page.evaluate("separatrix.scene.about.plane.extent")
        uniform = torch.rand(ORBITS, 2, generator=torch.Generator().manual_seed(7))
        starts = torch.tensor([left, bottom]) + uniform * torch.tensor([right - left, top - bottom])
        orbits = page.evaluate(_ORBITS, starts.tolist())
        browser.close()
    times = {"click": found, "step": steps}
    return {
        **{name: {"median": statistics.median(values), "best": min(values)} for name, values in times.items()},
        "orbits": compared(starts, orbits),
    }


def compared(starts: Tensor, orbits: list[Any]) -> dict[str, float]:
    """The largest relative difference of a point from Python's, and how many orbits end on Python's limit set."""
    field, limits = searched()
    wanted = sx.find_attractors(field, starts)
    same = sx.limitsets.same_sets(wanted, limits)
    worst, agree = 0.0, 0
    for row, (path, fate) in enumerate(orbits):
        z = starts[row : row + 1]
        for point in path:
            worst = max(worst, float((torch.tensor([point]) - z).norm() / z.norm()))
            z = field(z)
        end = int(wanted.labels[row])
        agree += (fate["set"] if fate["kind"] == "arrived" else -1) == (int(same[end]) if end >= 0 else -1)
    return {"count": len(orbits), "steps": sum(len(path) - 1 for path, _ in orbits), "worst": worst, "same_end": agree}


def opened(url: str) -> ClientConnection:
    """A socket as the page has it."""
    parts = urlsplit(url)
    origin: Any = f"http://{parts.netloc}"
    return connect(f"ws://{parts.netloc}{parts.path}socket", origin=origin, max_size=None, compression=None)


def flooded(url: str, process: int) -> dict[str, Any]:
    """Send all of it, while a page goes on asking."""
    largest = Answers(model().field()).largest
    parts, lock = urlsplit(url), threading.Lock()
    counts = {"sent": 0, "answers": 0, "errors": 0, "closed": 0, "raw": 0}
    before, over = _memory(process, "VmRSS"), threading.Event()

    def read(at: ClientConnection) -> None:
        with suppress(ConnectionClosed):
            for frame in at:
                with lock:
                    counts["errors" if frame[4] == Part.ERROR else "answers"] += frame[4] != Part.MORE
                if frame[:4] == _LAST:
                    at.close()

    def one(seed: int) -> None:
        at = reader = None
        for message in hostile(MESSAGES // SOCKETS, 2, largest, seed=seed, huge=2000):
            while True:
                try:
                    if at is None:
                        at = opened(url)
                        reader = threading.Thread(target=read, args=(at,), daemon=True)
                        reader.start()
                    at.send(message)
                    if len(message) > largest:  # it ends the connection, and what followed would not be read
                        reader.join(120)
                        at = None
                    break
                except (ConnectionClosed, OSError):
                    at = None
            with lock:
                counts["sent"] += 1
                counts["closed"] += at is None
        if at is not None and reader is not None:
            at.send(_LAST + struct.pack("<BBH2f", Ask.STEP, 1, 1, 0.3, 0.4))
            reader.join(300)

    def raw() -> None:
        draw = random.Random(99)
        for index in range(RAW):
            with suppress(OSError), socket.create_connection((parts.hostname, parts.port), timeout=5) as at:
                head = b"" if index % 3 else f"GET {parts.path}socket HTTP/1.1\r\nHost: {parts.netloc}\r\n".encode()
                at.sendall(head + draw.randbytes(draw.randrange(1, 100_000)))
            counts["raw"] += 1

    def deaf() -> None:
        """Asks for the largest answers and pings, and reads nothing."""
        while not over.is_set():
            with suppress(ConnectionClosed, OSError), opened(url) as at:
                question = struct.pack("<IBBH", 1, Ask.FIELD, 1, 0) + bytes(largest // 16 * 8 - 8)
                while not over.is_set():
                    at.send(question)
                    at.ping()

    slowest: list[float] = []

    def page() -> None:
        with opened(url) as at:
            while not over.is_set():
                began = time.perf_counter()
                at.send(struct.pack("<IBBH2f", 1, Ask.STEP, 1, 1, 0.3, 0.4))
                at.recv(timeout=120)
                slowest.append(1e3 * (time.perf_counter() - began))
                time.sleep(0.05)

    beside = [threading.Thread(target=each, daemon=True) for each in (deaf, page)]
    work = [threading.Thread(target=one, args=(seed,)) for seed in range(SOCKETS)] + [threading.Thread(target=raw)]
    for each in beside + work:
        each.start()
    for each in work:
        each.join()
    over.set()
    beside[1].join(120)
    with opened(url) as at:
        at.send(struct.pack("<IBBH2f", 7, Ask.STEP, 1, 3, 0.3, 0.4))
        lives = len(at.recv(timeout=120)) == 8 + 3 * 8
    return {
        **counts, "lives": lives, "mb_before": before / 1024, "mb_most": _memory(process, "VmHWM") / 1024, "mb_after": _memory(process, "VmRSS") / 1024,
        "page_median_ms": statistics.median(slowest), "page_worst_ms": max(slowest),
    }  # fmt: skip


def _memory(process: int, name: str) -> int:
    """In kB."""
    text = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    return int(next(line for line in text.splitlines() if line.startswith(name)).split()[1])


def page(record: dict[str, Any]) -> str:
    """The tables as they are committed."""
    click, step, orbits, flood = (record[name] for name in ("click", "step", "orbits", "flood"))
    return "\n".join([
        "Measured by `python benchmarks/explorer_live.py`: medians of fifty (best), k = 2, 28×28, Chromium.", "",
        "| | took | bar |", "|---|---|---|",
        f"| a click to its first frame | {click['median']:.0f} ms ({click['best']:.0f}) | ≤ {BAR:.0f} ms |",
        f"| a step with its picture, over the socket | {step['median']:.1f} ms ({step['best']:.1f}) | – |", "",
        f"Of {orbits['count']} orbits from random starts ({orbits['steps']:,} steps) no point differs from Python's by more than {orbits['worst']:.1e} of its "
        f"size (bar 1e-4), and {orbits['same_end']} end on Python's limit set.", "",
        f"{flood['sent']:,} hostile messages over {SOCKETS} sockets, {flood['raw']} connections of raw bytes, and somebody who pings and reads nothing:", "",
        "| | |", "|---|---|",
        f"| answered with a sentence | {flood['errors']:,} |",
        f"| answered, because they were questions after all | {flood['answers']:,} |",
        f"| connections closed, for a message that was too big | {flood['closed']:,} |",
        f"| a page that goes on asking: median, worst | {flood['page_median_ms']:.0f} ms, {flood['page_worst_ms']:.0f} ms |",
        f"| memory before, most, after | {flood['mb_before']:.0f} MB, {flood['mb_most']:.0f} MB, {flood['mb_after']:.0f} MB |",
        f"| answers correctly afterwards | {'yes' if flood['lives'] else 'no'} |",
    ]) + "\n"  # fmt: skip


def main() -> None:
    """Measure, print, write."""
    to = Path(__file__).parent / "results"
    process = subprocess.Popen([sys.executable, __file__, "serve"], stdout=subprocess.PIPE, text=True, env=os.environ)
    assert process.stdout is not None
    try:
        url = process.stdout.readline().strip()
        idle = opened(url)  # so that it does not end between the two
        record = in_chromium(url)
        print(record, flush=True)
        known = to / "explorer_live.json"
        again = sys.argv[1:] == ["clicks"]  # whose times say something only where nothing else runs
        record["flood"] = json.loads(known.read_text(encoding="utf-8"))["flood"] if again else flooded(url, process.pid)
        idle.close()
    finally:
        process.terminate()
        process.wait(30)
    print(page(record))
    (to / "explorer_live.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    (to / "explorer_live.md").write_text(page(record), encoding="utf-8")


if __name__ == "__main__":
    logging.getLogger("websockets.client").setLevel(logging.CRITICAL)  # connections are cut on purpose
    served() if sys.argv[1:] == ["serve"] else main()
