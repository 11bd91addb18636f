"""Draw the pictures of the concepts and of the demo, and train the small model of the living page: ``python docs/pictures.py``, two minutes.

All are committed: maps with known answers do not change, and a site that trains while it is built is slow. Pictures are SVG, drawn for a column of 350 pixels,
so that their letters can be read on a telephone; they have a ground of their own, and follow the light or dark of whoever looks.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple

import matplotlib
import torch
from matplotlib.figure import Figure
from sklearn.datasets import load_digits

import separatrix as sx
from separatrix.models import DenseAutoencoder, save_model, train_autoencoder
from separatrix.plots._style import INK, RC, new_figure
from separatrix.report._svg import inline_svg

HERE = Path(__file__).parent
COLUMN = 350  # CSS pixels: what a telephone leaves for a picture
_PAGE = HERE.parent / "src/separatrix/report/page.css"


def wells() -> sx.LatentField:
    """tanh(2z) in two coordinates: nine fixed points, four of which attract."""
    return sx.LatentField.from_map(lambda z: torch.tanh(2 * z), latent_shape=(2,), name="tanh(2z)")


def fixed_points(field: sx.LatentField) -> sx.LimitSets:
    """All nine of them."""
    return sx.find_fixed_points(field, sx.starts.box(400, -1.2, 1.2, seed=0))


def portrait() -> Figure:
    """All nine fixed points, and the arrows between them."""
    field, extent = wells(), (-1.3, 1.3, -1.3, 1.3)
    title = "Nine fixed points, four attract"
    figure = sx.plots.field_portrait(fixed_points(field), field, extent=extent, resolution=80, title=title)
    figure.axes[-1].set_ylabel("speed ‖f(z) − z‖")  # the number of points is no part of the concept
    return _narrow(figure, 3.1)


def basins() -> Figure:
    """The basins of its four attractors, which keep their letters."""
    field, shape, extent = wells(), (60, 60), (-1.3, 1.3, -1.3, 1.3)
    # Every orbit is followed to its end: those that only an audit follows would have cells of another depth.
    every = sx.Protocol(capture=False)
    limits = sx.find_attractors(field, sx.starts.grid((-1.29, -1.29), (1.29, 1.29), shape), every)
    figure = sx.plots.basin_map(
        limits, shape=shape, extent=extent, field=field, like=fixed_points(field), title="Four basins"
    )
    return _narrow(figure, 4.2)


def transient() -> Figure:
    """An orbit of the non-normal map (0.5, 10; 0, 0.5) from (0, 1): away tenfold, then back."""
    matrix = torch.tensor([[0.5, 10.0], [0.0, 0.5]], dtype=torch.float64)
    z, lengths = torch.tensor([0.0, 1.0], dtype=torch.float64), []
    for _ in range(30):
        lengths.append(float(z.norm()))
        z = matrix @ z
    with matplotlib.rc_context(RC):
        figure = new_figure(2.6, "First away, then back")
        axes = figure.subplots()
        axes.semilogy(lengths, marker="o", markersize=3, linewidth=1.2, color=INK)
        axes.set(xlabel="steps", ylabel="distance to the attractor", title="ρ = 0.5, ‖J‖₂ = 10")
        axes.yaxis.set_major_formatter("{x:g}")  # raised digits would be too small
    return _narrow(figure, 2.6)


def _narrow(figure: Figure, height: float) -> Figure:
    """As wide as the column, so that its letters keep their size there."""
    figure.set_size_inches(COLUMN / 100, height)
    return figure


def alone(figure: Figure, name: str) -> str:
    """A figure as a file: the element of a report, with the colours of a report's page inside."""
    drawn = inline_svg(figure, name)
    _, _, wide, high = map(float, re.search(r'viewBox="([^"]*)"', drawn)[1].split())
    return _with_ground(drawn, wide, high)


def _with_ground(drawn: str, wide: float, high: float) -> str:
    """The colours by which its parts are called, light and dark, and a ground, since nobody knows on what it will stand."""
    light, dark = (
        re.sub(r"\s+", " ", found).strip() for found in re.findall(r":root \{([^}]*)\}", _PAGE.read_text("utf-8"))[:2]
    )
    head, _, rest = drawn.partition(">")
    return (
        f'{head} xmlns="http://www.w3.org/2000/svg"><style>svg {{ {light} }} '
        f"@media (prefers-color-scheme: dark) {{ svg {{ {dark} }} }}</style>"
        f'<rect width="{wide:g}" height="{high:g}" rx="6" fill="var(--card)"/>{rest}\n'
    )


