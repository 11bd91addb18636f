"""The server of a living page, without a browser: who is refused, what hostile messages do, and that nobody waits for somebody else."""

from __future__ import annotations

import http.client
import socket
import struct
import threading
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import torch
from live import running

import separatrix as sx
from separatrix.errors import InputError
from separatrix.explorer import live_server, require_server, scene_of
from separatrix.explorer._answers import Answers, Ask, BadQuestion, Part
from separatrix.report import ModelResults

client = pytest.importorskip("websockets.sync.client", reason="websockets is not installed: pip install -e .[dev]")
from websockets.exceptions import ConnectionClosed, InvalidStatus  # noqa: E402

WIDTH = 3
MANY = (
    80_000  # rows: of those that take long more than any test waits for, so that nothing depends on the machine's pace
)


def slow_in_the_middle(z: torch.Tensor) -> torch.Tensor:
    """A model that fails where its first coordinate is large, and takes long where it is 77."""
    if (z[:, 0] > 1e30).any():
        raise RuntimeError("no such place\nand more")
    time.sleep(0.005 * float((z[:, 0] == 77).sum()))
    return torch.tanh(2 * z)


@pytest.fixture(scope="module")
def field() -> sx.LatentField:
    return sx.LatentField.from_map(slow_in_the_middle, latent_shape=(WIDTH,))


@pytest.fixture(scope="module")
def scene(field):
    limits = sx.find_attractors(field, torch.randn(32, WIDTH, generator=torch.Generator().manual_seed(0)))
    results = ModelResults(title="Slow", subtitle="", latent_field=field, searches={"noise": limits})
    return scene_of(results, field_side=5, basin_side=5, live=True)


@pytest.fixture(scope="module")
def server(scene, field):
    with running(scene, field) as found:
        yield found


class Page:
    """What a page says over its socket."""

    def __init__(self, server, **options) -> None:
        parts = urlsplit(server.url)
        options = {
            "origin": f"http://{parts.netloc}",
            "max_size": None,
            "compression": None,
            "close_timeout": 1,
            **options,
        }
        self._opened = client.connect(f"ws://{parts.netloc}{parts.path}socket", **options)
        self.socket = self._opened.__enter__()

    def send(self, number: int, what: int, rows: torch.Tensor | None = None, times: int = 0) -> None:
        numbers = b"" if rows is None else rows.contiguous().numpy().tobytes()
        self.socket.send(struct.pack("<IBBH", number, what, 1, times) + numbers)

    def answer(self) -> tuple[int, int, torch.Tensor | str]:
        frame = self.socket.recv()
        number, part, _, _ = struct.unpack_from("<IBBH", frame)
        return (
            number,
            part,
            frame[8:].decode() if part == Part.ERROR else torch.frombuffer(bytearray(frame[8:]), dtype=torch.float32),
        )

    def ask(self, *question) -> torch.Tensor | str:
        """The whole answer to one question, where nothing else was asked."""
        self.send(1, *question)
        parts = []
        while True:
            _, part, found = self.answer()
            if part == Part.ERROR:
                return found
            parts.append(found)
            if part == Part.LAST:
                return torch.cat(parts)

    def __enter__(self) -> Page:
        return self

    def __exit__(self, *_) -> None:
        self._opened.__exit__(None, None, None)


Z = torch.tensor([[0.3, -0.2, 1.0]])


def test_every_question_has_the_library_s_answer(server, field):
    many = torch.randn(2000, WIDTH, generator=torch.Generator().manual_seed(1))
    with Page(server) as page:
        assert torch.equal(page.ask(Ask.FIELD, many).reshape(-1, WIDTH), field(many))
        assert torch.equal(page.ask(Ask.DECODE, many[:3]).reshape(-1, WIDTH), field.decode(many[:3]))
        assert torch.equal(page.ask(Ask.ENCODE, many[:3]).reshape(-1, WIDTH), field.encode(many[:3]))
        path = page.ask(Ask.STEP, Z, 5).reshape(-1, WIDTH)
    z = Z
    for found in path:
        z = field(z)
        assert torch.equal(found, z[0])
    assert len(path) == 5


