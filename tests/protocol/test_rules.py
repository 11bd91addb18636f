"""The groups of a protocol: every number on which a count depends is in one of them, is heard, is stored, and stays what it was."""

from __future__ import annotations

import ast
import hashlib
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import separatrix as sx
from separatrix import Protocol
from separatrix.errors import InputError
from separatrix.limitsets._capture import Capture
from separatrix.limitsets._catalogue import Catalogue
from separatrix.numerics._closed_curve import closed_curve
from separatrix.protocol import DEFAULT, GROUPS, Capturing, Curves, Polishing, Rounds, Rules, Statistics, Stopping
from separatrix.storage import load_result, save_result
from separatrix.testing import oracles

quiet = pytest.mark.filterwarnings("ignore::separatrix.errors.ConvergenceWarning")


# -- what they are -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("group", GROUPS.values())
def test_each_number_has_a_line_in_the_docstring(group):
    for one in fields(group):
        assert f"        {one.name}: " in group.__doc__


@pytest.mark.parametrize("value", [0, -1, 1.5, "10", None, True, math.nan])
def test_counts_are_whole_and_positive(value):
    with pytest.raises(InputError, match=r"Rounds\.pilot must be a whole number, at least 1, not "):
        Rounds(pilot=value)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, "positive number"),
        (-1e-5, "positive number"),
        *((value, "number") for value in (math.nan, "small", None, True)),
    ],
)
def test_other_numbers_are_positive(value, words):
    with pytest.raises(InputError, match=rf"Stopping\.apart must be a {words}, not "):
        Stopping(apart=value)
    with pytest.raises(InputError, match=rf"Statistics\.widths must be a {words}, not "):
        Statistics(widths=(0.1, value))


def test_a_group_is_no_dictionary():
    with pytest.raises(InputError, match=r"Protocol\.rounds must be Rounds\(…\), not {'pilot': 8}"):
        Protocol(rounds={"pilot": 8})
    with pytest.raises(InputError, match=r"Protocol\.curves must be Curves\(…\), not Rounds\(\)"):
        Protocol(curves=Rounds())


def test_only_what_differs_is_shown():
    assert "rounds" not in repr(Protocol())
    assert repr(Protocol(rounds=Rounds(pilot=8))).endswith("max_wrong=0.001, rounds=Rounds(pilot=8))")


# -- storage -----------------------------------------------------------------------------------------------------------


def test_only_what_differs_is_stored_and_comes_back():
    protocol = Protocol(curves=Curves(same=1e-4, records=3), statistics=Statistics(widths=(0.01, 0.5)))
    stored = json.loads(json.dumps(protocol.to_dict()))
    assert stored["curves"] == {"same": 1e-4, "records": 3}
    assert stored["statistics"] == {"widths": [0.01, 0.5]}
    assert set(stored) & set(GROUPS) == {"curves", "statistics"}
    assert Protocol.from_dict(stored) == protocol
    assert Protocol.from_dict(stored) != Protocol()
    assert len({protocol, Protocol.from_dict(stored), Protocol()}) == 2


def test_a_result_keeps_them(tmp_path):
    field = sx.LatentField.from_map(lambda z: torch.tanh(2 * z), latent_shape=1, dtype=torch.float64)
    protocol = Protocol(rounds=Rounds(pilot=4, steps=16), polishing=Polishing(distinct=1e-3))
    limits = sx.find_attractors(field, sx.starts.gaussian(40, seed=0), protocol)
    again = load_result(save_result(limits, tmp_path / "result"))
    assert again.protocol == again.orbits.protocol == protocol


def test_an_unknown_number_is_an_error_that_lists_the_known():
    with pytest.raises(InputError, match="Rounds have no 'pilots'; they have pilot, growth, unsettled"):
        Protocol.from_dict({"rounds": {"pilots": 8}})


def test_a_result_from_before_there_were_groups_loads():
    limits = load_result(Path(__file__).parent / "saved" / "before-groups")
    assert limits.protocol == Protocol(max_period=32, tolerance=1e-6)
    assert limits.labels.tolist() == [0, 0, 2, 1, 1]
    assert len(limits.attractors) == 2


def test_the_defaults_stay_what_they_are():
    """What was saved with the defaults names none of them. Whoever changes one has to give the old value back in `Protocol.from_dict`,
    to what was saved before, and may then write the new digest here."""
    values = {name: {one.name: one.default for one in fields(group)} for name, group in GROUPS.items()}
    digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
    assert digest.startswith("6ba83ffc04108dfe")


# -- every one is heard ------------------------------------------------------------------------------------------------


