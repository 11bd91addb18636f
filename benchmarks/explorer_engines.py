"""Which engine runs a model inside a page: ONNX Runtime Web, TensorFlow.js's WebAssembly backend, or the page's own list of operations.

The k = 2 FashionMNIST autoencoder (or one of the same architecture with random weights, where the data are absent) goes through each of them in
Chromium: what the engine adds to a file, gzipped as DecompressionStream reads it; the time from a cold start to the first answer; the time of a step,
of ten runs of 50 the median and the fastest; and the largest relative difference from Python over 64 starts. Other work on the machine is seen between
median and fastest.

    npm ci --prefix web && npm ci --prefix web/bench
    python benchmarks/explorer_engines.py
"""

from __future__ import annotations

import base64
import gzip
import json
import os
import statistics
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save
from torch import nn

from separatrix.explorer._graph import exported_halves
from separatrix.field import LatentField
from separatrix.models import ConvAutoencoder

WEB = Path(__file__).parent.parent / "web"
MODULES = WEB / "bench" / "node_modules"
FILES = {
    "ONNX Runtime Web": ("onnxruntime-web/dist/ort.wasm.min.js", "onnxruntime-web/dist/ort-wasm-simd-threaded.wasm",
                         "onnxruntime-web/dist/ort-wasm-simd-threaded.mjs"),
    "TensorFlow.js, WebAssembly": ("@tensorflow/tfjs-core/dist/tf-core.min.js", "@tensorflow/tfjs-backend-wasm/dist/tf-backend-wasm.min.js",
                                   "@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm-simd.wasm"),
    "our own": ("../dist/own.js",),
}  # fmt: skip
STARTS, STEPS, RUNS = 64, 50, 10
CHROMIUM = os.environ.get("SEPARATRIX_CHROMIUM", "/usr/bin/chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip

# What is measured in each page: `prepare` makes `step(row) → row` (a promise or not), everything else is the same.
PREPARE = {
    "ONNX Runtime Web": """
      ort.env.wasm.numThreads = 1; ort.env.wasm.wasmPaths = '/onnxruntime-web/dist/';
      const session = await ort.InferenceSession.create(bytes(task.onnx));
      return async row => (await session.run({z: new ort.Tensor('float32', row, [1, row.length])})).f.data;""",
    "TensorFlow.js, WebAssembly": """
      tf.wasm.setWasmPaths('/@tensorflow/tfjs-backend-wasm/dist/'); await tf.setBackend('wasm'); await tf.ready();
      const file = parse(bytes(task.own)); const constants = new Map(); const get = n => file.get(n);
      const layer = (op, x) => {
        const key = op.in[1];
        if (op.op === 'unary') return op.fn === 'relu' ? tf.relu(x) : tf.sigmoid(x);
        if (!constants.has(key)) {
          const {data, shape} = get(key); const w = tf.tensor(data, shape);
          constants.set(key, [tf.keep(op.op === 'linear' ? tf.transpose(w) : tf.transpose(w, [2, 3, 1, 0])), tf.keep(tf.tensor1d(get(op.in[2]).data))]);
        }
        const [w, b] = constants.get(key);
        if (op.op === 'linear') return tf.add(tf.matMul(tf.reshape(x, [1, op.k]), w), b);
        const [c, h, wd] = op.x; const image = x.rank === 4 ? x : tf.transpose(tf.reshape(x, [1, c, h, wd]), [0, 2, 3, 1]);
        if (op.op === 'conv') return tf.add(tf.conv2d(image, w, op.stride, [[0, 0], [1, 1], [1, 1], [0, 0]]), b);
        return tf.add(tf.slice(tf.conv2dTranspose(image, w,
          [1, op.y[1] + 1, op.y[2] + 1, op.y[0]], op.stride, 'valid'), [0, 1, 1, 0], [1, op.y[1], op.y[2], op.y[0]]), b);
      };
      const flat = x => x.rank === 4 ? tf.reshape(tf.transpose(x, [0, 3, 1, 2]), [1, -1]) : x;
      return row => tf.tidy(() => {
        let x = tf.tensor(row, [1, row.length]);
        for (const half of ['decode', 'encode']) for (const op of task[half].ops) x = layer(op, op.op === 'linear' ? flat(x) : x);
        return flat(x).dataSync();
      });""",
    "our own": """
      const {tensors} = own.parseSafetensors(bytes(task.own));
      const decode = new own.Program(task.decode, tensors, own.kernels), encode = new own.Program(task.encode, tensors, own.kernels);
      return row => encode.evaluate(decode.evaluate(row));""",
}
PAGE = """<!doctype html><meta charset=utf-8>%(scripts)s<script>
const task = %(task)s;
const bytes = text => Uint8Array.from(atob(text), c => c.charCodeAt(0));
const parse = raw => {
  const size = Number(new DataView(raw.buffer).getBigUint64(0, true)), head = JSON.parse(new TextDecoder().decode(raw.subarray(8, 8 + size)));
  return new Map(Object.entries(head).filter(([n]) => n !== '__metadata__').map(([n, e]) => [n, {shape: e.shape,
    data: new (e.dtype === 'F32' ? Float32Array : Int32Array)(raw.slice(8 + size + e.data_offsets[0], 8 + size + e.data_offsets[1]).buffer)}]));
};
const prepare = async () => { %(prepare)s };
window.measure = async () => {
  const began = performance.now(), step = await prepare();
  const answers = [Array.from(await step(Float32Array.from(task.starts[0])))];
  const cold = performance.now() - began;
  for (const start of task.starts.slice(1)) answers.push(Array.from(await step(Float32Array.from(start))));
  const times = [];
  for (let run = 0; run < %(runs)d; run++) {
    let z = Float32Array.from(task.starts[0]); const t = performance.now();
    for (let i = 0; i < %(steps)d; i++) z = Float32Array.from(await step(z));
    times.push((performance.now() - t) / %(steps)d);
  }
  return {answers, cold, times};
};
</script>"""


class Step(nn.Module):
    """f = E∘D as one module, for the exporter to ONNX."""

    def __init__(self, model: ConvAutoencoder) -> None:
        super().__init__()
        self.model = model

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """f(z)."""
        return self.model.encode(self.model.decode(z))


def model() -> ConvAutoencoder:
    """The k = 2 FashionMNIST autoencoder."""
    torch.manual_seed(0)
    made = ConvAutoencoder((1, 28, 28), 2, base_channels=32, stages=2).eval()
    data = os.environ.get("SEPARATRIX_DATA")
    if data:
        stored = load_file(Path(data) / "weights" / "fashion_ae" / "conv2.safetensors")
        mine = (
            [name for name in made.state_dict() if name.startswith("encoder")],
            [name for name in made.state_dict() if name.startswith("decoder")],
        )
        theirs = (
            [name for name in stored if name.startswith("encoder")],
            [name for name in stored if name.startswith("decoder")],
        )
        made.load_state_dict(
            {
                a: stored[b]
                for ours, others in zip(mine, theirs, strict=True)
                for a, b in zip(sorted(ours), sorted(others), strict=True)
            }
        )
    return made


def task_of(network: ConvAutoencoder) -> tuple[dict[str, object], torch.Tensor]:
    """What each page is given, and Python's answers."""
    field: LatentField = network.field()
    starts = torch.randn(STARTS, 2, generator=torch.Generator().manual_seed(1)) * 3
    decode, encode = exported_halves(field)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "step.onnx"
        torch.onnx.export(
            Step(network),
            (starts[:1],),
            str(path),
            input_names=["z"],
            output_names=["f"],
            opset_version=17,
            dynamo=False,
        )
        onnx = path.read_bytes()
    archive = save({**decode.constants, **encode.constants})
    return {
        "onnx": base64.b64encode(onnx).decode(), "own": base64.b64encode(archive).decode(),
        "decode": decode.to_dict(), "encode": encode.to_dict(), "starts": starts.tolist(),
    }, field(starts)  # fmt: skip


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The folder at an address of this machine."""
    quiet = type("Quiet", (SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()


def page(record: dict[str, Any]) -> str:
    """The table as it is committed."""
    lines = [
        f"Measured by `python benchmarks/explorer_engines.py` with {record['browser']}: {record['model']}.",
        "",
        "| engine | adds to a file, gzipped | cold start to first answer | one step, median of ten (fastest) | largest relative difference |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['engine']} | {row['bytes'] / 1e3:,.0f} kB | {row['cold_ms']:.0f} ms | {row['step_ms']:.2f} ms ({row['fastest_ms']:.2f}) | {row['difference']:.1e} |"
        for row in record["rows"]
    ]
    return "\n".join(lines) + "\n"


def measured() -> dict[str, Any]:
    """Every engine in a page of its own, one after the other."""
    from playwright.sync_api import sync_playwright

    network = model()
    task, expected = task_of(network)
    rows = []
    with sync_playwright() as driver, served(MODULES) as address:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for engine, files in FILES.items():
            parts = [f"<script>{(MODULES / name).read_text()}</script>" for name in files if name.endswith(".js")]
            visited = browser.new_page()
            visited.goto(address + "/onnxruntime-web/README.md")
            text = {
                "scripts": "".join(parts),
                "task": json.dumps(task),
                "prepare": PREPARE[engine],
                "runs": RUNS,
                "steps": STEPS,
            }
            visited.set_content(PAGE % text)
            found = visited.evaluate("measure()")
            visited.close()
            error = (torch.tensor(found["answers"]) - expected).norm(dim=1) / expected.norm(dim=1)
            rows.append(
                {
                    "engine": engine,
                    "bytes": sum(len(gzip.compress((MODULES / name).read_bytes(), 9, mtime=0)) for name in files),
                    "cold_ms": found["cold"],
                    "step_ms": statistics.median(found["times"]),
                    "fastest_ms": min(found["times"]),
                    "difference": float(error.max()),
                }
            )
        version = browser.version
        browser.close()
    parameters = sum(part.numel() for part in network.parameters())
    return {"browser": f"Chromium {version}", "model": f"FashionMNIST, k = 2, {parameters:,} parameters", "rows": rows}


def main() -> None:
    """Measure, print, write."""
    subprocess.run(
        ["npx", "vite", "build", "--config", "bench/vite.config.ts", "--logLevel", "error"], cwd=WEB, check=True
    )
    record = measured()
    print(page(record))
    to = Path(__file__).parent / "results"
    (to / "explorer_engines.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    (to / "explorer_engines.md").write_text(page(record), encoding="utf-8")


if __name__ == "__main__":
    main()
