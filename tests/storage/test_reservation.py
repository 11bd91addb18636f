"""Nobody else gets a reserved place, nothing is half-written, and what a killed process left is settled by the next one."""

from __future__ import annotations

import dataclasses
import errno
import os
import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest

from killing import killed_at
from separatrix.errors import FileError
from separatrix.storage import ROOM, Busy, Owner, new_file, new_folder, reserve, reserve_numbered
from separatrix.storage import _reservation as reservation

KIND = "separatrix test"


def tree(folder):
    """Everything below a folder: files with their content, links with where they lead, folders."""
    return {
        path.relative_to(folder).as_posix(): os.readlink(path)
        if path.is_symlink()
        else path.read_bytes()
        if path.is_file()
        else None
        for path in sorted(folder.rglob("*"))
    }


def write(place, content, meanwhile=lambda: None, **options):
    with new_folder(place, kind=KIND, **options) as folder:
        meanwhile()
        (folder / "deep").mkdir()
        (folder / "deep" / "a.txt").write_text(content)
        (folder / "b.txt").write_text(content)


def written(place):
    return {(place / name).read_text() for name in ("deep/a.txt", "b.txt")}


@pytest.fixture
def dead():
    """The owner that a process which has ended would have recorded."""
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    process.wait()
    return dataclasses.replace(Owner.here(), pid=process.pid)


