"""A gallery: stopped and continued, with models that fail, and never in a folder of somebody else."""

from __future__ import annotations

import pytest
import torch

import separatrix as sx
from separatrix.errors import FileError, InputError
from separatrix.runs import Exhibit, gallery


def exhibit(name: str, gain: float, **more) -> Exhibit:
    return Exhibit(
        name=name,
        load=lambda: sx.LatentField.from_map(
            lambda z: torch.tanh(gain * z), latent_shape=(2,), name=f"tanh({gain:g}z)"
        ),
        starts=lambda: sx.starts.box(24, -1.2, 1.2, seed=0),
        field_side=8,
        basin_side=6,
        **more,
    )


def no_model() -> sx.LatentField:
    raise OSError("there is no disk")


def test_cards_say_what_is_certain(tmp_path) -> None:
    broken = Exhibit(name="broken", load=no_model, starts=lambda: sx.starts.gaussian(4, seed=0))
    found = gallery([exhibit("two", 2.0), broken, exhibit("half", 0.5)], out=tmp_path / "g", figures=False)
    two, failed, half = found.records
    assert (two["attracting"], two["latent_dim"], two["arrived"], two["arrived_by_sample"]) == (4, 2, 24, 0)
    assert half["attracting"] == 1
    assert found.failed == {"broken": "OSError: there is no disk"} == {failed["name"]: failed["failed"]}
    page = found.index.read_text(encoding="utf-8")
    assert "4 attract, checked" in page
    assert "24 of 24 certain" in page
    assert "there is no disk" in page
    assert page.count("<svg") == 2
    assert "<script" not in page
    for record in (two, half):
        for link in ("page", "report"):
            assert f'href="{record[link]}"' in page
            assert (found.folder / record[link]).is_file()


def test_who_stopped_goes_on_and_computes_nothing_twice(tmp_path, monkeypatch) -> None:
    gallery([exhibit("two", 2.0)], out=tmp_path / "g", figures=False)
    before = (tmp_path / "g" / "index.html").read_text(encoding="utf-8")
    kept = (tmp_path / "g" / "two" / "explorer.html").stat().st_mtime_ns

    def twice(*_: object, **__: object) -> None:
        raise AssertionError("a scene was made twice")

    monkeypatch.setattr("separatrix.runs._gallery.scene_of", twice)
    again = gallery([exhibit("two", 2.0)], out=tmp_path / "g", figures=False)
    assert not again.failed
    assert again.index.read_text(encoding="utf-8") == before
    assert (tmp_path / "g" / "two" / "explorer.html").stat().st_mtime_ns == kept
    changed = gallery([exhibit("two", 3.0)], out=tmp_path / "g", figures=False)
    assert "holds a run of something else" in changed.failed["two"]


def test_a_page_that_a_kill_has_announced_and_not_written_is_made(tmp_path) -> None:
    whole = gallery([exhibit("two", 2.0)], out=tmp_path / "g", figures=False)
    page = tmp_path / "g" / "two" / "explorer.html"
    before = page.read_bytes()
    page.unlink()  # the manifest lists it before it is there
    again = gallery([exhibit("two", 2.0)], out=tmp_path / "g", figures=False)
    assert (again.failed, again.records, page.read_bytes()) == ({}, whole.records, before)


def test_names_and_places_that_cannot_be(tmp_path) -> None:
    # A folder in the place of the page of cards would be found when all the work is done.
    reserved = (["index.html"], ["Gallery.json"], ["manifest.json"], ["A", "a"], ["x" * 300])
    for names in ([], ["a", "a"], ["../a"], ["a/b"], *reserved):
        with pytest.raises(InputError, match="a name of its own"):
            gallery([exhibit(name, 2.0) for name in names], out=tmp_path / "g")
    assert not (tmp_path / "g").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "index.html").write_text("mine")
    with pytest.raises(FileError, match="is no gallery"):
        gallery([exhibit("two", 2.0)], out=tmp_path / "mine")
    assert (tmp_path / "mine" / "index.html").read_text() == "mine"
