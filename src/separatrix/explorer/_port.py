"""A port of this machine, that nobody else reaches."""

from __future__ import annotations

import os
import socket

from separatrix.errors import InputError

ADDRESS = "127.0.0.1"


def listening(port: int) -> socket.socket:
    """Hold a port, any free one for 0; who connects waits until it is served.

    Raises:
        InputError: it is taken, or not for everybody.
    """
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        # Connections that ended a moment ago are no reason to wait. Elsewhere the option means another thing.
        if os.name == "posix":
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((ADDRESS, port))
        made.listen()
    except OSError as error:
        made.close()
        raise InputError(
            f"Port {port} of this machine cannot be used ({error.strerror}); give another, or none."
        ) from error
    return made
