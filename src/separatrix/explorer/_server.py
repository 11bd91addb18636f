"""A living page and its model behind a server of this machine: one page, one socket, and nothing else.

Whoever has the address with its token may ask; a request that names another host (a name that was made to point here), a page of another origin, and
any other path are refused. Every client has a queue of its own, and clients take turns: one part of an answer each (`Answers.to`), so that neither
a large question nor somebody who reads slowly holds up anybody else.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from separatrix.explorer._answers import Answers, Ask, BadQuestion, Part, Question
from separatrix.explorer._page import explorer_page
from separatrix.explorer._port import ADDRESS, listening
from separatrix.explorer._scene import Scene
from separatrix.explorer._training import Moment
from separatrix.field import LatentField

_HOSTS = (ADDRESS, "localhost")  # on any port: it may have been forwarded to another one
_CLIENTS = 16  # pages at once
_WAITING = 64  # questions of one client
_RATE = 2000  # messages a second that are read from one client
_WRONG = 20  # messages that one counts for which is no question; no page sends any
_BUFFERED = 4  # times the largest question: bytes that may wait for one client to ask or to read
_SLOWEST = 30.0  # seconds in which a client must read something, if something waits for it
_GRACE = 8.0  # seconds without any page, after the last was closed
_HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class LiveServer:
    """A server of one living page on a port of this machine, which it holds from the beginning.

    Args:
        scene: what the page shows.
        field: that answers.
        earlier: checkpoints of a training before this last one; each answers at a socket of its number.
        port: any free one by default.
        grace: seconds without any page, after the last was closed, until the server stops by itself.

    Raises:
        InputError: the port is taken.

    Attributes:
        url: where the page is; who has it may ask.
    """

    def __init__(
        self, scene: Scene, field: LatentField, *, earlier: Sequence[Moment] = (), port: int = 0, grace: float = _GRACE
    ) -> None:
        self._socket = listening(port)
        self._port = self._socket.getsockname()[1]
        self._token = secrets.token_urlsafe(24)
        self.url = f"http://{ADDRESS}:{self._port}/{self._token}/"
        self._answers = Answers(field)
        self._every = [*(Answers(each.field) for each in earlier), self._answers]
        self._page = explorer_page(
            scene,
            earlier=[each.scene for each in earlier],
            live={"largest": self._answers.largest},
            sockets=[f"ws://{host}:{self._port}" for host in _HOSTS],
        )
        self._grace, self._clients, self._left = grace, 0, 0.0
        self._turn = asyncio.Lock()  # first come, first served
        self._model = ThreadPoolExecutor(1, thread_name_prefix="separatrix-model")
        application = Starlette(routes=[
            Route("/{token}/", self._shown), WebSocketRoute("/{token}/socket", self._conversed)
        ])  # fmt: skip
        application.router.redirect_slashes = False
        self._server = uvicorn.Server(uvicorn.Config(
            _Guard(application, self._token), lifespan="off", log_config=None, log_level="critical", access_log=False, server_header=False,
            ws_max_size=self._answers.largest, ws_per_message_deflate=False, limit_concurrency=4 * _CLIENTS, timeout_keep_alive=5,
            timeout_graceful_shutdown=1,
        ))  # fmt: skip

    def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Serve until the last page was closed, `stop` is called, or the process is interrupted.

        Args:
            ready: called once the page can be opened.

        Raises:
            KeyboardInterrupt: the process was interrupted; everything is closed.
        """
        try:
            asyncio.run(self._served(ready))
        finally:
            self._socket.close()
            self._model.shutdown(wait=False, cancel_futures=True)

    def stop(self) -> None:
        """End `run`; may be called from any thread."""
        self._server.should_exit = True

    async def _served(self, ready: Callable[[], None]) -> None:
        watch = asyncio.create_task(self._watched(ready))
        try:
            await self._server.serve(sockets=[self._socket])
        finally:
            watch.cancel()

    async def _watched(self, ready: Callable[[], None]) -> None:
        while not self._server.started:
            await asyncio.sleep(0.01)
        ready()
        stuck: dict[Any, tuple[int, float]] = {}
        while True:
            await asyncio.sleep(0.2)
            if self._left and not self._clients and time.monotonic() - self._left > self._grace:
                self.stop()
            stuck = self._without_who_does_not_read(stuck)

    def _without_who_does_not_read(self, stuck: dict[Any, tuple[int, float]]) -> dict[Any, tuple[int, float]]:
        """Cut off who has read nothing for long, or asks (by pings, which the protocol answers by itself) without reading."""
        now, still = time.monotonic(), {}
        for connection in list(self._server.server_state.connections):
            transport = connection.transport
            size = transport.get_write_buffer_size()
            before, since = stuck.get(transport, (0, now))
            still[transport] = (size, since if size and size >= before else now)
            if size > _BUFFERED * self._answers.largest or now - still[transport][1] > _SLOWEST:
                transport.abort()
        return still

    async def _shown(self, _: Request) -> HTMLResponse:
        return HTMLResponse(self._page, headers=_HEADERS)

    async def _conversed(self, at: WebSocket) -> None:
        if self._clients >= _CLIENTS:
            return await at.close(1013, "too many pages are open")
        await at.accept()
        self._clients += 1
        client = _Client(at, self._asked_of(at))
        tasks = [asyncio.create_task(each) for each in (client.listen(), self._answering(client))]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            self._clients -= 1
            self._left = time.monotonic()

    def _asked_of(self, at: WebSocket) -> Answers:
        """The checkpoint that the address of the socket names, if it names one that is there."""
        number = at.query_params.get("checkpoint", "")
        known = number.isdecimal() and len(number) < 6 and int(number) < len(self._every)
        return self._every[int(number)] if known else self._answers

    async def _answering(self, client: _Client) -> None:
        """One part after the other, before each of which every other client had its turn."""
        while True:
            job = await client.next()
            async with self._turn:
                part = await asyncio.get_running_loop().run_in_executor(self._model, next, job.parts)
            if client.wants(job):
                if part[4] != Part.MORE:
                    client.done(job)
                await client.send(part)


