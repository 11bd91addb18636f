"""Parts are given and taken in a folder that all workers see; nothing of ours speaks between machines.

In the folder lie

* ``heads/``: what all parts of a call share, and the call itself (its task by name, and the digests of what is shared), under their SHA-256;
* ``parts/``: one file per open part, the digest of its call and its bytes, under the SHA-256 of both;
* ``claims/PART/1``, ``2``, …: who has a part, created exclusively, so that one worker gets it. Who finds that the last has died, or is slow, creates the next;
* ``failed/PART/1``, …: why that one did not succeed;
* ``done/``: what parts gave, each under the name of its part, as `Keeping` keeps them;
* ``workers/``: who lives (`_beats`).

All of it is data. A task is known by its name to whoever computes, and a model is loaded by every worker itself: nothing in the folder is ever run, nor says
what is to be loaded.
"""

from __future__ import annotations

import hashlib
import json
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Self

import torch

from separatrix import errors
from separatrix.engines._beats import LEASE, Beating, Watch, record_of
from separatrix.engines._book import given_up
from separatrix.engines._engine import TRIES, Failure, Here
from separatrix.engines._keeping import seal, unsealed
from separatrix.engines._worker import computed, versions
from separatrix.errors import EngineError, FileError, SeparatrixError
from separatrix.storage import Place

COORDINATOR = "coordinator"
"""A file in which whoever gives the parts says with which versions and how many threads they are computed."""
_AGAIN = (0.05, 1.0)  # seconds between two looks, the first and the longest
_SLOW = 3  # times the usual time of a part, after which somebody else gets it too
_DIGEST = 64  # characters of a SHA-256

Task = Callable[..., bytes]


class Bench:
    """One worker's place at the shared folder: it takes a part that is open, and computes it.

    Args:
        place: of the computation.
        name: of this worker, for people.
        tasks: that it knows, by their names.
        known: gives an object of which the folder has the identity only; None if it has none like it.
    """

    def __init__(self, place: Place, name: str, tasks: Mapping[str, Task], known: Callable[[Any], Any | None]) -> None:
        self.place, self.tasks, self.known = place, tasks, known
        self.beating = Beating(place, name)
        self._watch = Watch(place)
        self._calls: dict[str, tuple[Task, list[Any]] | None] = {}  # by digest; None where something is not known here
        self._seen: dict[str, float] = {}  # since when a claim is there
        self._took: list[float] = []

    def __enter__(self) -> Self:
        self.beating.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.beating.__exit__(*error)

    def one(self) -> bool:
        """Compute one part that is open, if there is one.

        Raises:
            FileError: its result cannot be written.
        """
        found = self._claimed()
        if found is None:
            return False
        name, turn, (task, shared), part = found
        began = time.monotonic()
        try:
            answer = computed(task, part, shared)
        except BaseException:  # Ctrl-C: somebody else may have it
            self.place.remove(f"claims/{name}/{turn}")
            raise
        if isinstance(answer, Failure):
            self._fail(name, turn, answer)
        elif self.place.exists(f"parts/{name}"):
            self.place.write(f"done/{name}", seal(name, answer.value))
            self.beating.parts += 1
            self._took.append(time.monotonic() - began)
        return True

    def _claimed(self) -> tuple[str, int, tuple[Task, list[Any]], bytes] | None:
        """Take an open part, the first in an order of one's own, so that not all try the same."""
        done = set(_names(self.place, "done"))
        claims, failed = _turns(self.place, "claims"), _turns(self.place, "failed")
        mine = self.beating.key.encode()
        order = sorted(_names(self.place, "parts"), key=lambda name: hashlib.sha256(mine + name.encode()).digest())
        for late in (False, True):
            for name in order:
                if name in done or len(failed.get(name, ())) >= TRIES:
                    continue
                turn = self._turn(name, claims.get(name, []), failed.get(name, []), late)
                found = None if turn is None else self._read(name)
                if (
                    turn is not None
                    and found is not None
                    and self.place.create_exclusive(f"claims/{name}/{turn}", mine)
                ):
                    return name, turn, *found
        return None

    def _turn(self, name: str, claims: list[int], failed: list[int], late: bool) -> int | None:
        """Return which turn at this part would be ours; None while somebody else has it. ``late`` looks at those that are slow."""
        if not claims:
            return None if late else 1
        last = max(claims)
        if last in failed:
            return None if late else last + 1
        try:
            holder = self.place.read(f"claims/{name}/{last}").decode()
        except (FileNotFoundError, FileError, UnicodeDecodeError):
            return None  # it is being given back
        if holder == self.beating.key:
            return None
        if self._watch.dead(holder):
            self._fail(name, last, Failure("its worker has ended, perhaps because memory ran out"))
            return last + 1
        since = self._seen.setdefault(f"{name}/{last}", time.monotonic())
        slow = time.monotonic() - since > (_SLOW * statistics.median(self._took) if self._took else LEASE)
        return last + 1 if late and slow and len(set(claims) - set(failed)) == 1 else None

    def _read(self, name: str) -> tuple[tuple[Task, list[Any]], bytes] | None:
        """Return what a part is to be computed with, and its bytes; None if it is gone, damaged, or of something that is not known here."""
        try:
            content = self.place.read(f"parts/{name}")
        except (FileNotFoundError, FileError):
            return None
        if name != hashlib.sha256(content).hexdigest():
            return None
        call = content[:_DIGEST].decode("ascii", "replace")
        if call not in self._calls:
            try:
                self._calls[call] = self._call(call)
            except (FileNotFoundError, FileError):
                return None
            except (ValueError, KeyError, TypeError):  # not written by a coordinator
                self._calls[call] = None
            for old in list(self._calls)[:-2]:
                del self._calls[old]
        found = self._calls[call]
        return None if found is None else (found, content[_DIGEST:])

    def _call(self, digest: str) -> tuple[Task, list[Any]] | None:
        said = json.loads(self._head(digest))
        task = self.tasks.get(said["task"])
        if task is None:
            return None
        shared = [self._head(each["head"]) if "head" in each else self.known(each["known"]) for each in said["shared"]]
        return None if any(each is None for each in shared) else (task, shared)

    def _head(self, digest: str) -> bytes:
        content = self.place.read(f"heads/{digest}")
        if hashlib.sha256(content).hexdigest() != digest:
            raise FileError(f"{self.place} holds a damaged file, heads/{digest}; give the command of the run again.")
        return content

    def _fail(self, name: str, turn: int, why: Failure) -> None:
        record = {
            "words": why.words,
            "error": None if why.error is None else [type(why.error).__name__, str(why.error)],
        }
        self.place.create_exclusive(f"failed/{name}/{turn}", json.dumps(record).encode())


