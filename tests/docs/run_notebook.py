"""``python run_notebook.py FILE``: every cell of a notebook, from its first to its last, as Jupyter would run them; the first that fails ends it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config


def command(line: str) -> None:
    """What ``!`` does, but that it minds an error; exit codes below 64 are verdicts."""
    code = subprocess.run(line, shell=True, check=False).returncode
    if code >= 64:
        raise SystemExit(f"exit code {code}: {line}")


def main(path: Path) -> None:
    sys.path[0] = ""  # as in a kernel: the folder in which it runs
    shell = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
    shell.system = command
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            shell.run_cell("".join(cell["source"])).raise_error()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
