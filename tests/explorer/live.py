"""A live server in a thread of its own, for tests."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from separatrix.explorer import live_server


@contextmanager
def running(scene: Any, field: Any, *, earlier: Any = (), grace: float = 60.0) -> Iterator[Any]:
    """The server, ready; ``.thread`` ends with it."""
    server = live_server(scene, field, earlier=earlier)
    server._grace = grace
    started = threading.Event()
    server.thread = threading.Thread(target=server.run, args=(started.set,), daemon=True)
    server.thread.start()
    assert started.wait(30)
    try:
        yield server
    finally:
        server.stop()
        server.thread.join(30)
        assert not server.thread.is_alive()
