"""Orthogonal matching pursuit side by side with scikit-learn's orthogonal_mp_gram: same Gram matrix, same cores, one run.

    python benchmarks/omp.py [--small] [--threads 1] [--device cuda] [--out benchmarks/results]

Both get the Gram matrix and the correlations in float64 and are timed in turns; the median of the repeats counts. The
supports and coefficients of every signal are compared. scikit-learn copies the Gram matrix for every signal, three times
faster if it is column-major: the ratios are to that, its faster way; row-major, as np.dot returns it, is timed on a few
signals. Both wall-clock and processor time are reported, for the machine may have other work. Writes omp.json and omp.md;
--small writes nothing unless --out is given.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import sklearn
import torch
from sklearn.linear_model import orthogonal_mp_gram
from threadpoolctl import threadpool_limits
from torch import Tensor

from separatrix.numerics import CodeStatus, SparseCodes, omp_gram
from separatrix.numerics._pursuit import Workspace
from separatrix.numerics._pursuit_ahead import SinglePursuit, worth_it

MEMORY = 2**28  # bytes of working memory on a CPU; on a GPU 16 GiB
ROW_MAJOR_SIGNALS = 10


@dataclass(frozen=True)
class Row:
    """One sparsity. Milliseconds are per signal, medians over the repeats."""

    sparsity: int
    signals: int
    repeats: int
    milliseconds: float
    milliseconds_sklearn: float
    milliseconds_sklearn_row_major: float
    ratio: float
    processor_milliseconds: float
    processor_milliseconds_sklearn: float
    processor_ratio: float
    supports_equal: int
    largest_coefficient_difference: float
    complete: int
    working_memory_mib: float
    gram_mib: float


def problem(size: int, dimension: int, signals: int, seed: int = 0) -> tuple[Tensor, Tensor, float]:
    """Gram matrix of random unit atoms, correlations with random signals, and the seconds both took."""
    generator = torch.Generator().manual_seed(seed)
    atoms = torch.randn(size, dimension, generator=generator, dtype=torch.float64)
    atoms /= atoms.norm(dim=1, keepdim=True)
    y = torch.randn(signals, dimension, generator=generator, dtype=torch.float64)
    begin = time.perf_counter()
    gram, correlations = atoms @ atoms.T, y @ atoms.T
    return gram.fill_diagonal_(1.0), correlations, time.perf_counter() - begin


class Times(NamedTuple):
    """Of one call: on the clock, and of the processor in all threads."""

    wall: float
    processor: float


def timed(work: Callable[[], object]) -> Times:
    """Both times, the accelerator's queue included in the first."""
    begin, begin_processor = time.perf_counter(), time.process_time()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return Times(time.perf_counter() - begin, time.process_time() - begin_processor)


def measure(gram: Tensor, correlations: Tensor, sparsity: int, repeats: int, device: torch.device) -> Row:
    """Both libraries in turns."""
    memory = MEMORY if device.type == "cpu" else 2**34
    there, signals = gram.to(device), correlations.to(device)
    row_major = gram.numpy()
    columns = np.ascontiguousarray(correlations.T.numpy())
    few = columns[:, :ROW_MAJOR_SIGNALS]
    codes: list[SparseCodes] = []
    found: list[np.ndarray] = []
    omp_gram(there, signals[:8], min(sparsity, 8), memory=memory)  # the first call pays for lazy initialisation
    ours, theirs, plain = [], [], []
    for _ in range(repeats):
        ours.append(timed(lambda: codes.append(omp_gram(there, signals, sparsity, memory=memory))))
        # The matrix is symmetric: its transpose is the same matrix, column-major.
        theirs.append(timed(lambda: found.append(orthogonal_mp_gram(row_major.T, columns, n_nonzero_coefs=sparsity))))
        plain.append(timed(lambda: orthogonal_mp_gram(row_major, few, n_nonzero_coefs=sparsity)))
    dense = codes[-1].dense(-1, len(gram)).cpu()
    reference = torch.from_numpy(found[-1].T.copy())
    count = len(signals)
    wall, wall_theirs = (1e3 * statistics.median(t.wall for t in times) / count for times in (ours, theirs))
    processor, processor_theirs = (
        1e3 * statistics.median(t.processor for t in times) / count for times in (ours, theirs)
    )
    return Row(
        sparsity=sparsity,
        signals=count,
        repeats=repeats,
        milliseconds=wall,
        milliseconds_sklearn=wall_theirs,
        milliseconds_sklearn_row_major=1e3 * statistics.median(t.wall for t in plain) / few.shape[1],
        ratio=wall_theirs / wall,
        processor_milliseconds=processor,
        processor_milliseconds_sklearn=processor_theirs,
        processor_ratio=processor_theirs / processor,
        supports_equal=int(((dense != 0) == (reference != 0)).all(dim=1).sum()),
        largest_coefficient_difference=float((dense - reference).abs().max()),
        complete=int((codes[-1].status == CodeStatus.ATOMS).sum()),
        working_memory_mib=working_memory(there, sparsity, memory, count) / 2**20,
        gram_mib=gram.nbytes / 2**20,
    )