@pytest.mark.parametrize(
    ("rows", "what", "words"),
    [
        (torch.zeros(1, 2), Ask.STEP, "step needs one row of 3 float32 numbers, not 8 bytes"),
        (torch.zeros(2, 3), Ask.STEP, "step needs one row of 3 float32 numbers, not 24 bytes"),
        (None, Ask.FIELD, "field needs rows of 3 float32 numbers, not 0 bytes"),
        (torch.tensor([[0.0, torch.nan, 0.0]]), Ask.DECODE, "Only finite numbers"),
        (Z, 9, "Nothing is known by the number 9"),
        (torch.full((1, 3), 1e38), Ask.STEP, "The model fails here (no such place)"),
    ],
)
def test_what_cannot_be_answered_is_a_sentence(server, rows, what, words):
    with Page(server) as page:
        assert words in page.ask(what, rows)
        assert len(page.ask(Ask.STEP, Z, 1)) == WIDTH


def test_frames_of_another_version_and_size(field):
    answers = Answers(field)
    for frame, words in (
        (b"", "8 bytes at least"),
        (struct.pack("<IBBH", 3, 1, 2, 0), "load the page again"),
        (struct.pack("<IBBH", 3, 4, 1, 0) + bytes(answers.largest), "bytes at most"),
    ):
        with pytest.raises(BadQuestion, match=words):
            answers.read(frame)


def asked(server, path: str | None = None, method: str = "GET", **headers: str) -> http.client.HTTPResponse:
    parts = urlsplit(server.url)
    connection = http.client.HTTPConnection(parts.netloc)
    connection.request(
        method,
        parts.path if path is None else path,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )
    response = connection.getresponse()
    response.read()
    connection.close()
    return response


def test_only_the_page_is_served_and_only_to_whom_it_is_meant_for(server):
    parts = urlsplit(server.url)
    good = asked(server)
    assert good.status == 200
    assert good.headers["Referrer-Policy"] == "no-referrer"
    assert good.headers["Cache-Control"] == "no-store"
    assert asked(server, Host=f"localhost:{parts.port}").status == 200
    assert asked(server, Host="localhost:8000").status == 200  # forwarded
    token = parts.path.strip("/")
    paths = ["/", "/favicon.ico", "/wrong/", f"/{token[:-1]}/", f"/{token}x/", f"/{token}", f"/{token}/socket", f"/{token}/../../etc/passwd",
             f"/{token}/%2e%2e/%2e%2e/etc/passwd", f"/{token}/static/explorer.js", f"//{token}/", f"/{token}//", "/" + "a" * 20_000]  # fmt: skip
    assert {
        path[:80]: asked(server, path).status for path in paths if asked(server, path).status not in (400, 404)
    } == {}
    for wrong in (
        "evil.example",
        f"evil.example:{parts.port}",
        "127.0.0.1.evil.example:80",
        "",
        "[::1]:80",
        f"127.0.0.1@evil.example:{parts.port}",
    ):
        assert asked(server, Host=wrong).status == 404
    for origin in ("http://evil.example", "null", f"https://{parts.netloc}", "http://localhost:1", "file://"):
        assert asked(server, Origin=origin).status == 404
    assert {
        method: asked(server, method=method).status for method in ("POST", "PUT", "DELETE", "OPTIONS")
    } == dict.fromkeys(("POST", "PUT", "DELETE", "OPTIONS"), 405)


@pytest.mark.parametrize("origin", ["http://evil.example", "null", None, "http://localhost:1"])
def test_a_socket_is_for_the_page_s_own_origin(server, origin):
    with pytest.raises(InvalidStatus, match="404"):
        Page(server, origin=origin)


def test_a_socket_is_for_whom_names_this_machine_and_knows_the_token(server):
    parts = urlsplit(server.url)
    for url in (
        f"ws://{parts.netloc}/wrong/socket",
        f"ws://{parts.netloc}/socket",
        f"ws://{parts.netloc}{parts.path}other",
    ):
        with pytest.raises(InvalidStatus, match="404"), client.connect(url, origin=f"http://{parts.netloc}"):
            pass
    # A name that was made to point to this machine: the browser sends it as host and as origin.
    with socket.create_connection((parts.hostname, parts.port)) as raw, pytest.raises(InvalidStatus, match="404"):
        client.connect(f"ws://evil.example{parts.path}socket", sock=raw, origin="http://evil.example").__enter__()


