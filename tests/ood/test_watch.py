"""The monitor on a stream of scores: readings, several sittings, and what it refuses."""

from __future__ import annotations

import pytest
import torch

from separatrix.errors import FileError, InputError
from separatrix.ood._monitor import StreamMonitor
from separatrix.ood._score_table import parsed_rows
from separatrix.ood._watch import load_monitor, save_monitor, watch

CALIBRATION = torch.arange(999, dtype=torch.float64)


def stream(alarms: int, quiet: int, lost: int = 0):
    return [(f"{i}", s) for i, s in enumerate([1e3] * alarms + [0.0] * quiet + [float("nan")] * lost)]


def test_readings_count_what_the_detector_would_call():
    readings = list(watch(StreamMonitor(0.05, 999), CALIBRATION, stream(4, 90, 6), every=30))
    assert [reading.last for reading in readings] == ["29", "59", "89", "99"]
    last = readings[-1].report
    assert (last.alarms, last.inputs, last.unscorable, last.drifted) == (4, 94, 6, False)
    assert list(watch(StreamMonitor(0.05, 999), CALIBRATION, stream(60, 40)))[-1].report.drifted


def test_only_as_much_is_read_as_a_reading_needs():
    taken = []

    def endless():
        index = 0
        while True:
            taken.append(index)
            yield str(index), 0.0
            index += 1

    readings = watch(StreamMonitor(0.05, 999), CALIBRATION, endless(), every=10)
    next(readings)
    assert len(taken) == 10


def test_sittings_add_up(tmp_path):
    path = tmp_path / "monitor.json"
    whole = StreamMonitor(0.05, 999)
    list(watch(whole, CALIBRATION, stream(9, 91)))
    first = load_monitor(path, 0.05, 999, 0.05)
    list(watch(first, CALIBRATION, stream(9, 0)))
    save_monitor(first, path)
    second = load_monitor(path, 0.05, 999, 0.05)
    list(watch(second, CALIBRATION, stream(0, 91)))
    assert second.report() == whole.report()


def test_another_promise_or_no_monitor(tmp_path):
    path = tmp_path / "monitor.json"
    save_monitor(StreamMonitor(0.05, 999), path)
    for rate, calibration, delta in ((0.01, 999, 0.05), (0.05, 500, 0.05), (0.05, 999, 0.01)):
        with pytest.raises(FileError, match="another promise"):
            load_monitor(path, rate, calibration, delta)
    for text in (
        "[]",
        "{}",
        "no",
        '{"rate": 0.05, "calibration": 9, "delta": 0.05, "inputs": 1, "alarms": 2, "unscorable": 0}',
    ):
        path.write_text(text)
        with pytest.raises(FileError, match=r"is damaged, edited or of another kind .*; give another name"):
            load_monitor(path, 0.05, 999, 0.05)
    with pytest.raises(InputError, match="begin a new one"):
        list(watch(StreamMonitor(0.05, 99), CALIBRATION, stream(1, 1)))
    with pytest.raises(InputError, match="at least 1"):
        list(watch(StreamMonitor(0.05, 999), CALIBRATION, stream(1, 1), every=0))


def test_a_bad_frame_is_unscorable_and_the_stream_goes_on():
    frames = [("a", 0.0), ("b", None), ("c", "no number"), ("d", float("nan")), ("e", 1e3), ("f", torch.tensor(0.0))]
    (reading,) = watch(StreamMonitor(0.05, 999), CALIBRATION, frames)
    assert reading.last == "f"
    assert (reading.report.inputs, reading.report.unscorable, reading.report.alarms) == (3, 3, 1)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError("the camera is gone"), SystemExit(3)])
def test_what_came_before_the_end_of_a_stream_counts(error):
    def ending():
        yield from stream(4, 21)
        raise error

    monitor, readings = StreamMonitor(0.05, 999), []
    with pytest.raises(type(error)):
        readings.extend(map(readings.append, watch(monitor, CALIBRATION, ending(), every=10)))
    assert [reading.last for reading in readings if reading] == ["9", "19", "24"]
    assert (monitor.inputs, monitor.alarms) == (25, 4)


def test_damaged_lines_of_a_stream_are_counted():
    lines = [
        "file,score,p_value,decision\n",
        "a.png,1.5,0.25,in\n",
        "b.pn\n",
        "\n",
        "c.png,x,0.25,in\n",
        "d.png,2,0.5,in\n",
    ]
    assert [row.file for row in parsed_rows(lines, "here")] == ["a.png", "d.png"]
    rows = list(parsed_rows(lines, "here", damaged=True))
    assert [row.file for row in rows] == ["a.png", "line 3", "line 5", "d.png"]
    (reading,) = watch(StreamMonitor(0.05, 999), CALIBRATION, ((row.file, row.score) for row in rows))
    assert (reading.report.inputs, reading.report.unscorable) == (2, 2)
