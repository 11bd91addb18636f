"""Shards picture by picture: honest ones in their order, hostile and damaged ones without harm, each trouble with its reason."""

from __future__ import annotations

import gzip
import io
import tarfile

import numpy as np
import pytest
from PIL import Image

from separatrix.data._picture_stream import decoded_block
from separatrix.data._shards import pictures_in
from separatrix.data._sources import PictureFile, files_of, stamp_of
from separatrix.errors import FileError, InputError

MANY = 10**12


def png(value: int, size: int = 4) -> bytes:
    content = io.BytesIO()
    Image.fromarray(np.full((size, size), value, np.uint8)).save(content, "PNG")
    return content.getvalue()


def member(name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, size: int | None = None, link: str = ""):
    entry = tarfile.TarInfo(name)
    entry.size, entry.type, entry.linkname = len(content) if size is None else size, kind, link
    return entry, content


def packed(path, *members, mode="w", format=tarfile.PAX_FORMAT):
    """A tar file, whatever its members claim."""
    with tarfile.open(path, mode, format=format) as archive:
        for entry, content in members:
            if entry.size == len(content):
                archive.addfile(entry, io.BytesIO(content))
            else:
                archive.fileobj.write(entry.tobuf(format))
                archive.fileobj.write(content + bytes(-len(content) % 512))
    return path


def read(path, column=""):
    """Name → brightest grey value, or the reason why there is none."""
    found = list(pictures_in(PictureFile(path.name, str(path), *stamp_of(path), column)))
    block = decoded_block(found, (1, 4, 4), False, None).block if found else None
    values = {} if block is None else dict(zip(block.names, (255 * block.pixels.amax((1, 2, 3))).tolist(), strict=True))
    return {name: block.broken.get(name, round(value) if value == value else value) for name, value in values.items()}


@pytest.mark.parametrize("ending", ["tar", "tar.gz", "tar.bz2", "tar.xz"])
def test_pictures_of_an_archive_in_their_order(tmp_path, ending):
    members = [
        member("./b.png", png(20)),
        member("b.json", b"{}"),
        member("a/x.PNG", png(30)),
        member(".hidden/c.png", png(1)),
        member("._d.png", b"resource fork"),
        member("folder.png", kind=tarfile.DIRTYPE),
        member("b.png", png(40)),
        member("ä" * 120 + ".png", png(50)),
    ]
    path = packed(tmp_path / f"s.{ending}", *members, mode="w:" + ending.partition(".")[2])
    names = [f"s.{ending}/{name}" for name in ("b.png", "a/x.PNG", "b.png#2", "ä" * 120 + ".png")]
    assert read(path) == dict(zip(names, (20, 30, 40, 50), strict=True))
    assert list(read(path)) == names


def test_what_is_in_an_archive_goes_nowhere_and_leads_nowhere(tmp_path):
    """Names that lead out are names, links are not followed, and nothing is written."""
    secret = tmp_path / "secret.png"
    secret.write_bytes(png(99))
    path = packed(
        tmp_path / "s.tar",
        member("../up.png", png(20)),
        member("/etc/root.png", png(30)),
        member("link.png", kind=tarfile.SYMTYPE, link=str(secret)),
        member("hard.png", kind=tarfile.LNKTYPE, link="../up.png"),
        member("device.png", kind=tarfile.CHRTYPE),
        member("last.png", png(40)),
    )
    before = sorted(tmp_path.rglob("*"))
    found = read(path)
    assert {name: value for name, value in found.items() if isinstance(value, int)} == {
        "s.tar/../up.png": 20,
        "s.tar/etc/root.png": 30,
        "s.tar/last.png": 40,
    }
    for name in ("link", "hard", "device"):
        assert "is no file but a link or a device" in found[f"s.tar/{name}.png"]
    assert sorted(tmp_path.rglob("*")) == before


def test_what_is_no_picture_or_too_large_is_named_and_the_others_are_read(tmp_path):
    path = packed(
        tmp_path / "s.tar",
        member("broken.png", b"no picture"),
        member("empty.png"),
        member("large.png", png(10, size=9)),
        member("good.png", png(40)),
    )
    found = read(path)
    assert found["s.tar/good.png"] == 40
    assert "cannot be decoded" in found["s.tar/broken.png"]
    assert "cannot be decoded" in found["s.tar/empty.png"]
    assert "is 9×9" in found["s.tar/large.png"]
    assert str(path) in found["s.tar/broken.png"]