def test_hostile_messages_are_answered_and_the_server_lives(server, monkeypatch):
    """A few thousand of those of which benchmarks/explorer_live.py sends 100,000."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    from hostile import hostile

    monkeypatch.setattr("separatrix.explorer._server._WRONG", 1)  # so that all of them are read soon
    messages = list(hostile(3000, WIDTH, server._answers.largest))
    wrong = 0
    for message in messages:
        with suppress(BadQuestion):
            server._answers.read(message if isinstance(message, bytes) else message.encode())
            wrong -= 1
        wrong += 1
    refused, answered = 0, threading.Event()
    with Page(server) as page:

        def reading() -> None:
            nonlocal refused
            with suppress(ConnectionClosed):
                for frame in page.socket:
                    refused += frame[4] == Part.ERROR
                    if frame[:4] == b"last":
                        answered.set()

        read = threading.Thread(target=reading, daemon=True)
        read.start()
        for message in messages:
            page.socket.send(message)
        page.send(int.from_bytes(b"last", "little"), Ask.STEP, Z, 1)
        answered.wait()
        page.socket.send(bytes(server._answers.largest + 1))  # which is not even read
        read.join()
        assert page.socket.close_code == 1009
    assert wrong > 1000
    assert refused >= wrong  # some more had to wait for too many others
    with Page(server) as after:
        assert len(after.ask(Ask.STEP, Z, 3)) == 3 * WIDTH
    assert server.thread.is_alive()


def test_a_large_question_keeps_nobody_waiting(server):
    """A question that would take minutes, another of the same page, and a page that reads nothing: each other answer comes meanwhile."""
    long = torch.full((MANY, WIDTH), 77.0)
    with Page(server) as first, Page(server) as second, Page(server, max_queue=1) as deaf:
        for number in range(8):
            deaf.send(number, Ask.FIELD, torch.zeros(MANY, WIDTH))
        first.send(1, Ask.FIELD, long)
        assert first.answer()[:2] == (1, Part.MORE)
        first.send(2, Ask.STEP, Z, 1)
        numbers = [first.answer()[0] for _ in range(6)]
        assert 2 in numbers
        assert len(second.ask(Ask.STEP, Z, 1)) == WIDTH
        first.send(1, Ask.CANCEL)
        first.send(3, Ask.STEP, Z, 1)
        rest = []
        while not rest or rest[-1][0] != 3:
            rest.append(first.answer()[:2])
        assert (1, Part.LAST) not in rest


def test_too_many_questions_and_too_many_pages(server):
    with Page(server) as page:
        page.send(0, Ask.FIELD, torch.full((MANY, WIDTH), 77.0))
        for number in range(1, 100):
            page.send(number, Ask.STEP, torch.full((1, WIDTH), 77.0), 9)
        said = [page.answer() for _ in range(99)]
    assert any(part == Part.ERROR and "Too many questions are waiting" in words for _, part, words in said)
    opened: list[Page] = []

    def one_more() -> None:
        opened.append(Page(server))
        assert len(opened[-1].ask(Ask.STEP, Z, 1)) == WIDTH

    with pytest.raises(InvalidStatus, match="403"):
        deque(one_more() for _ in range(40))  # a page that was closed a moment ago may count for a moment more
    for each in opened:
        each.__exit__()
    assert 8 <= len(opened) <= 16


def test_a_taken_port_and_a_missing_package(server, scene, field, monkeypatch):
    import sys

    port = urlsplit(server.url).port
    for attempt in (lambda: live_server(scene, field, port=port), lambda: require_server(port)):
        with pytest.raises(InputError, match=f"Port {port} of this machine cannot be used"):
            attempt()
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(InputError, match=r"needs uvicorn, which is not installed; pip install 'separatrix\[live\]'"):
        live_server(scene, field)
