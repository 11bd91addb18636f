"""A scene becomes one HTML file that works from a disk, offline, with the model inside."""

from __future__ import annotations

import base64
import json
import math
import zlib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

import torch
from markupsafe import Markup
from safetensors.torch import save
from torch import Tensor

from separatrix.arguments import checked
from separatrix.explorer._scene import Scene
from separatrix.explorer._still import still_basins, still_speed
from separatrix.report._write import environment, page_style
from separatrix.words import percent

_ROWS = 200  # of the table that readers without scripts have
_HALF = 64  # numbers from which on it is worth a look whether half of the bytes hold them exactly


@checked
def explorer_page(
    scene: Scene,
    *,
    earlier: Sequence[Scene] = (),
    live: Mapping[str, Any] | None = None,
    sockets: Sequence[str] = (),
    framed: bool = False,
) -> str:
    """The HTML text of a living page. No request leaves it, and the model in it has passed its test against Python.

    Args:
        scene: what it shows.
        earlier: the scenes of the checkpoints of a training before this last one (`training_scenes`), among which a reader may choose.
        live: what the page must know to ask a model elsewhere (`separatrix.explorer.serve`, `widget`), in place of one inside.
        sockets: the only addresses that it may speak to then.
        framed: it stands in a report or a notebook, and begins with the plane and not with a title and the statement.

    >>> import separatrix as sx
    >>> from separatrix.explorer import scene_of
    >>> from separatrix.report import ModelResults
    >>> field = sx.LatentField.from_map(lambda z: torch.tanh(2 * z), latent_shape=(2,))
    >>> limits = sx.find_attractors(field, sx.starts.gaussian(64, seed=0))
    >>> results = ModelResults(title="tanh 2z", subtitle="", latent_field=field, searches={"noise": limits})
    >>> scene = scene_of(results, field_side=9, basin_side=9)
    >>> text = explorer_page(scene)
    >>> text.count("http://") + text.count("https://") - text.count("http://www.w3.org/"), "separatrix-model" in text
    (0, True)
    """
    about = scene.about
    template = environment("separatrix.explorer").get_template("explorer.html.j2")
    return template.render(
        about=about,
        rows=about["sets"][:_ROWS],
        percent=percent,
        images=_tiles(scene, "set_images"),
        style=page_style(),
        own_style=_asset("explorer.css"),
        script=_asset("explorer.js"),
        archives=[
            archive
            for number, each in enumerate((*earlier, scene))
            for archive in _archives(each, f"-{number}" if number < len(earlier) else "", with_model=live is None)
        ],
        live=live,
        sockets=sockets,
        framed=framed,
        stills=(still_speed(scene), still_basins(scene)) if "speed" in scene.arrays else (),
        code=_code(about),
        sliced=math.prod(about["latent_shape"]) > 2,
    )


def _archives(scene: Scene, suffix: str, *, with_model: bool) -> list[tuple[str, Markup]]:
    """Give what the script reads, by the names of its elements."""
    model = _in_the_model(scene.about)
    parts: dict[str, dict[str, Tensor]] = {"scene": {}, "model": {}, "nodes": {}}
    for name, tensor in scene.arrays.items():
        # Pictures that nobody asks for before the page is there are half of it, and are unpacked when somebody does.
        part = "model" if name in model else "nodes" if name == "node_images" else "scene"
        parts[part][name] = _packed(tensor) if part == "model" else tensor
    if not with_model:
        del parts["model"]
    return [
        (f"separatrix-{part}{suffix}", _payload(tensors, {"scene": scene.text} if part == "scene" else {}))
        for part, tensors in parts.items()
        if tensors or part == "scene"
    ]


def _in_the_model(about: dict[str, Any]) -> set[str]:
    """Names of the arrays that its operations read."""
    if not about["graph"]:
        return set()
    ops = [op for half in about["graph"].values() for op in half["ops"]]
    return {name for op in ops for name in (*op["in"], op.get("table")) if isinstance(name, str)}


def _packed(tensor: Tensor) -> Tensor:
    """The same numbers in half of the bytes where these hold them exactly, as the weights of models that are stored so."""
    if tensor.dtype == torch.float32 and tensor.numel() >= _HALF and torch.equal(tensor.half().float(), tensor):
        return tensor.half()
    return tensor


def _payload(tensors: dict[str, Tensor], metadata: dict[str, str]) -> Markup:
    """Base64 of the deflated safetensors archive."""
    archive = save({name: tensor.contiguous() for name, tensor in tensors.items()}, metadata)
    return Markup(base64.b64encode(zlib.compress(archive, 9)).decode("ascii"))


@cache
def _asset(name: str) -> Markup:
    """Read what was built from web/; its text cannot end the element that it is put into."""
    text = resources.files("separatrix.explorer").joinpath("static", name).read_text(encoding="utf-8")
    if "</script" in text or "</style" in text:
        raise AssertionError(f"{name} would end its own element")
    return Markup(text)


def _tiles(scene: Scene, name: str) -> list[bytes]:
    """Pictures of the first sets as PNG, for readers without scripts."""
    from separatrix.report._page import Tile

    images = scene.arrays.get(name)
    if images is None or not images.numel():
        return []
    return [Tile.of(image.expand(-1, -1, 3).numpy(), "").png for image in images[:_ROWS]]


def _code(about: dict[str, Any]) -> str:
    """The lines of Python that follow an orbit as the page does."""
    spec = json.dumps(about["origin"], ensure_ascii=False) if about["origin"] else "…"
    return (
        "import separatrix as sx, torch\n"
        f"field = sx.load({spec}){'' if about['origin'] else '  # your model'}\n"
        f"z = torch.tensor([…]).reshape(1, {', '.join(map(str, about['latent_shape']))})\n"
        "for step in range(100):\n"
        "    z = field(z)  # encode(decode(z))"
    )
