"""The widget in a real JupyterLab: a cell is run, its page answers a click through the kernel. Slow, and only where somebody has JupyterLab."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
import torch

pytest.importorskip("jupyterlab", reason="JupyterLab is not installed: pip install jupyterlab ipykernel")

CELL = """\
import torch, separatrix as sx
field = sx.LatentField.from_map(lambda z: torch.tanh(2 * z), latent_shape=(2,))
limits = sx.find_attractors(field, sx.starts.gaussian(64, seed=0))
sx.explorer.widget(field, limits)"""


def notebook() -> str:
    cell = {
        "cell_type": "code",
        "id": "one",
        "execution_count": None,
        "metadata": {},
        "outputs": [],
        "source": CELL,
    }
    kernel = {"name": "python3", "display_name": "Python 3"}
    return json.dumps({"cells": [cell], "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5})


@pytest.fixture
def lab(tmp_path):
    """The address of the notebook in a JupyterLab of its own."""
    (tmp_path / "page.ipynb").write_text(notebook())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    home = {"HOME": str(tmp_path), "JUPYTER_CONFIG_DIR": str(tmp_path / "config"), "IPYTHONDIR": str(tmp_path / "ipy")}
    options = [f"--ServerApp.port={port}", f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={tmp_path}"]
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", *options]
    log = (tmp_path / "log").open("w")
    server = subprocess.Popen(command, env={**os.environ, **home}, stdout=log, stderr=subprocess.STDOUT)
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/api?token={token}")
                break
            except OSError:
                assert server.poll() is None, Path(log.name).read_text()
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/lab/tree/page.ipynb?token={token}"
    finally:
        server.terminate()
        server.wait(30)
        log.close()


def test_a_click_is_answered_by_the_kernel(browser, lab):
    context = browser.new_context(viewport={"width": 1280, "height": 1300}, reduced_motion="reduce")
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(lab)
    page.locator(".jp-CodeCell .cm-content").first.click(timeout=120_000)
    page.keyboard.press("Shift+Enter")
    frame = page.wait_for_selector(
        ".jp-OutputArea iframe[title='separatrix explorer']", timeout=120_000
    ).content_frame()
    frame.wait_for_selector("html[data-separatrix=ready]", timeout=60_000)
    assert "in the kernel of this notebook" in frame.inner_text("#backend")
    frame.locator("#plane-top").click(position={"x": 150, "y": 120})
    for _ in range(1000):
        if frame.evaluate("Boolean(separatrix.journey.orbit?.done)"):
            break
        page.wait_for_timeout(20)
    z = torch.tensor(frame.evaluate("separatrix.journey.orbit.points.map(p => Array.from(p.z))"))
    assert "has arrived" in frame.inner_text("#fate")
    assert torch.allclose(torch.tanh(2 * z[:-1]), z[1:], rtol=1e-4, atol=1e-5)
    assert complaints == []
    if folder := os.environ.get("SEPARATRIX_SCREENSHOTS"):
        page.screenshot(path=Path(folder) / "jupyter.png")
    context.close()
