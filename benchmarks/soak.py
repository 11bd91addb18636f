"""Is a run the same, byte for byte, whatever is killed on the way, whoever computes it?

    nice python benchmarks/soak.py [--kills here=70 folder=70 processes=20 ray=10] [--seconds 1800] [--out benchmarks/results]

Each recipe is run once undisturbed in one process. Then it is computed by each engine, and at random moments something is killed (SIGKILL): the process that
coordinates, one of its workers, or a Ray node with all that runs on it. Who was killed is started again with the same command, in the same folder, until a run comes
to its end; then all files are compared with the undisturbed ones. That is repeated until a case has had its kills. What is drawn follows from
the case and the number of the run. The numbers are written after every run, and the same command goes on with them. Writes soak.json and soak.md.

Parts have 8 rows at least and searches are stored after every round, so that small models have many parts, and many moments between two of them.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from kills import IMAGES, contents, field

import separatrix as sx
from separatrix import runs
from separatrix.engines import Here, Processes, Ray, SharedFolder, using
from separatrix.protocol import Rounds
from separatrix.storage import _checkpoint

PAGE, NUMBERS = "soak.md", "soak.json"
WORKERS = 2
_MOMENTS = (0.02, 0.9)  # of a kill after the one before, as shares of the time that an undisturbed run takes
RULES = sx.Protocol(max_steps=1000)
NOISE = sx.starts.gaussian(96, seed=0)
KILLS = {"here": 70, "folder": 70, "processes": 20, "ray": 10}
ENGINES = {
    "here": "this process",
    "folder": f"a shared folder with {WORKERS} workers",
    "processes": f"{WORKERS} processes",
    "ray": f"{WORKERS} Ray nodes, an actor on each",
}

Recipe = tuple[Callable[[Path], Any], Callable[[], sx.LatentField] | None]
"""What is given its folder, and the model that workers load."""


def recipes() -> dict[str, Recipe]:
    """Every recipe that searches, without figures."""
    quiet: dict[str, Any] = {"protocol": RULES, "figures": False}
    return {
        "attractors": (lambda out: runs.attractors(field(), NOISE, out=out, **quiet), field),
        "audit": (lambda out: runs.audit(field(), IMAGES[:24], IMAGES[24:], noise=32, out=out, **quiet), field),
        "audit without data": (lambda out: runs.audit_without_data(field(), starts=48, out=out, **quiet), field),
        "probe": (lambda out: runs.probe(field(latent_dim=6), IMAGES, out=out, **quiet), lambda: field(latent_dim=6)),
        "diff": (lambda out: runs.diff(field(0), field(1), sx.starts.encoded(IMAGES), out=out, **quiet), field),
        "film": (
            lambda out: runs.film(None, None, epochs=2, frames=2, channels=2, resolution=8, figures=False, out=out),
            None,
        ),
    }


class Nodes:
    """A Ray cluster of two nodes on this machine, kept by a process of its own, which does as its input says."""

    _SCRIPT = """
import os, sys
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
from ray.cluster_utils import Cluster
size = dict(num_cpus=1, object_store_memory=80 * 2**20)
cluster = Cluster(initialize_head=True, head_node_args=dict(size, include_dashboard=False))
second = cluster.add_node(**size)
def told():
    pids = [node.all_processes["raylet"][0].process.pid for node in (cluster.head_node, second)]
    print(cluster.address, *pids, flush=True)
told()
for line in sys.stdin:
    cluster.remove_node(second, allow_graceful=False)
    second = cluster.add_node(**size)
    told()