def test_a_size_that_no_memory_holds_is_not_asked_of_it(tmp_path):
    path = packed(tmp_path / "s.tar", member("a.png", png(20)), member("bomb.png", b"x", size=MANY))
    found = read(path)
    assert found["s.tar/a.png"] == 20
    assert "more than half" in found["s.tar/bomb.png"]
    assert "is damaged" in found["s.tar"], "its bytes are not there"


def test_a_bomb_in_a_header_is_not_read(tmp_path):
    """Attributes and long names are read by whoever reads the archive, before anybody asks for them."""
    for kind in (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK):
        path = packed(tmp_path / "s.tar", member("a.png", png(20)), member("x", b"1", kind=kind, size=2**32))
        found = read(path)
        assert found["s.tar/a.png"] == 20
        assert "a header of 4,294,967,296 bytes" in found["s.tar"]


def test_zeros_without_end_behind_an_archive_are_not_read_to_their_end(tmp_path):
    packed(tmp_path / "s.tar", member("a.png", png(20)))
    with gzip.open(tmp_path / "b.tar.gz", "wb", compresslevel=1) as stream:
        stream.write((tmp_path / "s.tar").read_bytes() + bytes(2**25))
    assert "stands behind its end" in read(tmp_path / "b.tar.gz")["b.tar.gz"]


@pytest.mark.parametrize("ending", ["tar", "tar.gz", "tar.xz"])
def test_wherever_an_archive_is_cut_or_changed_it_is_not_taken_for_whole(tmp_path, ending):
    """Also between two members, where a cut archive looks like a short one; what came before the damage is read."""
    members = [member(f"{n}.png", png(10 * n)) for n in range(1, 6)]
    whole = packed(tmp_path / f"w.{ending}", *members, mode="w:" + ending.partition(".")[2]).read_bytes()
    path = tmp_path / f"s.{ending}"
    values = [10, 20, 30, 40, 50]
    end = 5 * 1024 if ending == "tar" else len(whole)
    for cut in {0, 1, 511, 512, 1000, *range(1024, end, 1024), *np.linspace(1, end - 1, 12).astype(int).tolist()}:
        if cut < end:
            path.write_bytes(whole[:cut])
            found = read(path)
            assert "is damaged" in found.pop(path.name), cut
            assert list(found.values()) == values[: len(found)], cut
    generator = np.random.default_rng(0)
    for place in generator.integers(0, end, 40).tolist():
        changed = bytearray(whole)
        changed[place] ^= 255
        path.write_bytes(changed)
        found = read(path)
        if ending != "tar":  # their checksums are over everything, but for names and times in their own headers
            assert path.name in found or place < 40, place
        good = [value for value in found.values() if isinstance(value, int)]
        assert set(good) <= set(values), place


def test_two_archives_in_one_file_are_not_read_as_the_first(tmp_path):
    one = packed(tmp_path / "a.tar", member("a.png", png(20))).read_bytes()
    (tmp_path / "s.tar").write_bytes(one + one)
    found = read(tmp_path / "s.tar")
    assert found["s.tar/a.png"] == 20
    assert "perhaps a second archive" in found["s.tar"]


def test_what_is_no_archive_or_holds_nothing_is_named(tmp_path):
    (tmp_path / "s.tar").write_bytes(b"no archive" * 200)
    assert "is damaged" in read(tmp_path / "s.tar")["s.tar"]
    assert "holds no pictures" in read(packed(tmp_path / "s.tar"))["s.tar"]
    (tmp_path / "s.tar").unlink()
    assert "is gone" in read(tmp_path / "s.tar")["s.tar"]


# -- Parquet -----------------------------------------------------------------------------------------------------------


def table(place, rows_in_a_group=2, **columns):
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pa.table(columns), place, row_group_size=rows_in_a_group, write_page_checksum=True)
    return place


def test_pictures_of_a_table_in_their_order(tmp_path):
    contents = [png(20), None, b"no picture", png(30), b"", png(40)]
    path = table(tmp_path / "s.parquet", label=[1, 2, 3, 4, 5, 6], image=contents)
    found = read(path)
    assert list(found) == [f"s.parquet/{row}" for row in range(6)]
    assert [found[f"s.parquet/{row}"] for row in (0, 3, 5)] == [20, 30, 40]
    assert "is empty" in found["s.parquet/1"]
    assert "cannot be decoded" in found["s.parquet/2"]


