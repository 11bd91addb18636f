"""A server that speaks S3, in this process and on this machine: real requests of the real client, without a network."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Thread
from typing import Any

DENIED = b'<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>'


@dataclass
class Server:
    """Where it is, and how it behaves.

    Attributes:
        ignores_conditions: as some servers do that speak S3.
        read_only: every put is denied.
        asked: what was asked of it: methods and paths.
    """

    address: str = ""
    ignores_conditions: bool = False
    read_only: bool = False
    asked: list[tuple[str, str]] = field(default_factory=list)

    @property
    def variables(self) -> dict[str, str]:
        """Of the surroundings in which a client finds it."""
        return {
            "AWS_ENDPOINT_URL": self.address,
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_MAX_ATTEMPTS": "1",
        }


@contextmanager
def s3_server() -> Iterator[Server]:
    """Start it. One request is answered after the other: a put on a condition is one step, as it is in S3."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    server, moto = Server(), DomainDispatcherApplication(create_backend_app)

    def answer(request: dict[str, Any], start: Callable[..., Any]) -> Any:
        server.asked.append((request["REQUEST_METHOD"], request["PATH_INFO"]))
        if server.ignores_conditions:
            request.pop("HTTP_IF_NONE_MATCH", None)
        if server.read_only and request["REQUEST_METHOD"] in ("PUT", "POST"):
            request["wsgi.input"].read(int(request.get("CONTENT_LENGTH") or 0))
            start("403 Forbidden", [("Content-Type", "application/xml"), ("Content-Length", str(len(DENIED)))])
            return [DENIED]
        return moto(request, start)

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    made = make_server("127.0.0.1", 0, answer, threaded=False)
    server.address = f"http://127.0.0.1:{made.server_address[1]}"
    thread = Thread(target=made.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        made.shutdown()
        thread.join()
