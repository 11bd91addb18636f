"""A search that was killed goes on where it was, and ends in the same files, byte for byte, as one that never was."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

import separatrix as sx
from every_fate import images, make
from separatrix.errors import CheckpointWarning, FileError, InputError
from separatrix.limitsets._capture import Capture
from separatrix.limitsets._catalogue import Catalogue
from separatrix.limitsets._search import _STATE, Search
from separatrix.limitsets._statistical import pays
from separatrix.starts import Starts
from separatrix.storage import Checkpoint, save_result
from separatrix.storage._snapshot import packed
from separatrix.testing import oracles

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::separatrix.errors.ConvergenceWarning")]

Made = tuple[sx.LatentField, Starts | Tensor, sx.Protocol]


class Killed(BaseException):
    """The process is gone, as far as an exception can say so."""


def oracle(name: str, **options: object) -> Callable[[], Made]:
    """One of the maps with known answers; options are those of the protocol."""

    def made() -> Made:
        known = oracles.CATALOGUE[name]()
        return known.field, known.starts, sx.Protocol(**{"max_steps": 2000, **options})

    return made


def conv(count: int = 100, batch: int | None = None, **options: object) -> Callable[[], Made]:
    """A small convolutional autoencoder in float32 whose orbits end on two cycles."""

    def made() -> Made:
        torch.manual_seed(1)
        model = sx.models.ConvAutoencoder((1, 8, 8), 6, base_channels=4, final="identity")
        with torch.no_grad():
            for weight in model.parameters():
                weight *= 3 if weight.ndim > 1 else 1
        field = sx.LatentField(lambda x: torch.tanh(model.encode(x)), model.decode, latent_shape=6, modules=(model,))
        starts = sx.starts.gaussian(count, seed=0)
        return field.with_batch_size(batch), starts, sx.Protocol(**{"max_steps": 2000, **options})

    return made


def wells(count: int, max_wrong: float) -> Callable[[], Made]:
    """So many starts in four wells that most of them are captured statistically."""

    def made() -> Made:
        assert pays(count, 2, max_wrong)
        field = sx.LatentField.from_map(lambda z: z + 0.05 * (z - z**3), latent_shape=2, dtype=torch.float64)
        return field, sx.starts.gaussian(count, seed=0), sx.Protocol(max_wrong=max_wrong)

    return made


def every_fate() -> Made:
    """Encoded images of which some reach an attractor, a saddle or a curve, and others move, diverge or become NaN."""
    return make(), sx.starts.encoded(images()), sx.Protocol(max_steps=1200)


SEARCHES: dict[str, Callable[[], Made]] = {
    "fixed points": oracle("product of three tanh(2z)"),
    "cycles": oracle("logistic 3.5", audit=1.0),
    "a closed curve": oracle("invariant curve"),
    "a closed curve in 6 dimensions": oracle("invariant curve in 6 dimensions", audit=0.5),
    "a continuum": oracle("projection"),
    "wanderers within a budget": oracle("Hénon", max_steps=1050),
    "late forks": oracle("late fork"),
    "slow passages near saddles": oracle("May–Leonard"),
    "every fate": every_fate,
    "float32 with claimants in float64": conv(),
    "all are audited": conv(audit=1.0),
    "no captures": conv(40, capture=False),
    "float64 throughout, a few at a time": conv(40, batch=7, precision="float64"),
    "captures by a sample": wells(2796, 1e-2),
    "the paper's rule": lambda: (*conv(batch=16)()[:2], replace(sx.Protocol.paper(), max_steps=200)),
}


@pytest.fixture(autouse=True)
def stored_after_every_round(monkeypatch):
    monkeypatch.setattr("separatrix.storage._checkpoint._TIMES", 0)
    monkeypatch.setattr("separatrix.storage._reservation._to_disk", lambda path: None)  # no power fails here


UNDISTURBED: dict[Callable[[], Made], tuple[dict[str, bytes], int]] = {}


class Passes:
    """Counts passes of the network, and ends the process at one of them."""

    def __init__(self) -> None:
        self.made, self.last = 0, float("inf")

    def searched(self, made: Made, checkpoint: Path | None, last: float = float("inf")) -> sx.LimitSets | None:
        """The limit sets; None if the search was killed at its ``last`` pass."""
        self.made, self.last = 0, last
        try:
            return sx.find_attractors(*made, checkpoint=checkpoint)
        except Killed:
            return None
        finally:
            self.last = float("inf")

    def undisturbed(self, made: Callable[[], Made]) -> tuple[dict[str, bytes], int]:
        """The files of the search that nobody kills, and its passes: made once for all tests."""
        if made not in UNDISTURBED:
            UNDISTURBED[made] = files_of(self.searched(made(), None)), self.made
        return UNDISTURBED[made]

    def killed_halfway(self, made: Made, checkpoint: Path) -> None:
        """Leave the checkpoint of a search that was killed after half of its passes."""
        self.searched(made, None)
        assert self.searched(made, checkpoint, self.made // 2) is None


@pytest.fixture
def passes(monkeypatch) -> Passes:
    counter, once = Passes(), sx.LatentField._once

    def counted(self: sx.LatentField, z: Tensor) -> Tensor:
        counter.made += 1
        if counter.made >= counter.last:
            raise Killed
        return once(self, z)

    monkeypatch.setattr(sx.LatentField, "_once", counted)
    return counter


def files_of(limits: sx.LimitSets) -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        saved = save_result(limits, Path(folder) / "result")
        return {path.name: path.read_bytes() for path in saved.iterdir()}


def require_that_kills_change_nothing(
    passes: Passes, made: Callable[[], Made], place: Path, kills: int
) -> sx.LimitSets:
    """Compare with a search that was killed at so many random passes; one that ends before is begun anew."""
    never, longest = passes.undisturbed(made)
    dice, suffered, limits = random.Random(0), 0, None
    while limits is None or suffered < kills:
        last = dice.randint(1, max(2, longest // 3)) if suffered < kills else float("inf")
        limits = passes.searched(made(), place / "checkpoint", last)
        suffered += limits is None
    assert files_of(limits) == never
    assert list(place.iterdir()) == [], "the checkpoint is removed when the search has ended"
    return limits


@pytest.mark.parametrize("name", SEARCHES)
def test_five_kills_change_nothing(name, passes, tmp_path):
    require_that_kills_change_nothing(passes, SEARCHES[name], tmp_path, kills=5)


def require_that_a_kill_after_every_round_changes_nothing(passes, made, place, monkeypatch):
    """Each round in a process of its own: whatever is not stored is missed."""
    never, _ = passes.undisturbed(made)
    keep, rounds, limits = Checkpoint.keep, 0, None

    def last_deed(self: Checkpoint, state: object) -> None:
        keep(self, state)
        raise Killed

    monkeypatch.setattr(Checkpoint, "keep", last_deed)
    while limits is None:
        limits = passes.searched(made(), place / "checkpoint")
        rounds += 1
    assert rounds > 3
    assert files_of(limits) == never


@pytest.mark.parametrize("name", [name for name in SEARCHES if name != "the paper's rule"])
def test_nor_does_a_kill_after_every_round(name, passes, tmp_path, monkeypatch):
    require_that_a_kill_after_every_round_changes_nothing(passes, SEARCHES[name], tmp_path, monkeypatch)


def test_nor_do_they_with_the_usual_bound_of_wrong_labels(passes, tmp_path):
    limits = require_that_kills_change_nothing(passes, wells(9536, 1e-3), tmp_path, kills=2)
    assert limits.audit.statistical.captured > 3000


@pytest.mark.parametrize("blind", [False, True])
def test_nor_when_audits_disagree(passes, tmp_path, monkeypatch, blind):
    """A capture that labels everything 0. If nobody but the audit sees that, nothing captured is believed after three rounds."""
    genuine = Capture.see

    def lying(self, orbit, z, f_z):
        caught = genuine(self, orbit, z, f_z)
        self.set[orbit[caught]] = 0
        return caught

    monkeypatch.setattr(Capture, "see", lying)
    if blind:
        everywhere = lambda self, points, numbers: torch.ones(len(points), dtype=torch.bool)  # noqa: E731
        monkeypatch.setattr(Catalogue, "inside", everywhere)

    def made() -> Made:
        field = sx.LatentField.from_map(lambda z: torch.tanh(2 * z), latent_shape=1, dtype=torch.float64)
        return field, sx.starts.gaussian(200, seed=5), sx.Protocol(audit=0.1)

    limits = require_that_kills_change_nothing(passes, made, tmp_path, kills=5)
    assert limits.audit.rounds == (3 if blind else 2)
    assert limits.audit.abandoned is blind
    require_that_a_kill_after_every_round_changes_nothing(passes, made, tmp_path, monkeypatch)


@pytest.mark.parametrize("name", ["a closed curve", "captures by a sample", "the paper's rule"])
def test_what_was_done_is_not_done_again(name, passes, tmp_path):
    made = SEARCHES[name]
    _, whole = passes.undisturbed(made)
    assert passes.searched(made(), tmp_path / "checkpoint", 0.8 * whole) is None
    assert passes.searched(made(), tmp_path / "checkpoint") is not None
    assert passes.made < 0.5 * whole


def test_a_kill_before_the_first_round_leaves_nothing(passes, tmp_path):
    assert passes.searched(SEARCHES["cycles"](), tmp_path / "checkpoint", 1) is None
    assert list(tmp_path.iterdir()) == []


def test_batches_are_those_that_were_found_to_fit(passes, tmp_path):
    """A machine with less memory halves its batches; whoever goes on begins with these."""
    field, starts, protocol = SEARCHES["float32 with claimants in float64"]()
    field.batches.fits = 3
    passes.killed_halfway((field, starts, protocol), tmp_path / "checkpoint")
    again, _, _ = SEARCHES["float32 with claimants in float64"]()
    passes.searched((again, starts, protocol), tmp_path / "checkpoint")
    assert again.batches.fits == 3
    assert again.batches.usual == field.batches.usual is not None


def test_every_part_of_the_state_is_there_afterwards(passes, tmp_path, monkeypatch):
    """Also those that results show on other machines or after rare events only: evaluations of rows that had ended, smaller regions."""
    state, go_on = Search._state, Search._go_on
    kept, found = [], []

    def part_by_part(search: Search) -> tuple[object, dict[str, Tensor]]:
        given = {name: getattr(search, name) for name in ("transit", "fine", "protocol")}
        structure, tensors = packed(state(search), given | {"source": search.queue._source}, _STATE)
        return structure, {name: tensor.clone() for name, tensor in tensors.items()}

    def marked(search: Search) -> dict[str, object]:
        search.surplus, search.ledger.looked[0] = 7, 5
        search.catalogue.shrink_regions(0.5)
        kept.append((search, part_by_part(search)))
        return state(search)

    def gone_on(search: Search, stored: dict[str, object]) -> None:
        go_on(search, stored)
        found.append((search, part_by_part(search)))
        raise Killed

    monkeypatch.setattr(Search, "_state", marked)
    monkeypatch.setattr(Search, "_go_on", gone_on)
    made = SEARCHES["float32 with claimants in float64"]
    passes.killed_halfway(made(), tmp_path / "checkpoint")
    assert passes.searched(made(), tmp_path / "checkpoint") is None
    (before, (structure, tensors)), (after, (again, tensors_again)) = kept[-1], found[0]
    assert vars(before).keys() == vars(after).keys()
    assert again == structure
    assert tensors_again.keys() == tensors.keys()
    assert all(torch.equal(tensors_again[name], tensor) for name, tensor in tensors.items())
    assert after.surplus == 7
    assert after.ledger.looked[0] == 5
    assert after.catalogue.version == before.catalogue.version > 0
    assert after.catalogue.capturing.closeness == 0.05 * 0.5 ** len(kept)


CHILD = """
import os, signal, sys, warnings
from pathlib import Path
import torch
import separatrix as sx
import separatrix.storage._checkpoint as checkpoints
sys.path[:0] = [{tests!r}, {here!r}]
from test_resume import SEARCHES
warnings.simplefilter("ignore")
torch.set_num_threads(1)
checkpoints._TIMES = 0
once, made, last = sx.LatentField._once, 0, {last}
def counted(self, z):
    global made
    made += 1
    if made == last:
        os.kill(os.getpid(), signal.SIGKILL)
    return once(self, z)
