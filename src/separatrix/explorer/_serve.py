"""Living pages of a model that stays in Python: behind a server of this machine, or in a notebook."""

from __future__ import annotations

import webbrowser
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from separatrix.arguments import checked
from separatrix.errors import InputError
from separatrix.explorer._port import listening
from separatrix.explorer._scene import Scene
from separatrix.explorer._training import Moment
from separatrix.field import LatentField

if TYPE_CHECKING:
    from separatrix.explorer._server import LiveServer


@checked
def live_server(scene: Scene, field: LatentField, *, earlier: Sequence[Moment] = (), port: int = 0) -> LiveServer:
    """A server of one living page, which holds its port and does not run yet.

    Args:
        scene: what the page shows (`separatrix.explorer.scene_of` with ``live=True``).
        field: that answers; any torch model can.
        earlier: checkpoints of a training before this last one (`training_scenes`).
        port: on this machine, which nobody else reaches; any free one by default.

    Raises:
        InputError: the port is taken, or a package is missing.
    """
    require_server()
    from separatrix.explorer._server import LiveServer

    return LiveServer(scene, field, earlier=earlier, port=port)


@checked
def serve(
    scene: Scene,
    field: LatentField,
    *,
    earlier: Sequence[Moment] = (),
    port: int = 0,
    browser: bool = True,
    ready: Callable[[str], None] = lambda url: print(url, flush=True),
) -> None:
    """Serve a living page to browsers of this machine, until its last page is closed or the process is interrupted.

    Args:
        scene, field, earlier, port: as in `live_server`.
        browser: open the page in the browser of this machine.
        ready: told where the page is, once it can be opened. Who knows the address may ask the model.

    Raises:
        InputError: the port is taken, or a package is missing.
        KeyboardInterrupt: the process was interrupted; everything is closed.
    """
    server = live_server(scene, field, earlier=earlier, port=port)

    def opened() -> None:
        ready(server.url)
        if browser:
            webbrowser.open(server.url)

    server.run(opened)


@checked
def require_server(port: int = 0) -> None:
    """Refuse where a server could not run, before anything long is begun.

    Raises:
        InputError: the port is taken, or a package is missing.
    """
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
        import websockets  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"A live page needs {error.name}, which is not installed; pip install 'separatrix[live]', or write a file, which needs nothing."
        ) from error
    listening(port).close()
