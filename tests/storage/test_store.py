"""Results on disk: bit for bit what was saved, or one sentence; and never half of anything."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import separatrix as sx
from separatrix import LatentField, LimitSets, Orbits, Protocol, load_result, save_result
from separatrix.cost import Cost
from separatrix.errors import FileError, InputError
from separatrix.limitsets import Kind
from separatrix.orbits import FirstCrossings, PathLength
from separatrix.runs._film import Footage
from separatrix.storage import _store as store

some = settings(
    max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def same(a, b):
    """Equal to the last bit, NaN included, dtype and shape included."""
    if isinstance(a, torch.Tensor):
        assert isinstance(b, torch.Tensor)
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        left, right = (torch.view_as_real(t.resolve_conj()) if t.is_complex() else t for t in (a, b))
        assert (
            left.contiguous().view(-1).view(torch.uint8).tolist()
            == right.contiguous().view(-1).view(torch.uint8).tolist()
        )
    elif dataclasses.is_dataclass(a):
        assert type(a) is type(b)
        for field in dataclasses.fields(a):
            same(getattr(a, field.name), getattr(b, field.name))
    elif isinstance(a, dict):
        assert list(a) == list(b)
        for key in a:
            same(a[key], b[key])
    elif isinstance(a, (list, tuple)):
        assert type(a) is type(b)
        assert len(a) == len(b)
        for left, right in zip(a, b, strict=True):
            same(left, right)
    elif isinstance(a, float) and a != a:
        assert b != b
    elif isinstance(a, str):
        assert a == b
        assert isinstance(b, str)
    else:
        assert type(a) is type(b)
        assert a == b


SPECIAL = torch.tensor([0.0, -0.0, 1.0, torch.nan, torch.inf, -torch.inf, 5e-324, 1e308, 0.1], dtype=torch.float64)


def floats(generator, *shape):
    """Any bits: special values mixed with random ones."""
    values = torch.randn(*shape, dtype=torch.float64, generator=generator)
    pick = torch.randint(0, 3 * len(SPECIAL), shape, generator=generator)
    return torch.where(pick < len(SPECIAL), SPECIAL[pick.clamp(max=len(SPECIAL) - 1)], values)


def whole(generator, high, *shape, dtype=torch.int64):
    return torch.randint(0, high, shape, generator=generator).to(dtype)


@st.composite
def orbits(draw):
    g = torch.Generator().manual_seed(draw(st.integers(0, 10_000)))
    n, shape = draw(st.integers(0, 6)), draw(st.sampled_from([(1,), (3,), (2, 2)]))
    dtype = draw(st.sampled_from([torch.float32, torch.float64, torch.bfloat16, torch.float16]))
    observed = {}
    if draw(st.booleans()):
        observed = {
            "path_length": floats(g, n),
            "first_crossings": (floats(g, n, 2, *shape).to(dtype), whole(g, 2, n, 2, dtype=torch.bool)),
            "note": draw(st.sampled_from(["", "Größe ∞", 3, 0.1, float("nan"), None, True])),
        }
    return Orbits(
        points=floats(g, n, *shape).to(dtype),
        steps=whole(g, 2**40, n),
        residual=floats(g, n),
        rate=floats(g, n),
        error=floats(g, n),
        status=whole(g, 10, n, dtype=torch.uint8),
        period=whole(g, 64, n),
        spread=draw(st.floats(allow_nan=False)),
        protocol=draw(protocols()),
        cost=Cost(*(draw(st.integers(0, 2**60)) for _ in range(3))),
        observed=observed,
        paths=floats(g, n, 3, *shape).to(dtype) if draw(st.booleans()) else None,
    )


@st.composite
def protocols(draw):
    presets = [
        Protocol(),
        Protocol.paper(),
        Protocol.paper_foundation(),
        Protocol(stop="squared_step", precision="float64"),
    ]
    chosen = draw(st.sampled_from(presets))
    positive = st.floats(min_value=1e-300, max_value=1e300)
    return dataclasses.replace(chosen, tolerance=draw(positive), max_steps=draw(st.integers(1, 10**9)))


@st.composite
def limit_sets(draw):
    run = draw(orbits())
    g = torch.Generator().manual_seed(draw(st.integers(0, 10_000)))
    m, shape, e = draw(st.integers(0, 6)), tuple(run.points.shape[1:]), draw(st.integers(1, 4))
    kinds = torch.tensor([draw(st.sampled_from([int(kind) for kind in Kind])) for _ in range(m)], dtype=torch.uint8)
    return LimitSets(
        points=floats(g, m, *shape),
        kind=kinds,
        period=whole(g, 64, m),
        residual=floats(g, m),
        spectral_radius=floats(g, m),
        spectral_norm=floats(g, m),
        eigenvalues=torch.complex(floats(g, m, e), floats(g, m, e)),
        stable=whole(g, 3, m, dtype=torch.int8) - 1,
        unstable_directions=whole(g, 4, m) - 1,
        hits=whole(g, 100, m),
        labels=whole(g, m + 1, len(run)) - 1,
        orbits=run,
        protocol=run.protocol,
        spread=run.spread,
        traces={i: floats(g, 3, *shape) for i in range(m) if draw(st.booleans())},
        notes=tuple(draw(st.lists(st.text(max_size=20), max_size=3))),
        provenance=draw(
            st.dictionaries(
                st.text(max_size=8),
                st.one_of(
                    st.none(),
                    st.booleans(),
                    st.integers(),
                    st.floats(allow_nan=False),
                    st.text(max_size=8),
                    st.lists(st.integers(), max_size=3),
                    st.dictionaries(st.text(max_size=4), st.integers(), max_size=3),
                ),
                max_size=4,
            )
        ),
        cost=run.cost,
    )


@some
@given(result=st.one_of(orbits(), limit_sets()))
def test_a_round_trip_changes_no_bit(result, tmp_path):
    save_result(result, tmp_path / "result", overwrite=True)
    same(result, load_result(tmp_path / "result"))


@pytest.fixture(scope="module")
def found():
    field = LatentField.from_map(lambda z: torch.tanh(2 * z), latent_shape=2, name="wells")
    return sx.find_attractors(field, sx.starts.gaussian(20))


def test_a_real_search_comes_back_with_its_views(found, tmp_path):
    assert save_result(found, tmp_path / "deep" / "er" / "limits") == tmp_path / "deep" / "er" / "limits"
    again = load_result(tmp_path / "deep" / "er" / "limits")
    same(found, again)
    same(found.attractors, again.attractors)
    assert repr(found) == repr(again)
    for versions in (found.provenance["versions"], again.provenance["versions"]):
        assert {type(version) for version in versions.values()} == {str}
    assert torch.equal(sx.basins(found).fractions, sx.basins(again).fractions)
    assert sorted(p.name for p in (tmp_path / "deep" / "er" / "limits").iterdir()) == [
        "manifest.json",
        "result.json",
        "tensors.safetensors",
    ]


def test_views_and_transposed_tensors_are_saved_as_they_look(found, tmp_path):
    same(found[::2], load_result(save_result(found[::2], tmp_path / "view")))
    orbits = dataclasses.replace(found.orbits, points=found.orbits.points.T.contiguous().T)
    same(orbits, load_result(save_result(orbits, tmp_path / "transposed")))


def test_orbits_with_observers_and_paths(tmp_path):
    field = LatentField.from_map(lambda z: 0.5 * z, latent_shape=(2, 2), dtype=torch.float64)
    orbits = sx.iterate(
        field,
        sx.starts.gaussian(4),
        observers=[PathLength(), FirstCrossings(torch.tensor([0.1, 0.01]))],
        store_paths=True,
    )
    same(orbits, load_result(save_result(orbits, tmp_path / "orbits")))


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128, torch.int32, torch.bool, torch.int16])
def test_observations_keep_their_number_format(found, dtype, tmp_path):
    orbits = dataclasses.replace(found.orbits, observed={"x": torch.ones(20, 2).to(dtype)})
    same(orbits, load_result(save_result(orbits, tmp_path / "orbits")))


def test_observer_names_cannot_shadow_each_other(found, tmp_path):
    observed = {"a": (torch.zeros(2), torch.ones(2)), "a.0": torch.full((2,), 5.0), "b:complex": torch.ones(2, 2)}
    orbits = dataclasses.replace(found.orbits, observed=observed)
    same(orbits, load_result(save_result(orbits, tmp_path / "orbits")))


def test_an_existing_folder_is_not_overwritten_unasked(found, tmp_path):
    save_result(found, tmp_path / "r")
    before = {p.name: p.read_bytes() for p in (tmp_path / "r").iterdir()}
    with pytest.raises(FileError, match="already exists"):
        save_result(found.orbits, tmp_path / "r")
    assert {p.name: p.read_bytes() for p in (tmp_path / "r").iterdir()} == before
    save_result(found.orbits, tmp_path / "r", overwrite=True)
    assert isinstance(load_result(tmp_path / "r"), Orbits)
    assert [p.name for p in tmp_path.iterdir()] == ["r"]


def test_what_cannot_be_saved_is_named_and_nothing_is_left(found, tmp_path):
    orbits = dataclasses.replace(found.orbits, observed={"strange": object()})
    with pytest.raises(InputError, match=r"object in it .*strange"):
        save_result(orbits, tmp_path / "r")
    assert list(tmp_path.iterdir()) == []


# -- failing disks -------------------------------------------------------------------------------------------------------

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def failing(error, after=0):
    calls = []

    def fail(*args, **kwargs):
        calls.append(1)
        if len(calls) > after:
            raise error

    return fail


def renaming(patch, error, fails):
    """Renames fail where ``fails(source, target)``."""
    real = Path.rename

    def rename(self, target):
        if fails(self, target):
            raise error
        return real(self, target)

    patch.setattr(Path, "rename", rename)


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("place", ["tensors", "json", "rename", "folder"])
@pytest.mark.parametrize("error", [FULL, OSError(errno.EIO, "Input/output error"), KeyboardInterrupt()])
def test_a_failing_disk_leaves_what_was_there(found, tmp_path, monkeypatch, place, error, overwrite):
    if overwrite:
        save_result(found.orbits, tmp_path / "r")
    with monkeypatch.context() as patch:
        if place == "tensors":
            patch.setattr(store, "save_file", failing(error))
        elif place == "json":
            patch.setattr(Path, "write_text", failing(error))
        elif place == "rename":
            renaming(patch, error, lambda source, target: tmp_path / "r" in (source, target))
        else:
            patch.setattr(tempfile, "mkdtemp", failing(error))
        with pytest.raises(KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else FileError) as caught:
            save_result(found, tmp_path / "r", overwrite=overwrite)
    if isinstance(caught.value, FileError):
        assert "\n" not in str(caught.value)
        assert "disk" in str(caught.value) or "folder" in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == (["r"] if overwrite else [])
    if overwrite:
        same(found.orbits, load_result(tmp_path / "r"))


def test_a_rename_that_fails_half_way_gives_the_old_result_back(found, tmp_path, monkeypatch):
    """Overwriting takes two renames; after the first one the old result is out of the way."""
    save_result(found.orbits, tmp_path / "r")
    with monkeypatch.context() as patch:
        renaming(patch, FULL, lambda source, target: target == tmp_path / "r" and source.parent.name == "ready")
        with pytest.raises(FileError):
            save_result(found, tmp_path / "r", overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == ["r"]
    same(found.orbits, load_result(tmp_path / "r"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_one_may_not_write_to(found, tmp_path):
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(FileError, match="may write"):
        save_result(found, tmp_path / "r")
    tmp_path.chmod(0o700)
    assert list(tmp_path.iterdir()) == []


def test_a_file_where_a_folder_should_be(found, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(FileError):
        save_result(found, tmp_path / "file" / "r")
    with pytest.raises(FileError, match="already exists"):
        save_result(found, tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


# -- damage --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def saved(found, tmp_path):
    return save_result(found, tmp_path / "r")


def refused(folder, words=""):
    with pytest.raises(FileError) as caught:
        load_result(folder)
    sentence = str(caught.value)
    assert words in sentence
    assert "\n" not in sentence
    return sentence


def test_nothing_there(tmp_path):
    refused(tmp_path / "nowhere", "check the path")
    refused(tmp_path, "result.json is missing")


@pytest.mark.parametrize("inside", [("limits",), ("limits", "orbits")])
def test_a_folder_that_holds_results_says_where(found, tmp_path, inside):
    run = tmp_path / "run"
    for name in inside:
        save_result(found, run / name)
    (run / "figures").mkdir()
    (run / ".limits.half").mkdir()  # what an interrupted run leaves is not recommended
    (run / ".limits.half/result.json").write_text("{}")
    (run / "report.html").write_text("")
    places = " or ".join(str(run / name) for name in inside)
    assert refused(run, "holds no saved result").endswith(f"; it is a folder of results, load {places}.")


@pytest.mark.parametrize("name", ["result.json", "tensors.safetensors"])
def test_a_missing_file_is_named(saved, name):
    (saved / name).unlink()
    refused(saved, name)


def test_any_changed_byte_of_the_tensors_is_noticed(saved):
    good = (saved / "tensors.safetensors").read_bytes()
    for position in (0, 7, 20, len(good) // 2, len(good) - 1):
        bad = bytearray(good)
        bad[position] ^= 1
        (saved / "tensors.safetensors").write_bytes(bytes(bad))
        refused(saved, "checksum")
    for size in (0, 8, len(good) - 1):
        (saved / "tensors.safetensors").write_bytes(good[:size])
        refused(saved, "damaged")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "3", '"x"', "{}", '{"format": 2}', "\x00\x01", "ß" * 10])
def test_a_record_that_is_none(saved, text):
    (saved / "result.json").write_text(text, encoding="latin-1" if "ß" in text else "utf-8")
    refused(saved)


def test_a_newer_format_says_upgrade(saved):
    record = json.loads((saved / "result.json").read_text())
    (saved / "result.json").write_text(json.dumps({**record, "format": 99}))
    refused(saved, "upgrade")
    (saved / "result.json").write_text(json.dumps({**record, "type": "Movie"}))
    refused(saved, "Movie")


@settings(
    max_examples=120, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_record_with_a_piece_missing_or_replaced_is_refused_or_read(saved, data):
    """Any value in the JSON replaced by another, or removed: a result or one sentence, never a traceback."""
    original = (saved / "result.json").read_text()
    record = json.loads(original)
    places = []

    def walk(node, path):
        places.append(path)
        items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
        for key, value in items:
            walk(value, [*path, key])

    walk(record, [])
    path = data.draw(st.sampled_from([p for p in places if p]))
    parent = record
    for key in path[:-1]:
        parent = parent[key]
    if data.draw(st.booleans()):
        del parent[path[-1]]
    else:
        parent[path[-1]] = data.draw(
            st.sampled_from([None, 3, "x", [], {}, {"tensor": "no"}, {"tensor": 5}, {"odd": 1}])
        )
    if data.draw(st.booleans()):  # by somebody who also wrote new checksums
        record["sha256"] = store.checksums(record, saved / "tensors.safetensors")
    try:
        (saved / "result.json").write_text(json.dumps(record))
        try:
            load_result(saved)
        except FileError as error:
            assert "\n" not in str(error)  # noqa: PT017
    finally:
        (saved / "result.json").write_text(original)


def test_a_number_changed_in_the_record_is_noticed(saved):
    """The tolerance a count was made with is as much part of the result as the count."""
    text = (saved / "result.json").read_text()
    assert '"tolerance": 1e-05' in text
    (saved / "result.json").write_text(text.replace('"tolerance": 1e-05', '"tolerance": 1e-03'))
    refused(saved, "damaged")


def test_the_layout_of_the_record_does_not_matter(found, saved):
    record = json.loads((saved / "result.json").read_text())
    (saved / "result.json").write_text(json.dumps(dict(reversed(record.items())), indent=4))
    same(found, load_result(saved))


def test_where_the_old_result_went_is_said_if_it_cannot_be_given_back(found, tmp_path, monkeypatch):
    save_result(found.orbits, tmp_path / "r")
    with monkeypatch.context() as patch:
        renaming(patch, FULL, lambda _source, target: target == tmp_path / "r")
        with pytest.raises(FileError, match="rename it back") as caught:
            save_result(found, tmp_path / "r", overwrite=True)
    kept = tmp_path / ".r.part" / "old" / "r"
    assert str(kept) in str(caught.value)
    same(found.orbits, load_result(kept))
    # Whoever wants the place next gives it what was ready: the new result.
    with pytest.raises(FileError, match="already exists"):
        save_result(found, tmp_path / "r")
    same(found, load_result(tmp_path / "r"))
    assert [p.name for p in tmp_path.iterdir()] == ["r"]


def test_a_file_is_not_overwritten_by_a_folder(found, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(FileError, match="is a file"):
        save_result(found, tmp_path / "file", overwrite=True)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_record_is_not_a_pickle(saved):
    assert (saved / "result.json").read_text().startswith("{")
    assert int.from_bytes((saved / "tensors.safetensors").read_bytes()[:8], "little") < 100_000


def test_only_results_are_saved_and_no_two_share_a_name(tmp_path):
    class Stranger(LimitSets):
        pass

    limits = sx.find_attractors(sx.LatentField.from_map(lambda z: z / 2, (1,)), torch.ones(1, 1))
    values = {field.name: getattr(limits, field.name) for field in dataclasses.fields(limits)}
    with pytest.raises(InputError, match=r"Stranger is no result .* LimitSets"):
        save_result(Stranger(**values), tmp_path / "stranger")
    assert not (tmp_path / "stranger").exists()
    with pytest.raises(InputError, match="already a result called LimitSets"):
        store.storable(type("LimitSets", (LimitSets,), {}))


def test_stages_of_runs_are_read_before_anybody_has_used_runs(tmp_path):
    """In a process of its own: here, other tests have imported all rooms."""
    save_result(Footage(parameters=(1.0,), unit="epoch", words="A film.", left_out={}), tmp_path / "footage")
    script = f"import separatrix as sx; print(sx.load_result({str(tmp_path / 'footage')!r}).words)"
    child = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert child.stdout == "A film.\n"


def test_complex_columns_are_aligned_for_vectorised_code(tmp_path):
    field = LatentField.from_map(lambda z: torch.tanh(2 * z), latent_shape=(1,))
    found = [sx.find_attractors(field, torch.linspace(-1, 1, n)[:, None]) for n in (1, 2, 3, 4)]
    for number, limits in enumerate(found):  # each shifts what follows it in the file by another number of bytes
        loaded = load_result(save_result(limits, tmp_path / str(number)))
        assert isinstance(loaded, LimitSets)
        assert loaded.eigenvalues.data_ptr() % 16 == 0
        same(loaded[loaded.stable == 1], limits[limits.stable == 1])


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_files_have_the_mode_of_any_new_file(found, tmp_path, umask):
    before = os.umask(umask)
    try:
        folder = save_result(found, tmp_path / "r")
    finally:
        os.umask(before)
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o666 & ~umask}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o777 & ~umask