def working_memory(gram: Tensor, sparsity: int, memory: int, signals: int) -> int:
    """Bytes of the buffers, beside the Gram matrix, the correlations and the result."""
    if worth_it(gram, sparsity):
        single = SinglePursuit(gram, sparsity, None)
        return sum(a.nbytes for a in (single.factor, single.prepared, single.product, single.weights, single.lower))
    return Workspace(gram, sparsity, memory, signals).factor.nbytes


def processor() -> str:
    """The processor's name where the system tells it."""
    listed = Path("/proc/cpuinfo")
    names = (
        [line for line in listed.read_text().splitlines() if line.startswith("model name")] if listed.exists() else []
    )
    return names[0].split(":")[1].strip() if names else platform.machine()


def markdown(rows: list[Row], about: dict[str, object]) -> str:
    """The table as it stands in the docs."""
    lines = [
        f"Measured by `python benchmarks/omp.py`: {about['atoms']} random unit atoms of dimension {about['dimension']}, "
        f"float64, given the Gram matrix ({about['products_seconds']:.1f} s) and the correlations.",
        f"{about['machine']}, {about['threads']} thread(s), {about['device']}, torch {about['torch']}, scikit-learn "
        f"{about['sklearn']}. Load average at the end: {about['load']} (1, 5, 15 min). Times are per signal.",
        "Where the load is above the number of cores, the wall-clock columns include waiting for other work and the ratio of "
        "processor times is the one to read.",
        "",
        "| atoms chosen | signals | separatrix | scikit-learn (row-major Gram) | ratio | processor time, ratio | supports "
        "equal | coefficients differ by at most | working memory (+ Gram) |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r.sparsity} | {r.signals} | {r.milliseconds:.2f} ms | {r.milliseconds_sklearn:.1f} "
        f"({r.milliseconds_sklearn_row_major:.1f}) ms | {r.ratio:.1f} × | {r.processor_milliseconds:.2f} / "
        f"{r.processor_milliseconds_sklearn:.1f} ms, {r.processor_ratio:.1f} × | {r.supports_equal} of {r.signals} | "
        f"{r.largest_coefficient_difference:.1e} | {r.working_memory_mib:.0f} MiB (+ {r.gram_mib:.0f}) |"
        for r in rows
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="512 atoms of dimension 512, 64 signals; seconds")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--signals", type=int, default=500)
    parser.add_argument(
        "--last-signals", type=int, default=30, help="signals at the largest sparsity, where one takes 1 s"
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    size = 512 if options.small else 4096
    signals = 64 if options.small else options.signals
    sparsities = (8, 32, 64) if options.small else (64, 128, 512)
    out = options.out or (None if options.small else Path(__file__).parent / "results")
    warnings.simplefilter("ignore", RuntimeWarning)  # scikit-learn's early ends; the comparison of supports shows them
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    rows: list[Row] = []
    with threadpool_limits(options.threads):
        gram, correlations, products_seconds = problem(size, size, signals)
        about: dict[str, object] = {
            "atoms": size,
            "dimension": size,
            "products_seconds": products_seconds,
            "machine": f"{processor()}, {os.cpu_count()} cores",
            "threads": options.threads,
            "device": torch.cuda.get_device_name() if device.type == "cuda" else "CPU",
            "torch": torch.__version__,
            "sklearn": sklearn.__version__,
        }
        for sparsity in sparsities:
            count = min(signals, options.last_signals) if sparsity == sparsities[-1] else signals
            rows.append(measure(gram, correlations[:count], sparsity, options.repeats, device))
            about["load"] = ", ".join(f"{x:.1f}" for x in os.getloadavg())
            table = markdown(rows, about)
            print(table.splitlines()[-1], flush=True)
            if out:
                # Written after every row: an interrupted run keeps what it has.
                out.mkdir(parents=True, exist_ok=True)
                record = about | {"rows": [asdict(row) for row in rows]}
                (out / "omp.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
                (out / "omp.md").write_text(table, encoding="utf-8")


if __name__ == "__main__":
    main()