@pytest.fixture
def alive():
    """The owner of another process that lives."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
        yield dataclasses.replace(Owner.here(), pid=process.pid, started=Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[19] if Path("/proc/self/stat").exists() else "")  # fmt: skip
        process.terminate()


class TestOwner:
    def test_alive_and_dead(self, dead, alive):
        assert Owner.here().alive
        assert alive.alive
        assert not dead.alive

    def test_a_number_given_to_another_process_is_not_the_owner(self, alive):
        if not alive.started:
            pytest.skip("this system does not say when a process began")
        assert not dataclasses.replace(alive, started="1").alive

    def test_before_the_machine_was_started_again(self, alive):
        assert not dataclasses.replace(alive, boot="another").alive

    def test_of_another_machine_or_container_nobody_can_tell(self, dead):
        assert dataclasses.replace(dead, host="elsewhere").alive
        assert dataclasses.replace(dead, namespace="pid:[1]").alive

    def test_a_process_that_nobody_has_buried_is_dead(self):
        if not Path("/proc/self/stat").exists():
            pytest.skip("needs /proc to see it")
        process = subprocess.Popen([sys.executable, "-c", "pass"], stdout=subprocess.PIPE)
        process.stdout.read()  # ends with the process, which has not been waited for
        while Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
            pass
        assert not dataclasses.replace(Owner.here(), pid=process.pid).alive
        process.wait()

    @pytest.mark.parametrize("content", [b"", b"{", b"[]", b"3", b'{"pid": 3}', b'{"odd": 1}', b"\xff"])
    def test_what_is_no_owner(self, tmp_path, content):
        (tmp_path / "owner.json").write_bytes(content)
        assert Owner.read(tmp_path / "owner.json") is None


class TestTwoAtOnce:
    def test_the_second_is_told_at_once(self, tmp_path):
        with reserve(tmp_path / "r", kind=KIND) as place:
            with pytest.raises(Busy, match=r"Another run is writing to .*/r "):
                write(tmp_path / "r", "second")
            write(place, "first")
        assert written(tmp_path / "r") == {"first"}
        assert os.listdir(tmp_path) == ["r"]

    def test_another_process_is_named_with_the_remedy(self, tmp_path, alive):
        (tmp_path / ".r.part").mkdir()
        alive.write(tmp_path / ".r.part" / "owner.json")
        before = tree(tmp_path)
        with pytest.raises(Busy, match=rf"process {alive.pid} .*; wait for it or choose another name"):
            write(tmp_path / "r", "mine")
        assert tree(tmp_path) == before

    def test_numbers_are_given_out_once(self, tmp_path):
        """Eight threads want a number at the same moment; each gets one, and none is left out."""
        begin, found = threading.Barrier(8), []

        def run(_):
            begin.wait()
            with reserve_numbered(tmp_path / "runs" / "m", kind=KIND) as place:
                found.append(Path(place).name)
                begin.wait()  # all hold theirs
                write(place, Path(place).name)

        threads = [threading.Thread(target=run, args=(i,)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(found) == [f"m-{i}" for i in range(1, 9)]
        assert sorted(os.listdir(tmp_path / "runs")) == sorted(found)
        assert all(written(tmp_path / "runs" / name) == {name} for name in found)

    def test_a_number_that_is_being_written_elsewhere_is_passed_over(self, tmp_path, alive):
        (tmp_path / ".m-1.part").mkdir()
        alive.write(tmp_path / ".m-1.part" / "owner.json")
        with reserve_numbered(tmp_path / "m", kind=KIND) as place:
            assert Path(place) == tmp_path / "m-2"

    def test_both_ends_of_one_file(self, tmp_path):
        with new_file(tmp_path / "t.csv") as building:
            with pytest.raises(Busy), new_file(tmp_path / "t.csv"):
                pass
            building.write_text("one")
        assert tree(tmp_path) == {"t.csv": b"one"}

    def test_what_appears_meanwhile_is_left_alone_and_the_result_is_beside_it(self, tmp_path):
        def interfere(place):
            place.mkdir()
            (place / "mine.txt").write_text("mine")

        with pytest.raises(FileError, match=r"Something appeared at .*/r while .* in .*/r-2; move it"):
            write(tmp_path / "r", "computed for an hour", meanwhile=lambda: interfere(tmp_path / "r"))
        assert tree(tmp_path / "r") == {"mine.txt": b"mine"}
        assert written(tmp_path / "r-2") == {"computed for an hour"}

        def overtaken():
            with new_file(tmp_path / "t.csv", overwrite=False) as building:
                building.write_text("computed")
                (tmp_path / "t.csv").write_text("mine")

        with pytest.raises(FileError, match=r"in .*/t-2\.csv"):
            overtaken()
        assert (tmp_path / "t.csv").read_text() == "mine"
        assert (tmp_path / "t-2.csv").read_text() == "computed"

    def test_what_is_put_into_an_earlier_run_meanwhile_stays(self, tmp_path):
        write(tmp_path / "r", "old")
        with pytest.raises(FileError, match="r-2;"):
            write(
                tmp_path / "r",
                "new",
                overwrite=True,
                meanwhile=lambda: (tmp_path / "r" / "mine.txt").write_text("mine"),
            )
        assert written(tmp_path / "r") == {"old"}
        assert (tmp_path / "r" / "mine.txt").read_text() == "mine"
        assert written(tmp_path / "r-2") == {"new"}


class TestWhatIsFoundOutAtOnce:
    def test_a_dangling_link(self, tmp_path):
        (tmp_path / "link").symlink_to(tmp_path / "nowhere")
        for kind in (KIND, None):
            said = pytest.raises(FileError, match=r"link to .*nowhere, which does not exist; remove the link")
            with said, reserve(tmp_path / "link", kind=kind, overwrite=True):
                pytest.fail("began in vain")
        assert os.readlink(tmp_path / "link") == str(tmp_path / "nowhere")

    def test_a_full_disk(self, tmp_path, monkeypatch):
        def full(*_):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(reservation, "_require_room", full)
        said = pytest.raises(FileError, match=r"No space left on device.*; free some space or choose another disk")
        with said, reserve(tmp_path / "a" / "r", kind=KIND, room=ROOM):
            pytest.fail("began in vain")
        assert os.listdir(tmp_path) == []

    def test_the_room_is_free_again(self, tmp_path):
        with reserve(tmp_path / "r", kind=KIND, room=ROOM) as place:
            assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) < 1000
            write(place, "x")
        assert os.listdir(tmp_path) == ["r"]

    def test_a_failure_leaves_no_folder_behind(self, tmp_path):
        with pytest.raises(ZeroDivisionError), reserve(tmp_path / "a" / "b" / "r", kind=KIND):
            raise ZeroDivisionError
        assert os.listdir(tmp_path) == []

    @pytest.mark.parametrize("path", ["/", "//"])
    def test_a_path_without_a_name(self, path):
        with pytest.raises(FileError, match="no name"), reserve(path, kind=KIND):
            pytest.fail("began in vain")

    def test_a_file_is_not_written_over_a_folder(self, tmp_path):
        (tmp_path / "r").mkdir()
        with pytest.raises(FileError, match="is a folder"), reserve(tmp_path / "r", kind=None, overwrite=True):
            pytest.fail("began in vain")


class TestLinks:
    def test_a_link_stays_one_and_what_it_leads_to_is_replaced(self, tmp_path):
        (tmp_path / "disk").mkdir()
        write(tmp_path / "disk" / "r", "old")
        (tmp_path / "disk" / "t.csv").write_text("old")
        (tmp_path / "r").symlink_to("disk/r")
        (tmp_path / "t.csv").symlink_to("disk/t.csv")
        write(tmp_path / "r", "new", overwrite=True)
        with new_file(tmp_path / "t.csv") as building:
            building.write_text("new")
        assert os.readlink(tmp_path / "r") == "disk/r"
        assert os.readlink(tmp_path / "t.csv") == "disk/t.csv"
        assert written(tmp_path / "disk" / "r") == {"new"}
        assert (tmp_path / "disk" / "t.csv").read_text() == "new"
        assert sorted(os.listdir(tmp_path / "disk")) == ["r", "t.csv"]

    def test_links_in_an_earlier_run_are_foreign(self, tmp_path):
        write(tmp_path / "r", "old")
        write(tmp_path / "elsewhere", "mine")
        (tmp_path / "r" / "deep" / "a.txt").unlink()
        (tmp_path / "r" / "deep").rmdir()
        (tmp_path / "r" / "deep").symlink_to(tmp_path / "elsewhere" / "deep")
        with pytest.raises(FileError, match="deep"):
            write(tmp_path / "r", "new", overwrite=True)
        assert written(tmp_path / "elsewhere") == {"mine"}


class TestWhatTheDeadLeft:
    def test_it_is_removed(self, tmp_path, dead):
        for name in (".r.part", ".r.part-abc", ".r.part-unsigned"):
            (tmp_path / name).mkdir()
            (tmp_path / name / "new").mkdir()
            if name != ".r.part-unsigned":
                dead.write(tmp_path / name / "owner.json")
        write(tmp_path / "r", "mine")
        assert os.listdir(tmp_path) == ["r"]

    def test_what_no_run_made_is_not(self, tmp_path):
        (tmp_path / ".r.part").mkdir()
        (tmp_path / ".r.part" / "thesis.txt").write_text("mine")
        with pytest.raises(FileError, match=r"\.r\.part is in the way"):
            write(tmp_path / "r", "x")
        assert (tmp_path / ".r.part" / "thesis.txt").read_text() == "mine"

    @pytest.mark.parametrize("before", [None, "old"])
    def test_a_folder_is_old_or_new_wherever_the_process_is_killed(self, tmp_path, before):
        outcomes = []
        for step in range(200):
            place = tmp_path / str(step) / "r"
            place.parent.mkdir()
            if before is not None:
                write(place, before)
            killed = killed_at(step, lambda place=place: write(place, "new", overwrite=True))
            with ExitStack() as stack:  # the next run, which wants nothing but the place
                stack.enter_context(reserve(place, kind=KIND, overwrite=True))
            if place.exists():
                (content,) = written(place)
                assert sorted(os.listdir(place)) == ["b.txt", "deep", "manifest.json"]
            else:
                content = None
            outcomes.append(content)
            assert content in (before, "new")
            assert os.listdir(place.parent) == ([] if content is None else ["r"])
            if not killed:
                break
        else:
            pytest.fail("it never ended")
        assert outcomes[0] == before
        assert outcomes[-1] == "new"
        assert outcomes == sorted(outcomes, key=lambda content: content == "new")  # never back to the old one

    def test_two_files_go_together_wherever_the_process_is_killed(self, tmp_path):
        def both(place, content):
            with new_file(place) as building:
                building.write_text(content)
                building.with_name("t.csv.json").write_text(content)

        for step in range(200):
            place = tmp_path / str(step) / "t.csv"
            both(place, "old")
            killed = killed_at(step, lambda place=place: both(place, "new"))
            with reserve(place, kind=None, overwrite=True):
                pass
            assert sorted(os.listdir(place.parent)) == ["t.csv", "t.csv.json"]
            assert len({path.read_text() for path in place.parent.iterdir()}) == 1
            if not killed:
                break
        else:
            pytest.fail("it never ended")
        assert place.read_text() == "new"

    def test_numbers_of_killed_runs_are_used_again(self, tmp_path, dead):
        (tmp_path / ".m-1.part").mkdir()
        dead.write(tmp_path / ".m-1.part" / "owner.json")
        with reserve_numbered(tmp_path / "m", kind=KIND) as place:
            assert Path(place) == tmp_path / "m-1"