sx.LatentField._once = counted
limits = sx.find_attractors(*SEARCHES[{name!r}](), checkpoint={checkpoint!r})
sx.save_result(limits, {result!r})
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no SIGKILL here")
def test_a_process_that_is_killed_goes_on_in_another(passes, tmp_path):
    name = "every fate"
    never = passes.searched(SEARCHES[name](), None)
    here = Path(__file__).parent
    for last in (passes.made // 2, -1):
        script = CHILD.format(
            tests=str(here.parent),
            here=str(here),
            last=last,
            name=name,
            checkpoint=str(tmp_path / "checkpoint"),
            result=str(tmp_path / "result"),
        )
        child = subprocess.run([sys.executable, "-c", script], env={**os.environ}, capture_output=True, text=True)
        assert child.returncode == (-signal.SIGKILL if last > 0 else 0), child.stderr
        assert (tmp_path / "checkpoint").exists() is (last > 0)
    assert {path.name: path.read_bytes() for path in (tmp_path / "result").iterdir()} == files_of(never)
    assert [path.name for path in tmp_path.iterdir()] == ["result"]


# -- what is refused ---------------------------------------------------------------------------------------------------


@pytest.fixture
def killed(passes, tmp_path) -> tuple[Made, Path]:
    """A search that was killed halfway, and its checkpoint."""
    made, place = conv(100)(), tmp_path / "checkpoint"
    passes.killed_halfway(made, place)
    return made, place


def test_another_search_is_refused(killed, passes, monkeypatch):
    (field, starts, protocol), place = killed
    before = {path.name: path.read_bytes() for path in place.iterdir()}
    torch.manual_seed(2)
    model = sx.models.ConvAutoencoder((1, 8, 8), 6, base_channels=4)
    encoded = sx.starts.encoded(torch.rand(8, 1, 8, 8))
    others: dict[str, Made] = {
        r"another starts \(seed: 0 there, 1 here\)": (field, sx.starts.gaussian(100, seed=1), protocol),
        r"another starts \(last: 100 there, 99 here\)": (field, starts[:99], protocol),
        r"another starts \(kind: gaussian there, points here\)": (field, starts.block(field, 0, 100), protocol),
        r"another starts \(kind: gaussian there, encoded here\)": (field, encoded, protocol),
        r"another protocol \(audit: 0.01 there, 0.02 here\)": (field, starts, replace(protocol, audit=0.02)),
        r"another protocol \(polish: True there, False here\)": (field, starts, replace(protocol, polish=False)),
        r"another field \(fingerprint: ": (sx.LatentField.of(model), starts, protocol),
        r"another field \(dtype: float32 there, float64 here\)": (field.to(torch.float64), starts, protocol),
    }
    for words, other in others.items():
        with pytest.raises(InputError, match=words + ".*; give another folder, or remove this one to begin anew"):
            passes.searched(other, place)
    monkeypatch.setattr("separatrix.limitsets._find.version", lambda _: "0.0.1")
    with pytest.raises(InputError, match=r"another version of separatrix \(.* there, 0.0.1 here\)"):
        passes.searched((field, starts, protocol), place)
    assert {path.name: path.read_bytes() for path in place.iterdir()} == before


def test_points_are_told_apart_by_their_numbers(passes, tmp_path):
    field = sx.LatentField.from_map(lambda z: torch.tanh(2 * z), latent_shape=1, dtype=torch.float64)
    points = torch.linspace(-1, 1, 100, dtype=torch.float64)[:, None]
    passes.killed_halfway((field, points, sx.Protocol()), tmp_path / "c")
    with pytest.raises(InputError, match=r"another starts \(sha256: "):
        passes.searched((field, points + 1e-9, sx.Protocol()), tmp_path / "c")
    assert passes.searched((field, points.clone(), sx.Protocol()), tmp_path / "c") is not None


def test_a_map_without_weights_is_told_by_what_it_does(passes, tmp_path):
    def made(gain: float) -> Made:
        field = sx.LatentField.from_map(lambda z: torch.tanh(gain * z), latent_shape=1, dtype=torch.float64)
        assert field.fingerprint is None
        return field, sx.starts.gaussian(50, seed=0), sx.Protocol()

    passes.killed_halfway(made(2.0), tmp_path / "checkpoint")
    with pytest.raises(InputError, match=r"another field \(it maps the first starts elsewhere\)"):
        passes.searched(made(2.01), tmp_path / "checkpoint")
    assert files_of(passes.searched(made(2.0), tmp_path / "checkpoint")) == files_of(passes.searched(made(2.0), None))


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for name, words in (("mine", "it holds notes.txt"), ("file", "is a file")):
        with pytest.raises(FileError, match=words):
            sx.find_attractors(*conv(8)(), checkpoint=tmp_path / name)
    with (
        Checkpoint.at(tmp_path / "taken", {}, torch.zeros(1)),
        pytest.raises(FileError, match="Another run is writing"),
    ):
        sx.find_attractors(*conv(8)(), checkpoint=tmp_path / "taken")


# -- damage ------------------------------------------------------------------------------------------------------------


def test_a_damaged_checkpoint_is_not_used(killed, passes):
    made, place = killed
    never = files_of(passes.searched(made, None))
    whole = {path.name: path.read_bytes() for path in place.iterdir()}
    dice = random.Random(0)
    for name in ("state.safetensors", "checkpoint.json"):
        for trial in range(5):
            place.mkdir(exist_ok=True)
            for other, content in whole.items():
                (place / other).write_bytes(content)
            damaged = bytearray(whole[name])
            if trial == 0:
                del damaged[len(damaged) // 2 :]
            else:
                damaged[dice.randrange(len(damaged))] ^= 1 << dice.randrange(7)
            (place / name).write_bytes(damaged)
            same = name == "checkpoint.json" and _means_the_same(damaged, whole[name])
            if not same:
                with pytest.warns(
                    CheckpointWarning, match=r"is damaged \(.*\), so it is not used; the search begins anew"
                ):
                    assert files_of(passes.searched(made, place)) == never
            assert not place.exists() or same


def _means_the_same(damaged: bytearray, whole: bytes) -> bool:
    try:
        return json.loads(damaged) == json.loads(whole)
    except ValueError:
        return False


def test_a_missing_part_is_damage(killed, passes):
    made, place = killed
    (place / "state.safetensors").unlink()
    with pytest.warns(CheckpointWarning, match="is damaged"):
        assert passes.searched(made, place) is not None


def test_a_full_disk_costs_the_checkpoint_and_not_the_search(passes, tmp_path, monkeypatch):
    made = conv(20)
    never = files_of(passes.searched(made(), None))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("separatrix.storage._checkpoint.write_tensors", full)
    with pytest.warns(CheckpointWarning, match="could not be stored .*No space left on device.*; it goes on without"):
        assert files_of(passes.searched(made(), tmp_path / "checkpoint")) == never
    assert list(tmp_path.iterdir()) == []