def heard_in(protocol: Protocol) -> tuple[Protocol, set[str]]:
    """The same protocol, and a set to which each number that somebody reads from one of its groups is added."""
    heard: set[str] = set()

    def listening(name: str) -> Rules:
        kind = GROUPS[name]
        numbers = {one.name for one in fields(kind)}

        @dataclass(frozen=True, kw_only=True, repr=False)
        class Listening(kind):
            def __post_init__(self) -> None:
                """It was checked before."""

            def __getattribute__(self, number: str) -> Any:
                if number in numbers:
                    heard.add(f"{name}.{number}")
                return super().__getattribute__(number)

        return Listening(**vars(getattr(protocol, name)))

    return replace(protocol, **{name: listening(name) for name in GROUPS}), heard


def searched(field: sx.LatentField, starts: Any, **options: Any) -> set[str]:
    protocol, heard = heard_in(Protocol(**options))
    sx.find_attractors(field, starts, protocol)
    return heard


def oracle(name: str, count: int | None = None, **options: Any) -> set[str]:
    known = oracles.CATALOGUE[name]()
    return searched(known.field, known.starts[:count], **options)


def turning(step: Callable[[torch.Tensor], torch.Tensor], angle: float = oracles.GOLDEN_ANGLE) -> sx.LatentField:
    """Turns the plane while the radius goes r → step(r)."""

    def function(z: torch.Tensor) -> torch.Tensor:
        r, phase = z.norm(dim=1), torch.atan2(z[:, 1], z[:, 0]) + angle
        return torch.stack([step(r) * phase.cos(), step(r) * phase.sin()], dim=1)

    return sx.LatentField.from_map(function, latent_shape=2, dtype=torch.float64)


def thin(r: torch.Tensor) -> torch.Tensor:
    """Towards 1 from within 0.005, and from nowhere else."""
    return 1 + torch.where((r - 1).abs() < 5e-3, 0.5, 1.0) * (r - 1)


def slow_laps() -> set[str]:
    """A loop with a slow place at which noise decides how long a lap takes."""
    dice, theta, points = np.random.default_rng(0), 0.0, []
    for _ in range(2000):
        points.append((np.cos(theta), np.sin(theta), 0.3 * np.sin(2 * theta)))
        theta += 0.06 * (1.01 + np.cos(theta)) + 3e-3 * abs(dice.standard_normal())
    protocol, heard = heard_in(Protocol())
    assert closed_curve(np.array(points), protocol.loops) is not None
    return heard


def sampled() -> set[str]:
    field = sx.LatentField.from_map(lambda z: z + 0.05 * (z - z**3), latent_shape=2, dtype=torch.float64)
    return searched(field, sx.starts.gaussian(400, seed=0), max_wrong=0.2, statistics=Statistics(recorded=128))