@dataclass(eq=False)
class _Job:
    question: Question
    parts: Iterator[bytes]


class _Client:
    """One page: what it asks, in order, and what is still to be sent to it."""

    def __init__(self, at: WebSocket, answers: Answers) -> None:
        self._at, self._answers = at, answers
        self._jobs: list[_Job] = []
        self._asked, self._sending = asyncio.Event(), asyncio.Lock()

    async def listen(self) -> None:
        """Read until the page is gone; what is no question is answered with a sentence."""
        allowed, before = float(_RATE), time.monotonic()
        while True:
            try:
                message = await self._at.receive()
            except (WebSocketDisconnect, RuntimeError):
                return
            if message["type"] == "websocket.disconnect":
                return
            now = time.monotonic()
            allowed, before = min(_RATE, allowed + (now - before) * _RATE) - 1, now
            if allowed < 0:
                await asyncio.sleep(-allowed / _RATE)  # what is not read is not sent either
            try:
                self._take(self._answers.read(message.get("bytes") or (message.get("text") or "").encode()))
            except BadQuestion as error:
                allowed -= _WRONG - 1
                if not await self.send(self._answers.refusal(error.number, str(error))):
                    return

    def _take(self, question: Question) -> None:
        if question.what is Ask.CANCEL:
            self._jobs = [job for job in self._jobs if job.question.number != question.number]
            return
        waiting = sum(job.question.rows.nbytes for job in self._jobs)
        if len(self._jobs) >= _WAITING or waiting > _BUFFERED * self._answers.largest:
            raise BadQuestion("Too many questions are waiting.", question.number)
        self._jobs.append(_Job(question, self._answers.to(question)))
        self._asked.set()

    async def next(self) -> _Job:
        """Wait for the oldest job; those that fill a picture of the field let all others go first."""
        while not self._jobs:
            self._asked.clear()
            await self._asked.wait()
        return min(self._jobs, key=lambda job: job.question.what is Ask.FIELD)

    def wants(self, job: _Job) -> bool:
        """Does it still wait for this answer?"""
        return job in self._jobs

    def done(self, job: _Job) -> None:
        """It was answered."""
        self._jobs.remove(job)

    async def send(self, part: bytes) -> bool:
        """Send it; False where nobody reads any more."""
        try:
            async with self._sending:
                await self._at.send_bytes(part)
        except (WebSocketDisconnect, RuntimeError, OSError):
            return False
        return True


class _Guard:
    """Nothing reaches the application that does not name this machine, come from its own page, and know the token."""

    def __init__(self, inner: ASGIApp, token: str) -> None:
        self._inner, self._token = inner, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._admits(scope):
            # For a socket it is the answer to the request that asks for one.
            await PlainTextResponse("Not found.\n", 404, _HEADERS)(scope, receive, send)
        else:
            await self._inner(scope, receive, send)

    def _admits(self, scope: Scope) -> bool:
        headers = Headers(scope=scope)
        host, origin = headers.get("host", ""), headers.get("origin")
        path = f"/{self._token}/{'socket' if scope['type'] == 'websocket' else ''}"
        return (
            len(headers.getlist("host")) == 1
            and host.rpartition(":")[0] in _HOSTS
            and (origin == f"http://{host}" if scope["type"] == "websocket" or origin is not None else True)
            and secrets.compare_digest(scope["path"].encode(), path.encode())
        )