class SharedFolder:
    """Computes parts with all who work in the same folder (``separatrix runs work``), and alone if nobody does.

    Only what can lie there as bytes, or has an ``identity`` by which others know that they have the same, is given to others.

    Args:
        place: a folder that all see, or a prefix in an object store; of one computation at a time.
    """

    workers = 1

    def __init__(self, place: Place) -> None:
        self.place = place

    def __repr__(self) -> str:
        return f"SharedFolder({str(self.place)!r})"

    def map(self, task: Callable[..., Any], parts: Iterable[Any], *shared: Any) -> Iterator[tuple[int, Any]]:
        """Compute the parts as `Engine.map` does."""
        said = _said(task, shared)
        if said is None:
            yield from Here().map(task, parts, *shared)
            return
        call = self._begun(said, shared)
        bench = Bench(self.place, COORDINATOR, {said["task"]: task}, lambda _identity: None)
        bench._calls[call] = task, list(shared)
        with bench:
            names: dict[str, list[int]] = {}
            for number, part in enumerate(parts):
                content = call.encode() + part
                name = hashlib.sha256(content).hexdigest()
                names.setdefault(name, []).append(number)
                found = self._done(name)
                if found is not None:
                    yield from ((place, found) for place in names.pop(name))
                elif len(names[name]) == 1:
                    self.place.write(f"parts/{name}", content)
            yield from self._gathered(names, bench)

    def forget(self) -> None:
        """Remove all that is kept: a later state of the computation is stored."""
        for folder in ("parts", "claims", "failed", "done", "heads"):
            for name in self.place.list(folder):
                self.place.remove(name)

    def close(self) -> None:
        """Nobody is to be let go: workers end when the run does."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _begun(self, said: dict[str, Any], shared: tuple[Any, ...]) -> str:
        """Put down what all parts share, and return the digest of the call. Earlier failures do not count: the same command was given again."""
        with_what = {"versions": versions(), "threads": torch.get_num_threads()}
        self.place.write(COORDINATOR, json.dumps(with_what).encode())
        for content in [*(each for each in shared if isinstance(each, bytes)), _as_bytes(said)]:
            digest = hashlib.sha256(content).hexdigest()
            if not self.place.exists(f"heads/{digest}"):
                self.place.write(f"heads/{digest}", content)
        for name in self.place.list("failed"):
            self.place.remove(name)
            self.place.remove(name.replace("failed", "claims", 1))  # or it would seem to be at work
        for name in self.place.list("parts"):
            self.place.remove(name)
        return digest

    def _gathered(self, names: dict[str, list[int]], bench: Bench) -> Iterator[tuple[int, bytes]]:
        """Give what becomes of parts, as it comes; while nothing does, compute some of them here."""
        failures: dict[int, str] = {}
        pause = _AGAIN[0]
        while names:
            came = False
            for name in [name for name in _names(self.place, "done") if name in names]:
                found = self._done(name)
                if found is None:  # torn, or damaged by the disk
                    self.place.remove(f"done/{name}")
                    self._lose(name)
                    continue
                came = True
                self.place.remove(f"parts/{name}")
                yield from ((number, found) for number in names.pop(name))
            for name, turns in _turns(self.place, "failed").items():
                if name in names and (words := self._given_up(name, turns)):
                    failures[names.pop(name)[0]] = words
                    self.place.remove(f"parts/{name}")
            if came or bench.one():
                pause = _AGAIN[0]
            elif names:
                time.sleep(pause)
                pause = min(2 * pause, _AGAIN[1])
        if failures:
            raise EngineError(given_up(failures))

    def _given_up(self, name: str, turns: list[int]) -> str | None:
        """Return the reason why a part is given up.

        Raises:
            SeparatrixError: its task raises one of ours, which it would everywhere.
        """
        told = [record_of(_read(self.place, f"failed/{name}/{turn}")) for turn in sorted(turns)]
        for record in told:
            if isinstance(record.get("error"), list):
                kind, words = map(str, record["error"])
                known = getattr(errors, kind, None)
                raise (known if isinstance(known, type) and issubclass(known, SeparatrixError) else EngineError)(words)
        return str(told[-1].get("words")) if len(turns) >= TRIES else None

    def _lose(self, name: str) -> None:
        """The last who had this part has failed at it."""
        turns = _turns(self.place, "claims").get(name)
        if turns:
            words = json.dumps({"words": "its result was damaged", "error": None}).encode()
            self.place.create_exclusive(f"failed/{name}/{max(turns)}", words)

    def _done(self, name: str) -> bytes | None:
        return unsealed(name, _read(self.place, f"done/{name}"))


def task_name(task: Callable[..., Any]) -> str:
    """Return the name of a task, by which workers know it.

    >>> task_name(hashlib.sha256)
    '_hashlib:openssl_sha256'
    """
    return f"{task.__module__}:{task.__qualname__}"


def _said(task: Callable[..., Any], shared: tuple[Any, ...]) -> dict[str, Any] | None:
    """Return the call as it lies in the folder; None if something shared can be known to nobody else."""
    told: list[dict[str, Any]] = []
    for value in shared:
        if isinstance(value, bytes):
            told.append({"head": hashlib.sha256(value).hexdigest()})
        elif (identity := getattr(value, "identity", None)) is not None:
            told.append({"known": identity})
        else:
            return None
    return {"task": task_name(task), "shared": told}


def _as_bytes(said: Mapping[str, Any]) -> bytes:
    return json.dumps(said, sort_keys=True).encode()


def _names(place: Place, folder: str) -> list[str]:
    return [name.rpartition("/")[2] for name in place.list(folder)]


def _turns(place: Place, folder: str) -> dict[str, list[int]]:
    """Return which turns there were at each part."""
    found: dict[str, list[int]] = {}
    for path in place.list(folder):
        _, name, turn = path.split("/")
        with suppress(ValueError):
            found.setdefault(name, []).append(int(turn))
    return found


def _read(place: Place, name: str) -> bytes:
    try:
        return place.read(name)
    except (FileNotFoundError, FileError):
        return b""