def test_structures_of_bytes_and_path_and_columns_of_paths(tmp_path):
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "a.png").write_bytes(png(30))
    path = table(tmp_path / "s.parquet", image=[{"bytes": png(20), "path": "gone"}, {"bytes": None, "path": "x/a.png"}])
    assert list(read(path).values()) == [20, 30]
    (tmp_path / "secret.png").write_bytes(png(99))
    inside = tmp_path / "inside"
    inside.mkdir()
    hostile = [
        "../secret.png",
        str(tmp_path / "secret.png"),
        "a/../../secret.png",
        "s3://other/secret.png",
        "none.png",
        "",
    ]
    found = list(read(table(inside / "s.parquet", path=hostile)).values())
    assert all("leads out of the folder" in why for why in found[:4])
    assert "cannot be read" in found[4]
    assert "is empty" in found[5]


def test_the_column_is_the_only_one_that_can_be_meant_or_asked_for(tmp_path):
    one, other = [png(20)], [png(30)]
    assert list(read(table(tmp_path / "s.parquet", before=["t"], scan=one)).values()) == [20]
    assert list(read(table(tmp_path / "s.parquet", mask=other, image=one)).values()) == [20]
    unclear = table(tmp_path / "s.parquet", left=one, right=other)
    with pytest.raises(InputError, match=r"not clear which column .*'left', 'right'.*s\.parquet#COLUMN"):
        read(unclear)
    assert list(read(unclear, "right").values()) == [30]
    with pytest.raises(InputError, match="has no column 'middle'"):
        read(unclear, "middle")
    with pytest.raises(InputError, match="not clear which column"):
        read(table(tmp_path / "s.parquet", label=[1], text=["a"]))


def test_a_damaged_group_of_rows_is_named_and_the_others_are_read(tmp_path):
    generator = np.random.default_rng(0)
    noise = [generator.bytes(3000) for _ in range(2)]
    path = table(tmp_path / "s.parquet", image=[png(20), png(30), *noise, png(40), png(50)])
    content = bytearray(path.read_bytes())
    place = content.index(noise[0]) + 1500
    content[place] ^= 255
    path.write_bytes(content)
    found = read(path)
    assert [value for value in found.values() if isinstance(value, int)] == [20, 30, 40, 50]
    assert "Row 2 to 3 of the shard" in found["s.parquet/2"]
    path.write_bytes(content[:-20])
    assert "is damaged" in read(path)["s.parquet"]
    path.write_bytes(b"")
    assert "is damaged" in read(path)["s.parquet"]


# -- what there is -----------------------------------------------------------------------------------------------------


@pytest.fixture
def tree(tmp_path):
    for name in (
        "a/1.png",
        "a/sub/2.png",
        "a/.hidden/3.png",
        "b/1.png",
        "b/pack.tar",
        "c/y.tar",
        "c/x.parquet",
        "c/n.txt",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def names(*sources):
    return [file.name for file in files_of(sources)]


def test_a_folder_is_its_pictures_or_else_its_shards(tree):
    assert names(tree / "a") == ["1.png", "sub/2.png"]
    assert names(tree / "b") == ["1.png"], "an archive beside pictures is none of them"
    assert names(tree / "c") == ["x.parquet", "y.tar"]
    assert names(f"{tree}/c#left") == ["x.parquet", "y.tar"]
    assert {file.column for file in files_of([f"{tree}/c#left"])} == {"left"}
    assert names(tree / "c" / "y.tar") == ["y.tar"]


def test_several_sources_are_one_in_the_order_of_names_each_file_once(tree, monkeypatch):
    whole = ["a/1.png", "a/sub/2.png", "b/pack.tar", "c/x.parquet"]
    sources = [tree / "c" / "x.parquet", tree / "a", tree / "b" / "pack.tar", tree / "a" / "sub"]
    assert names(*sources) == names(*reversed(sources)) == whole
    monkeypatch.chdir(tree)
    assert names("c/x.parquet", "a/", "b/pack.tar", "a/sub") == whole


def test_sources_that_are_none(tree):
    with pytest.raises(FileError, match="cannot be read"):
        names(tree / "a" / ".hidden" / "none")
    (tree / "empty").mkdir()
    with pytest.raises(FileError, match="contains no pictures"):
        names(tree / "empty")
    with pytest.raises(FileError, match="There is no file"):
        names(tree / "c" / "z.tar")
    with pytest.raises(InputError, match="each is a folder of pictures or a shard"):
        names(tree / "a", tree / "c" / "n.txt")