def mistaken(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """A capture that labels everything 0, which only the audit sees."""
    genuine = Capture.see

    def lying(self, orbit, z, f_z):
        caught = genuine(self, orbit, z, f_z)
        self.set[orbit[caught]] = 0
        return caught

    with monkeypatch.context() as patch:
        patch.setattr(Capture, "see", lying)
        patch.setattr(Catalogue, "inside", lambda self, points, numbers: torch.ones(len(points), dtype=torch.bool))
        return {number for number in oracle("tanh(2z)", audit=0.1) if number.startswith("auditing")}


def solved(name: str) -> set[str]:
    known = oracles.CATALOGUE[name]()
    protocol, heard = heard_in(Protocol())
    sx.find_fixed_points(known.field, known.starts[:8], protocol)
    return heard


@quiet
def test_every_number_is_heard(monkeypatch):
    """No number of a protocol is without effect because somebody forgot to ask for it."""
    ring = torch.tensor([[1.0, 0.0], [0.0, 1.001], [0.5, 0.0]], dtype=torch.float64)
    high = sx.LatentField.from_map(lambda z: torch.tanh(1.2 * z), latent_shape=10, dtype=torch.float64)
    searches: list[Callable[[], set[str]]] = [
        lambda: oracle("invariant curve", max_steps=3000, audit=0.5),
        lambda: searched(turning(thin), ring, max_steps=2500),
        lambda: searched(turning(lambda r: 0.5 + 0.5 * r, angle=0.1), ring, max_steps=2500),
        lambda: oracle("Hénon", 4, max_steps=100),
        lambda: searched(high, sx.starts.gaussian(8, seed=0), polishing=Polishing(dense_limit=1)),
        sampled,
        slow_laps,
        lambda: solved("product of three tanh(2z)"),
        lambda: solved("projection"),
        lambda: mistaken(monkeypatch),
    ]
    heard: set[str] = set().union(*(search() for search in searches))
    missed = sorted({f"{name}.{one.name}" for name, group in GROUPS.items() for one in fields(group)} - heard)
    assert not missed, missed


@quiet
@pytest.mark.parametrize(
    ("options", "same"),
    [
        ({}, True),
        ({"rounds": Rounds(pilot=4)}, False),
        ({"capturing": Capturing(in_a_row=12)}, False),
        ({"stopping": Stopping(patience=9)}, False),
    ],
)
def test_they_have_an_effect(options, same):
    known = oracles.CATALOGUE["product of three tanh(2z)"]()
    usual, found = (sx.find_attractors(known.field, known.starts, Protocol(**chosen)) for chosen in ({}, options))
    assert ((len(found), found.cost) == (len(usual), usual.cost)) is same


# -- what is left in the code ------------------------------------------------------------------------------------------

LEFT = {
    "how many rows or numbers are dealt with at once, or in which of several equal ways; each row is dealt with by itself": (
        "orbits/_looks.py: ON_CPU ON_ACCELERATORS",
        "orbits/_pool.py: _MOST_TOGETHER _LEAST_TOGETHER _COORDINATES_TOGETHER _FOR_EVER",
        "limitsets/_capture_auditor.py: _NUMBERS_AT_ONCE",
        "limitsets/_claims.py: _COMPARED",
        "limitsets/_fixed_points.py: _BATCH",
        "limitsets/_parts.py: TASKS",
        "limitsets/_regions.py: _MANY _ROWS_PER_PRODUCT _COLUMNS _NUMBERS_GATHERED _NUMBERS_AT_ONCE",
        "limitsets/_statistical.py: _ROWS",
    ),
    "guards of arithmetic": (
        "orbits/_judge.py: _TINY",
        "limitsets/_regions.py: _DOUBLINGS _LIFTS",
        "limitsets/_deflation.py: _NO_DIVISOR",
    ),
    "what is said or shown of a count that stands": (
        "limitsets/_basins.py: _SHOWN",
        "limitsets/_motion.py: BLOCKS LEAST_STEPS",
        "limitsets/_search.py: _NAMED _NAMING_STEPS _NAMING_SHARE",
        "limitsets/_triviality.py: TAKES_ALL FAST",
    ),
    "what two counts are compared by, or the counts of other rules beside the chosen one": (
        "limitsets/_same_sets.py: _SAME_POINT _SAME_CURVE",
        "limitsets/_sensitivity.py: STEPS DISTANCES COSINE FACTORS",
    ),
    "whether a checkpoint is that of this search": ("limitsets/_find.py: _ASKED",),
    "whether a model is a self-map, and whether it was at fault when it raised an exception": (
        "limitsets/_find.py: _EXAMINED _TRIED",
        "limitsets/_search.py: _GOOD",
        "orbits/_iterate.py: _GOOD",
    ),
    "what a search will cost, which is said before it begins": (
        "orbits/_glance.py: GLANCE_STARTS GLANCE_STEPS",
        "limitsets/_forecast.py: _LEVEL _ERROR _PACE_ERROR _WORKERS _SLOWER _NAMING _FINISHING _WITH_GRADIENTS",
        "limitsets/_trial.py: _SHARE _FEWEST _MOST _FEWEST_STEPS _PILOT_SHARE _LIBRARY_SHARE _SAMPLE_SHARE _INSTANT _PHASES _DRAWN _TIMED "
        "_TIMED_ROWS _LOOKED",
    ),
}


def numbers_in(path: Path) -> Iterator[str]:
    """Names in capitals that a file gives to numbers, or to what is made of them."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
            if any(isinstance(part, ast.Constant) and isinstance(part.value, str) for part in ast.walk(node.value)):
                continue
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = [part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name)]
            made_of = {part.id for part in ast.walk(node.value) if isinstance(part, ast.Name)} - {"torch", "math"}
            if not any(name[0].isupper() for name in made_of - set(names) if not name.isupper()):
                yield from (name for name in names if name.strip("_").isupper())


def test_no_other_number_of_the_code_moves_a_count():
    """A new constant in the rooms of orbits and limit sets belongs in a group of the protocol, or here, with the reason."""
    root = Path(sx.__file__).parent
    found = {
        f"{path.relative_to(root).as_posix()}: {name}"
        for room in ("orbits", "limitsets")
        for path in (root / room).glob("*.py")
        for name in numbers_in(path)
    }
    allowed = {
        f"{line.partition(': ')[0]}: {name}"
        for lines in LEFT.values()
        for line in lines
        for name in line.partition(": ")[2].split()
    }
    assert found == allowed


def test_the_groups_are_options_of_the_protocol():
    assert list(GROUPS) == [one.name for one in fields(Protocol)][-len(GROUPS) :]
    assert all(getattr(DEFAULT, name) == group() for name, group in GROUPS.items())
