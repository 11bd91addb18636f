"""How long ``import separatrix`` takes beside ``import torch``, which everybody waits for who has a model.

    python benchmarks/imports.py [--rounds 15] [--out benchmarks/results]

Every import is the wall time of an interpreter of its own, less that of an empty one. Rounds alternate between all lines, so that
what else the machine does falls on each alike; one round before counts for nothing (it writes the bytecode, as installing does, and fills
the disk's cache). Writes imports.json and .md.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from separatrix.limitsets._assemble import versions

TORCH = "import torch"
LINES = {
    "nothing": "",
    TORCH: TORCH,
    "import separatrix": "import separatrix",
    "… and every name of the main line": "from separatrix import *",
    "separatrix --version": "import sys; sys.argv[1:] = ['--version']; from separatrix.cli import main; main()",
    "separatrix --help": "import sys; sys.argv[1:] = ['--help']; from separatrix.cli import main; main()",
}


def seconds(line: str) -> float:
    """Wall time of an interpreter that runs this line."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", line], check=True, stdout=subprocess.DEVNULL, env=environment)
    return time.perf_counter() - begin


def measure(rounds: int) -> dict[str, float]:
    """Median seconds per line, beyond an empty interpreter's in the same round."""
    table: dict[str, list[float]] = {name: [] for name in LINES}
    for counted in range(-1, rounds):
        taken = {name: seconds(line) for name, line in LINES.items()}
        if counted >= 0:
            for name, value in taken.items():
                table[name].append(value - taken["nothing"])
    return {name: statistics.median(values) for name, values in table.items() if name != "nothing"}


def page(record: dict[str, Any]) -> str:
    """The table as it is committed."""
    reference = record["seconds"][TORCH]
    lines = [
        f"Measured by `python benchmarks/imports.py`: medians of {record['rounds']} interpreters each, less an empty one's time; "
        f"Python {record['versions']['python']}, torch {record['versions']['torch']}.",
        "",
        "| | seconds | of `import torch` |",
        "|---|---|---|",
    ]
    lines += [f"| `{name}` | {value:.2f} | {value / reference:.2f} |" for name, value in record["seconds"].items()]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    record = {"rounds": options.rounds, "versions": versions(), "seconds": measure(options.rounds)}
    print(page(record))
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "imports.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    (options.out / "imports.md").write_text(page(record), encoding="utf-8")


if __name__ == "__main__":
    main()