class Row(NamedTuple):
    """One model in a film of the demo: its name, the addresses of its pictures, where it ends and what stands out."""

    label: str
    pictures: list[str]
    ending: str
    badge: str


class Films(HTMLParser):
    """The films at the head of the demo's report: of each its heads, its rows and its caption."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.films: list[tuple[list[str], list[Row], list[str]]] = []
        self._in = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin a film, a head or a row, or note a picture."""
        given = dict(attrs)
        if tag == "table":
            self._in = ""
            if given.get("class") == "film":
                self.films.append(([], [], []))
                self._in = "film"
        elif self._in and tag == "img":
            self.films[-1][1][-1].pictures.append(given["src"] or "")
        elif self._in:
            self._in = {"row": "label", "col": "head"}.get(given.get("scope") or "", given.get("class") or tag)

    def handle_data(self, data: str) -> None:
        """Words belong to what was begun last."""
        words = " ".join(data.split())
        if not words or not self._in:
            return
        heads, rows, captions = self.films[-1]
        if self._in == "head":
            heads.append(words)
        elif self._in == "label":
            rows.append(Row(words, [], "", ""))
        elif self._in in ("ending", "badge"):
            rows[-1] = rows[-1]._replace(**{self._in: words})
        elif self._in == "figcaption":
            captions.append(words)
            self._in = ""


def demo_film(page: str) -> str:
    """The films of the demo's report as one picture for a narrow column: the words of a row stand above its pictures."""
    parts, y, gap = list[str](), 14, 5
    for heads, rows, captions in Films(page).films:
        side = (COLUMN - 24 - gap * len(heads)) / len(heads)
        parts.append(
            _text(12, y + 8, captions[0].partition(".")[0].partition(": ")[2].capitalize(), "ink", "bold 14px")
        )
        y += 18
        for place, head in enumerate(heads):
            x = 12 + (side + gap) * place + (gap if place == len(heads) - 1 else 0) + side / 2
            parts += [_text(x, y + 12 + 13 * i, word, "muted", "12px", "middle") for i, word in enumerate(_lines(head))]
        y += 34
        for row in rows:
            parts.append(_text(12, y + 10, row.label, "ink", "bold 12px"))
            parts.append(
                _text(
                    12,
                    y + 25,
                    row.ending + (f"; {row.badge}" if row.badge else ""),
                    "alarm" if row.badge else "muted",
                    "12px",
                )
            )
            y += 31
            for place, picture in enumerate(row.pictures):
                x = 12 + (side + gap) * place + (gap if place == len(heads) - 1 else 0)
                parts.append(
                    f'<image href="{picture}" x="{x:.1f}" y="{y}" width="{side:.1f}" height="{side:.1f}" style="image-rendering:pixelated"/>'
                )
            y += round(side) + 10
        y += 14
    drawn = f'<svg role="img" aria-label="Films of the demo" width="{COLUMN}" viewBox="0 0 {COLUMN} {y}" font-family="sans-serif">{"".join(parts)}</svg>'
    return _with_ground(drawn, COLUMN, y)


def _lines(head: str) -> Iterator[str]:
    """The last head has several words, and a place that is narrow."""
    yield from head.replace("nearest in training", "nearest image").split(" ") if " " in head else [head]


def _text(x: float, y: float, words: str, ink: str, font: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" style="font: {font} var(--sans); fill: var(--{ink})">{words}</text>'


def digits_in_two_numbers() -> None:
    """Digits of 8×8 pixels through two latent numbers and back."""
    images = torch.from_numpy(load_digits().images / 16).float()[:, None]
    torch.manual_seed(0)
    network = DenseAutoencoder((1, 8, 8), 2, hidden=(64, 32))
    train_autoencoder(network, images[:1400], epochs=60, learning_rate=5e-3, noise_std=0.2, held_out=images[1400:])
    save_model(network, HERE / "static" / "digits.safetensors")


if __name__ == "__main__":
    digits_in_two_numbers()
    for draw in (portrait, basins, transient):
        (HERE / "pictures" / f"{draw.__name__}.svg").write_text(alone(draw(), draw.__name__), encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        report = sx.runs.demo(Path(folder) / "demo").report
        (HERE / "demo.svg").write_text(demo_film(report.read_text(encoding="utf-8")), encoding="utf-8")
