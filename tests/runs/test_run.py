"""A run is killed at every step it takes on the disk, goes on, and ends in the same bytes; and it never takes what is not of its plan."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import killing
import separatrix as sx
from separatrix import runs
from separatrix.errors import ConvergenceWarning, DamageWarning, FileError
from separatrix.runs import Plan
from separatrix.storage import Checkpoint

DTYPE = torch.float64
MEMORY = torch.rand(3, 4, generator=torch.Generator().manual_seed(1), dtype=DTYPE)
TRAIN = MEMORY.reshape(3, 1, 2, 2)
UNSEEN = torch.rand(40, 1, 2, 2, generator=torch.Generator().manual_seed(2), dtype=DTYPE)


class Counted:
    """Goes nine tenths of the way to the nearest of three stored images; counts how often it is asked."""

    def __init__(self, memory: torch.Tensor = MEMORY) -> None:
        self.memory, self.asked = memory, 0

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        self.asked += 1
        z = x.flatten(1)
        memory = self.memory.to(z)
        return z + 0.9 * (memory[torch.cdist(z, memory).argmin(dim=1)] - z)


def field_of(recall: Counted) -> sx.LatentField:
    return sx.LatentField(recall, lambda z: z.reshape(-1, 1, 2, 2), latent_shape=4, dtype=DTYPE, name="memory")


@dataclass(frozen=True)
class Recipe:
    """One recipe on a small model."""

    run: Callable[..., Any]
    arguments: tuple[Any, ...] = ()
    figures: bool = False

    def __call__(self, out: Path, recall: Counted | None = None, **options: Any) -> Any:
        return self.run(field_of(recall or Counted()), *self.arguments, out=out, **{"figures": self.figures, **options})


def _attractors(field: sx.LatentField, **options: Any) -> Any:
    return runs.attractors(field, sx.starts.encoded(UNSEEN[:20]), train=TRAIN, held_out=UNSEEN, **options)


RECIPES = {
    "attractors": Recipe(_attractors),
    "audit": Recipe(runs.audit, (TRAIN, UNSEEN)),
    "audit without data": Recipe(lambda field, **options: runs.audit_without_data(field, starts=20, **options)),
}


@pytest.fixture(autouse=True)
def _calm():
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", sx.errors.FigureWarning)
        yield


@pytest.fixture(params=RECIPES)
def recipe(request):
    return RECIPES[request.param]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_killed_at_any_step_on_the_disk_it_ends_in_the_same_bytes(recipe, tmp_path):
    here = tmp_path / "here"
    here.mkdir()
    left = killing.left_by_kills(lambda: recipe(here / "run"), here, tmp_path / "left", every=5)
    whole = contents(here)
    for place in left:
        recipe(place / "run")
        assert contents(place) == whole, f"killed at {place.name}"
        shutil.rmtree(place)
    assert len(left) >= 10


def test_killed_again_and_again_it_comes_to_its_end(recipe, tmp_path):
    recipe(tmp_path / "whole")
    tries = 0
    while killing.killed_at(150, lambda: recipe(tmp_path / "run")):
        tries += 1
        assert tries < 60
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


def test_a_finished_run_costs_nothing_and_its_pages_need_no_model(recipe, tmp_path):
    recipe(tmp_path / "run", figures=True)
    before, recall = contents(tmp_path / "run"), Counted()
    again = recipe(tmp_path / "run", recall, figures=True)
    # The model was recognised by six points, admitted, and the shape of its images was looked at; nothing else was asked.
    assert recall.asked <= 12
    assert contents(tmp_path / "run") == before
    assert json.loads(before["summary.json"]) == again.summary
    for name in ("report.html", "summary.json", *(name for name in before if name.endswith((".png", ".md")))):
        (tmp_path / "run" / name).unlink()
    runs.report(tmp_path / "run")
    assert contents(tmp_path / "run") == before


def test_pages_can_be_had_without_pictures_and_with_them_later(recipe, tmp_path):
    recipe(tmp_path / "whole", figures=True)
    recipe(tmp_path / "run", figures=False)
    assert not list((tmp_path / "run").glob("*.png"))
    recipe(tmp_path / "run", figures=True)
    assert contents(tmp_path / "run").keys() == contents(tmp_path / "whole").keys()


def test_another_model_other_rules_and_other_data_are_refused(tmp_path):
    recipe, out = RECIPES["attractors"], tmp_path / "run"
    recipe(out)
    before = contents(out)
    with pytest.raises(FileError, match=r"differs in model\.fingerprint"):
        recipe(out, Counted(MEMORY.flip(0) + 0.1))
    with pytest.raises(FileError, match=r"differs in options\.seed"):
        recipe(out, seed=1)
    with pytest.raises(FileError, match=r"differs in options\.protocol\.max_steps"):
        recipe(out, protocol=sx.Protocol(max_steps=50))
    other = Recipe(
        lambda field, **options: runs.attractors(field, sx.starts.encoded(UNSEEN[:20]), train=TRAIN + 0.01, **options)
    )
    with pytest.raises(FileError, match=r"differs in data\.train\.sha256, data\.held_out"):
        other(out)
    with pytest.raises(FileError, match="choose another folder"):
        RECIPES["audit"](out)
    assert contents(out) == before
    recipe(out, seed=1, overwrite=True)
    assert json.loads((out / "manifest.json").read_text())["plan"]["options"]["seed"] == 1


def test_the_same_images_by_another_path_are_the_same_starts(tmp_path):
    """A run and a search that were killed go on; only what the files hold decides."""
    out, folders = tmp_path / "run", (tmp_path / "here.npy", tmp_path / "there.npy")
    for folder in folders:
        np.save(folder, UNSEEN[:20].numpy())

    def from_file(path: Path, **options: Any) -> Any:
        return runs.attractors(field_of(Counted()), sx.starts.encoded(path), out=out, figures=False, **options)

    class Gone(BaseException):
        pass

    with pytest.MonkeyPatch.context() as patch:
        keep = Checkpoint.keep

        def last_deed(self: Checkpoint, state: Any) -> None:
            keep(self, state)
            raise Gone

        patch.setattr(Checkpoint, "keep", last_deed)
        with pytest.raises(Gone):
            from_file(folders[0])
    from_file(folders[1])
    before = contents(out)
    from_file(folders[0])
    assert contents(out) == before
    np.save(folders[0], UNSEEN[1:21].numpy())
    with pytest.raises(FileError, match=r"differs in options\.starts\.data\.sha256\)"):
        from_file(folders[0])


def test_the_earlier_run_goes_only_when_the_new_one_has_something(tmp_path):
    out = tmp_path / "run"
    RECIPES["attractors"](out)
    before = contents(out)

    class Broken(Counted):
        def __call__(self, x: torch.Tensor) -> torch.Tensor:
            if len(x) > 4:
                raise ZeroDivisionError
            return super().__call__(x)

    with pytest.raises(ZeroDivisionError):
        RECIPES["attractors"](out, Broken(), overwrite=True)
    assert contents(out) == before


def test_a_run_that_replaces_another_goes_on_too(tmp_path):
    """Killed before its first stage is stored, or after it: the same command again does not begin anew; a third time it does."""
    out, rounds = tmp_path / "run", []
    RECIPES["attractors"](tmp_path / "whole", seed=1)
    RECIPES["attractors"](out)
    earlier = contents(out)

    class Gone(BaseException):
        pass

    def kept(self: Checkpoint, state: Any) -> None:
        keep(self, state)
        rounds.append(begun[-1])
        raise Gone

    def started(self: Checkpoint, *anchors: Any) -> Any:
        begun.append(begin(self, *anchors))
        return begun[-1]

    keep, begin, begun = Checkpoint.keep, Checkpoint.begin, []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoint, "keep", kept)
        patch.setattr(Checkpoint, "begin", started)
        with pytest.raises(Gone):
            RECIPES["attractors"](out, seed=1, overwrite=True)
        assert {name: out.joinpath(name).read_bytes() for name in earlier} == earlier
        patch.setattr(Checkpoint, "keep", keep)
        recall = Counted()
        assert killing.killed_at(90, lambda: RECIPES["attractors"](out, recall, seed=1, overwrite=True))
        assert begun[0] is None
        assert begun[1] is not None
        assert "limits" in json.loads((out / "manifest.json").read_text())["stages"]
        RECIPES["attractors"](out, seed=1, overwrite=True)
        assert len(begun) == 2, "the search was not done again"
        assert contents(out) == contents(tmp_path / "whole")
        RECIPES["attractors"](out, seed=1, overwrite=True)
        assert len(begun) == 3
        assert begun[2] is None


@pytest.mark.parametrize("file", ["limits/tensors.safetensors", "limits/result.json", "limits/manifest.json"])
def test_a_damaged_stage_is_computed_again(tmp_path, file):
    recipe, out = RECIPES["audit without data"], tmp_path / "run"
    recipe(out)
    before = contents(out)
    damaged = bytearray(before[file])
    damaged[len(damaged) // 2] ^= 1
    (out / file).write_bytes(damaged)
    if file.endswith("manifest.json"):  # no number is in it
        recipe(out)
        return
    with pytest.warns(DamageWarning, match="computed again"):
        recipe(out)
    assert contents(out) == before


def test_what_somebody_put_into_the_folder_stays(tmp_path):
    recipe, out = RECIPES["attractors"], tmp_path / "run"
    recipe(out)
    (out / "note.txt").write_text("mine")
    recipe(out)
    runs.report(out)
    with pytest.raises(FileError, match=r"it holds note\.txt"):
        recipe(out, overwrite=True)
    assert (out / "note.txt").read_text() == "mine"


def test_a_list_of_runs_tells_their_state(tmp_path):
    RECIPES["attractors"](tmp_path / "one")
    assert killing.killed_at(40, lambda: RECIPES["audit"](tmp_path / "two"))
    (tmp_path / "none").mkdir()
    states = {entry.folder.name: (entry.recipe, entry.state, entry.model) for entry in runs.listed(tmp_path)}
    assert states == {"one": ("attractors", "finished", "memory"), "two": ("audit", "stopped", "memory")}
    with pytest.raises(FileError, match="was stopped; run the same command again"):
        runs.report(tmp_path / "two")
    with pytest.raises(FileError, match="holds no run of separatrix"):
        runs.report(tmp_path / "none")


class Sharpened(torch.nn.Module):
    """One linear layer, and code beside it that no fingerprint sees."""

    latent_dim = 2

    def __init__(self, gain: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.gain, self.layer = gain, torch.nn.Linear(2, 2)

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.gain * x)

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        return z + 0 * self.layer(z)


@pytest.mark.parametrize("gain", [0.5, 2.01])
def test_other_code_with_the_same_weights_is_another_model(tmp_path, gain):
    def run(factor: float) -> runs.AttractorsRun:
        field = sx.LatentField(Sharpened(factor), name="sharpened")
        return runs.attractors(field, sx.starts.box(20, -1.0, 1.0), out=tmp_path / "run", figures=False)

    assert len(run(2.0).limits.attractors) == 4
    with pytest.raises(FileError, match=r"it differs in model\.answers\.f"):
        run(gain)
    assert len(run(2.0 * (1 + 1e-7)).limits.attractors) == 4  # what rounding explains is the same model


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    rows=st.lists(st.lists(st.floats(-1e6, 1e6) | st.none(), min_size=3, max_size=3), min_size=1, max_size=4),
    noise=st.floats(-1, 1),
)
def test_answers_are_the_same_up_to_rounding_and_no_further(rows, noise):
    def plan(values):
        answers = {"f": {"rows": values, "allowed": 1e-3}}
        return Plan(recipe="attractors", model={"answers": answers})

    size = [max((abs(x) for x in row if x is not None), default=0.0) for row in rows]
    moved = [[x if x is None else x + 9e-4 * noise * most for x in row] for row, most in zip(rows, size, strict=True)]
    stored = json.loads(json.dumps(plan(moved).to_dict()))
    assert plan(rows).differences(stored) == []
    other = [list(row) for row in rows]
    other[0][0] = 1.0 if other[0][0] is None else other[0][0] + 1 + 2e-3 * size[0]
    assert plan(rows).differences(plan(other).to_dict()) == ["model.answers.f"]
