"""How many small mistakes the tests notice: mutants of the code that decides, each run against the tests that reach it.

    python benchmarks/mutation.py run WORK [--seconds 280]           again and again, until it says that nothing is left
    python benchmarks/mutation.py again WORK [--tests 60]            the survivors, against the tests as they are now
    python benchmarks/mutation.py word WORK 17 "equivalent: …"       what somebody saw who looked at a survivor
    python benchmarks/mutation.py page WORK                          writes results/mutation.json and .md

Needs the extra ``benchmarks``: the mutants are cosmic-ray's, the lines that a test reaches are coverage's. A *site* is a place of a file
where one of the operators changes something; sites are drawn with a seed, from every file in proportion, and at each one change of those
possible there. Changes in annotations are none of the program and not drawn. A mutant meets the tests that reach its line, quickest first and up to so
many seconds of them as ``--tests`` says; the first that fails ends it. Time is that of the processor: a mutant that takes several times as much as its
tests did is killed.

WORK is a folder outside the repository: one file per test file and per mutant, so that a run that is stopped goes on. The source is copied there once,
the tests at every call.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mutants import MUTATED, SEED, SOURCE, drawn, operators

ROOT = Path(__file__).parents[1]
# The tests of a room and of those that are built on it; all that are known by then are asked about a mutant.
TESTS = {
    "numerics": ("numerics/test_*.py", "studies/test_overlap.py", "studies/test_neighbours_in_parts.py"),
    "orbits": ("orbits/test_*.py",),
    "limitsets": ("limitsets/test_*.py", "oracles/test_*.py", "plots/test_naming.py"),
    "ood": ("ood/test_detector_calibration.py", "ood/test_detectors.py", "ood/test_monitor.py"),
}


def write(path: Path, record: Any) -> None:
    path.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


class Reaching:
    """A plugin of pytest: what each test reaches, how long it takes, and whether it passes."""

    def __init__(self, switch: Callable[[str], None]) -> None:
        self.switch, self.seconds, self.failed = switch, dict[str, float](), set[str]()

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.outcome != "passed":
            self.failed.add(report.nodeid)

    def pytest_runtest_protocol(self, item: Any) -> None:
        self.switch(item.nodeid)
        self.seconds[item.nodeid] = time.process_time()

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self.seconds[nodeid] = time.process_time() - self.seconds[nodeid]
        self.switch("")


def in_child(tree: Path, log: Path, seconds: float, work: Callable[[], int]) -> int | None:
    """Do it in a process of its own, that has imported nothing of ours; None where its time is up."""
    child = os.fork()
    if child == 0:
        with log.open("wb") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        os.chdir(tree)
        os.environ["PYTHONPATH"] = str(tree / "src")
        sys.path.insert(0, str(tree / "src"))
        resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 1, int(seconds) + 5))
        code = 99
        try:
            code = work()
        finally:
            sys.stdout.flush()
            os._exit(code)
    until = time.monotonic() + 20 * seconds  # for what waits and does not compute
    while os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if time.monotonic() > until:
            os.kill(child, 9)
        time.sleep(0.02)
    _, status = os.waitpid(child, 0)
    return None if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def pytest_main(arguments: list[str], plugins: list[Any]) -> int:
    import pytest

    plain = ["-q", "-x", "-p", "no:xdist", "-p", "no:cacheprovider", "-o", "addopts="]
    return int(pytest.main([*plain, *arguments], plugins=plugins))


def reach(work: Path, file: str) -> None:
    """Which lines the tests of a file reach, stored."""
    tree, to = work / "tree", work / "reach" / (file.replace("/", ".") + ".json")

    def measure() -> int:
        from coverage import Coverage

        wanted = [str(tree / SOURCE / pattern) for pattern in MUTATED]
        coverage = Coverage(data_file=None, include=wanted)
        coverage.start()
        plugin = Reaching(coverage.switch_context)
        pytest_main(["--maxfail=1000", "-m", "not slow", file], [plugin])
        coverage.stop()
        data = coverage.get_data()
        lines = {
            str(Path(path).relative_to(tree / SOURCE)): {
                line: sorted(set(tests) - {""}) for line, tests in data.contexts_by_lineno(path).items()
            }
            for path in data.measured_files()
        }
        seconds = {name: value for name, value in plugin.seconds.items() if name not in plugin.failed}
        write(to, {"seconds": seconds, "lines": lines})
        return 0

    in_child(tree, work / "logs" / f"{to.stem}.log", 1200.0, measure)
    if not to.exists():
        write(to, {"seconds": {}, "lines": {}})
        print(f"{file} could not be measured: its log is in {work / 'logs'}")


def statement_of(text: str, line: int) -> set[int]:
    """The lines of the smallest statement there; none where it is run when the file is imported."""
    tree = ast.parse(text)
    inside = [
        node
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef)
        for top in function.body
        for node in ast.walk(top)
        if isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or 0)
    ]
    node = min(inside, key=lambda node: (node.end_lineno or 0) - node.lineno, default=None)
    return set() if node is None else set(range(node.lineno, (node.end_lineno or 0) + 1))


def tests_of(work: Path, mutant: dict[str, Any], most: float) -> tuple[list[str], float]:
    """The tests that reach it, up to so many seconds of them, quickest first; and their seconds."""
    text = (work / "tree" / SOURCE / mutant["file"]).read_text(encoding="utf-8")
    statement, seconds = statement_of(text, mutant["line"]), dict[str, float]()
    reached: dict[int, set[str]] = {}
    for path in sorted((work / "reach").iterdir()):
        record = json.loads(path.read_text(encoding="utf-8"))
        for line, tests in record["lines"].get(mutant["file"], {}).items():
            reached.setdefault(int(line), set()).update(set(tests) & set(record["seconds"]))
        seconds |= record["seconds"]
    here = reached.get(mutant["line"], set()) if statement else set()
    lines = [here] if here else [tests for line, tests in reached.items() if not statement or line in statement]
    chosen, spent = list[str](), 0.0
    for test in sorted(set().union(*lines), key=lambda test: (seconds[test], test)):
        if chosen and spent + seconds[test] > most:
            break
        chosen, spent = [*chosen, test], spent + seconds[test]
    quickest = {file: n for n, file in reversed(list(enumerate(test.partition("::")[0] for test in chosen)))}
    return sorted(chosen, key=lambda test: quickest[test.partition("::")[0]]), spent  # fixtures of a file are made once


def judge(work: Path, number: int, mutant: dict[str, Any], most: float) -> str:
    """Write the mutant, run its tests, put the file back: killed, survived or not reached."""
    from cosmic_ray.mutating import mutate_code

    tests, seconds = tests_of(work, mutant, most)
    if not tests:
        return "not reached"
    path, log = work / "tree" / SOURCE / mutant["file"], work / "logs" / f"{number}.log"
    text, stamp = path.read_text(encoding="utf-8"), path.stat()
    changed = mutate_code(text, operators()[mutant["operator"]], mutant["occurrence"])
    try:
        path.write_text(str(changed), encoding="utf-8")
        os.utime(path, (0, stamp.st_mtime + 10 + number))  # else the bytecode of the original would be taken
        sys.dont_write_bytecode = True
        code = in_child(work / "tree", log, 30 + 4 * seconds, lambda: pytest_main(tests, []))
        if (
            code == 4
        ):  # a test of that name is no more, as where the mutant took a member from an enumeration: the whole files
            files = sorted({test.partition("::")[0] for test in tests})
            code = in_child(work / "tree", log, 1200.0, lambda: pytest_main(["-m", "not slow", *files], []))
    finally:
        path.write_text(text, encoding="utf-8")
        os.utime(path, (stamp.st_atime, stamp.st_mtime))
    if code in (4, 5, 99):
        raise SystemExit(f"The tests of mutant {number} could not be run: {log}")
    return "survived" if code == 0 else "killed"


def run(work: Path, seconds: float, again: bool, most: float) -> None:
    """Go on for so long: first with what tests reach, then with mutants."""
    import numpy, pytest, scipy.optimize, scipy.stats, sklearn.neighbors, torch  # noqa: E401, F401, I001 — once for all children

    until, tree = time.monotonic() + seconds, work / "tree"
    for name in ("reach", "mutants", "logs"):
        (work / name).mkdir(parents=True, exist_ok=True)
    ours = shutil.ignore_patterns("__pycache__")
    if not (work / "src").exists():
        shutil.copytree(ROOT / "src", work / "src", ignore=ours)
        commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True)
        write(work / "plan.json", {"commit": commit.stdout.strip(), "mutants": drawn(work)})
    shutil.copytree(work / "src", tree / "src", dirs_exist_ok=True)  # also what a killed run left mutated
    shutil.copytree(ROOT / "tests", tree / "tests", dirs_exist_ok=True, ignore=ours)
    shutil.copy(ROOT / "pyproject.toml", tree)
    mutants = list(enumerate(json.loads((work / "plan.json").read_text(encoding="utf-8"))["mutants"]))
    for room, patterns in TESTS.items():
        for path in (path for pattern in patterns for path in sorted((tree / "tests").glob(pattern))):
            file = str(path.relative_to(tree))
            to = work / "reach" / (file.replace("/", ".") + ".json")
            if not to.exists() or (again and to.stat().st_mtime < (ROOT / file).stat().st_mtime):
                if time.monotonic() > until:
                    return print("There is more to do.")
                reach(work, file)
        for number, mutant in mutants:
            to = work / "mutants" / f"{number}.json"
            known = json.loads(to.read_text(encoding="utf-8")) if to.exists() else {}
            open_still = again and known and known["now"] != "killed" and not is_equivalent(known)
            if not mutant["file"].startswith(f"{room}/") or (known and not open_still):
                continue
            if time.monotonic() > until:
                return print("There is more to do.")
            now = judge(work, number, mutant, most)
            write(to, {**mutant, "first": now, "word": "", **known, "now": now})
            print(f"{number}: {mutant['file']}:{mutant['line']} {now}", flush=True)
    return print("Nothing is left to do.")


def page(record: dict[str, Any]) -> str:
    """The score of each room and every mutant that no test killed at first."""
    mutants = record["mutants"]

    def row(name: str, some: list[dict[str, Any]]) -> str:
        counts, same = Counter(one["now"] == "killed" for one in some), sum(is_equivalent(one) for one in some)
        first = sum(one["first"] == "killed" for one in some)
        return f"| {name} | {len(some)} | {first} | {counts[True]} | {same} | {100 * counts[True] / (len(some) - same):.0f} % |"

    rooms = sorted({one["file"].partition("/")[0] for one in mutants})
    lines = [
        f"Written by `python benchmarks/mutation.py` at {record['commit'][:7]}: {len(mutants)} mutants of {len({one['file'] for one in mutants})} "
        f"files, drawn with seed {record['seed']}.",
        "",
        "| room | mutants | killed at first | killed now | equivalent | killed of those that are not |",
        "|---|---|---|---|---|---|",
        *(row(room, [one for one in mutants if one["file"].startswith(f"{room}/")]) for room in rooms),
        row("all", mutants),
        "",
        "Every one that survived at first, and what became of it:",
        "",
        "| where | was | became | now | |",
        "|---|---|---|---|---|",
    ]
    for one in mutants:
        if one["first"] != "killed":
            was, became = (f"`` {one[key].replace('|', chr(92) + '|')} ``" for key in ("was", "became"))
            lines.append(f"| {one['file']}:{one['line']} | {was} | {became} | {one['now']} | {one['word']} |")
    return "\n".join(lines) + "\n"


def is_equivalent(mutant: dict[str, Any]) -> bool:
    return bool(mutant["word"].startswith("equivalent"))


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["run", "again", "word", "page"])
    parser.add_argument("work", type=Path)
    parser.add_argument("number", type=int, nargs="?")
    parser.add_argument("word", nargs="?")
    parser.add_argument("--seconds", type=float, default=280, help="after which it stops, to be called again")
    parser.add_argument("--tests", type=float, default=10, help="seconds of tests per mutant, the quickest first")
    options = parser.parse_args()
    work = options.work.resolve()
    if options.what in ("run", "again"):
        run(work, options.seconds, options.what == "again", options.tests)
    elif options.what == "word":
        path = work / "mutants" / f"{options.number}.json"
        write(path, {**json.loads(path.read_text(encoding="utf-8")), "word": options.word})
    else:
        plan = json.loads((work / "plan.json").read_text())
        found = [json.loads((work / "mutants" / f"{n}.json").read_text()) for n in range(len(plan["mutants"]))]
        record = {"commit": plan["commit"], "seed": SEED, "mutants": found}
        results = ROOT / "benchmarks" / "results"
        write(results / "mutation.json", record)
        (results / "mutation.md").write_text(page(record), encoding="utf-8")
        print(page(record))


if __name__ == "__main__":
    main()