cluster.shutdown()
"""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", self._SCRIPT],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._listen()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        self.address, *pids = self._process.stdout.readline().split()
        self.raylets = [int(pid) for pid in pids]

    def actors(self) -> list[int]:
        """The processes of actors of ours, on either node."""
        return [pid for pid in _processes() if _parent(pid) in self.raylets and b"Computing" in _command(pid)]

    def kill_one(self) -> None:
        """The second node and all that runs on it is lost; another one comes."""
        assert self._process.stdin is not None
        print("again", file=self._process.stdin, flush=True)
        self._listen()

    def close(self) -> None:
        """Take the cluster down."""
        self._process.communicate()


def compute(make: Callable[[Path], Any], engine: str, out: Path, nodes: Nodes | None) -> None:
    """Make a run with one of the engines."""
    made: dict[str, Callable[[], Any]] = {
        "here": Here,
        "folder": lambda: SharedFolder(runs.place_of_work(out)),
        "processes": lambda: Processes(WORKERS),
        "ray": lambda: Ray(nodes.address if nodes else None, WORKERS),
    }
    with using(made[engine]()):
        make(out)


class Life:
    """One run that is disturbed: its coordinator, its helpers, and what of them is killed."""

    def __init__(self, recipe: Recipe, engine: str, out: Path, nodes: Nodes | None) -> None:
        self.make, self.model = recipe
        self.engine, self.out, self.nodes = engine, out, nodes
        self.kills: dict[str, int] = {}
        self.begun = 0
        self.coordinator = self._begin()
        self.helpers = [self._help(number) for number in range(WORKERS)] if engine == "folder" and self.model else []

    def _begin(self) -> int:
        self.begun += 1
        return _forked(self._compute)

    def _compute(self) -> None:
        compute(self.make, self.engine, self.out, self.nodes)

    def _help(self, number: int) -> int:
        model = self.model
        assert model is not None
        return _forked(lambda: runs.work(self.out, model(), part=number, wait=120))

    def targets(self) -> dict[str, Callable[[], bool]]:
        """What can be killed now."""
        found = {"coordinator": self.kill_coordinator}
        if self.engine != "here" and (self.engine != "folder" or self.model):
            found["worker"] = self.kill_worker
        if self.nodes is not None:
            found["node"] = self.kill_node
        return found

    def kill_coordinator(self) -> bool:
        """Kill it and begin again."""
        if _ended(self.coordinator) is not None:
            return False
        _kill(self.coordinator)
        self.coordinator = self._begin()
        return True

    def kill_worker(self) -> bool:
        """Kill one of the workers, if there is one yet; one that helps is replaced, others the engine replaces."""
        if self.helpers:
            _kill(self.helpers[0])
            self.helpers = [*self.helpers[1:], self._help(len(self.helpers))]
            return True
        there = self.nodes.actors() if self.nodes is not None else _children(self.coordinator)
        for pid in there[:1]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                return True
        return False

    def kill_node(self) -> bool:
        """Kill a node."""
        assert self.nodes is not None
        self.nodes.kill_one()
        return True

    def until_it_ends(self, draw: random.Random, seconds: float) -> None:
        """Kill now and then, and start again what has failed, until the run has come to its end."""
        moment = time.monotonic() + draw.uniform(*_MOMENTS) * seconds
        while (code := _ended(self.coordinator)) != 0:
            if code is not None:  # a part was lost three times: the sentence says to give the same command again
                self.coordinator = self._begin()
            if time.monotonic() > moment:
                name, kill = draw.choice(list(self.targets().items()))
                if kill():
                    self.kills[name] = self.kills.get(name, 0) + 1
                moment = time.monotonic() + draw.uniform(*_MOMENTS) * seconds
            time.sleep(0.002)
        for helper in self.helpers:
            os.waitpid(helper, 0)


def disturbed(
    recipe: Recipe, engine: str, number: int, name: str, wanted: dict[str, bytes], seconds: float, nodes: Nodes | None
) -> dict[str, Any]:
    """One run to its end, and whether it is as it should be."""
    with tempfile.TemporaryDirectory() as place:
        begun = time.monotonic()
        life = Life(recipe, engine, Path(place) / "run", nodes)
        life.until_it_ends(random.Random(f"{name}/{engine}/{number}"), seconds)
        took = time.monotonic() - begun
        equal = contents(Path(place) / "run") == wanted
        return {"kills": life.kills, "begun": life.begun, "equal": equal, "seconds": took}


def whole(make: Callable[[Path], Any]) -> dict[str, bytes]:
    """What a run writes if nothing is killed. It is made in this process, which has imported then what its forks need."""
    with tempfile.TemporaryDirectory() as place:
        compute(make, "here", Path(place) / "run", None)
        return contents(Path(place) / "run")


def undisturbed(make: Callable[[Path], Any], engine: str, nodes: Nodes | None = None) -> tuple[dict[str, bytes], float]:
    """What it writes by this engine if nothing is killed, and the seconds that it takes; by a process of its own, as when it is disturbed."""
    with tempfile.TemporaryDirectory() as place:
        begun = time.monotonic()
        if os.waitpid(_forked(lambda: compute(make, engine, Path(place) / "run", nodes)), 0)[1]:
            raise SystemExit("A run has failed although nothing was killed.")
        return contents(Path(place) / "run"), time.monotonic() - begun


def soak(kills: dict[str, int], seconds: float, out: Path, only: str = "") -> None:
    """All cases, one run of each after the other, until all have had their kills or the time is up."""
    end = time.monotonic() + seconds
    record = _known(out)
    rows: dict[str, dict[str, Any]] = {f"{row['recipe']}/{row['engine']}": row for row in record["rows"]}
    every = {name: recipe for name, recipe in recipes().items() if only in name}
    wholes: dict[str, dict[str, bytes]] = {}
    paces: dict[str, float] = {}
    cases = [(name, engine) for engine in kills for name in every]
    nodes: Nodes | None = None
    try:
        while time.monotonic() < end and cases:
            for name, engine in list(cases):
                row = rows.setdefault(
                    f"{name}/{engine}",
                    {"recipe": name, "engine": engine, "runs": 0, "begun": 0, "equal": 0, "kills": {}},
                )
                if sum(row["kills"].values()) >= kills[engine]:
                    cases.remove((name, engine))
                    continue
                if time.monotonic() > end:
                    break
                if engine == "ray" and nodes is None:
                    nodes = Nodes()
                there = nodes if engine == "ray" else None
                if name not in wholes:
                    wholes[name] = whole(every[name][0])
                if f"{name}/{engine}" not in paces:
                    written, paces[f"{name}/{engine}"] = undisturbed(every[name][0], engine, there)
                    if written != wholes[name]:
                        raise SystemExit(f"{name} by {engine} writes other bytes, although nothing was killed.")
                pace = paces[f"{name}/{engine}"]
                found = disturbed(every[name], engine, row["runs"], name, wholes[name], pace, there)
                # Where the machine was busy when the pace was taken, most runs would end before something is killed.
                paces[f"{name}/{engine}"] = min(pace, found["seconds"])
                row["runs"] += 1
                row["begun"] += found["begun"]
                row["equal"] += found["equal"]
                row["kills"] = {
                    each: row["kills"].get(each, 0) + found["kills"].get(each, 0)
                    for each in {**row["kills"], **found["kills"]}
                }
                record["rows"] = list(rows.values())
                _write(record, out)
                print(name, engine, found, flush=True)
    finally:
        if nodes is not None:
            nodes.close()


def page(record: dict[str, Any]) -> str:
    """The table."""
    rows, targets = record["rows"], ("coordinator", "worker", "node")
    killed = {each: sum(row["kills"].get(each, 0) for row in rows) for each in targets}
    ended, equal = sum(row["runs"] for row in rows), sum(row["equal"] for row in rows)
    resumed = sum(row["begun"] for row in rows) - ended
    lines = [
        "# A soak of kills",
        "",
        f"`python benchmarks/soak.py`, separatrix {record['versions']['separatrix']}, torch {record['versions']['torch']}. Small models; at random "
        "moments something was killed with SIGKILL and started again with the same command, until a run came to its end; then all its files were compared "
        "with those of a run that was never disturbed and computed by one process.",
        "",
        f"**{sum(killed.values()):,} kills** ({killed['coordinator']:,} of the coordinator, {killed['worker']:,} of a worker, {killed['node']:,} of a Ray "
        f"node), {resumed:,} times a run went on, {ended:,} runs came to their end, and **{equal:,} of these {ended:,} had the same bytes**.",
        "",
        "| recipe | computed by | kills of the coordinator | of a worker | of a node | times it went on | runs | with the same bytes |",
        "|---|---|---|---|---|---|---|---|",
        *(
            f"| {row['recipe']} | {ENGINES[row['engine']]} | "
            + " | ".join(str(row["kills"].get(each, 0)) for each in targets)
            + f" | {row['begun'] - row['runs']} | {row['runs']} | {row['equal']} |"
            for row in rows
        ),
        "",
    ]
    return "\n".join(lines)


def _known(out: Path) -> dict[str, Any]:
    """The numbers of an earlier call by the same versions, to go on with."""
    fresh = {"versions": {"separatrix": sx.__version__, "torch": torch.__version__}, "rows": []}
    path = out / NUMBERS
    found = json.loads(path.read_text()) if path.exists() else fresh
    return found if found["versions"] == fresh["versions"] else fresh


def _write(record: dict[str, Any], out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for name, text in ((NUMBERS, json.dumps(record, indent=1) + "\n"), (PAGE, page(record))):
        (out / f".{name}").write_text(text)
        os.replace(out / f".{name}", out / name)


def _forked(work: Callable[[], Any]) -> int:
    """The number of a process that does this, and ends with 0 if it succeeds."""
    child = os.fork()
    if not child:
        code = 1
        try:
            work()
            code = 0
        except sx.errors.SeparatrixError as error:
            print(error, flush=True)
        finally:
            os._exit(code)
    return child


def _ended(pid: int) -> int | None:
    """With which code a child of ours ended; None while it lives. It is asked once after the end."""
    done, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if done else None


def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def _processes() -> Iterator[int]:
    return (int(name) for name in os.listdir("/proc") if name.isdigit())


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _children(pid: int) -> list[int]:
    return [each for each in _processes() if _parent(each) == pid]


def _eight(_rules: Rounds, _rows: int) -> int:
    """Rows of a part, so that a round of a small search has parts."""
    return 8


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", nargs="*", default=[f"{name}={count}" for name, count in KILLS.items()])
    parser.add_argument("--only", default="", help="Recipes with this in their names.")
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    Rounds.rows_in_a_part = _eight  # type: ignore[method-assign]
    _checkpoint._TIMES = 0
    kills = {name: int(count) for name, _, count in (each.partition("=") for each in arguments.kills)}
    soak(kills, arguments.seconds, arguments.out, arguments.only)


if __name__ == "__main__":
    main()
