"""This file makes a gallery of many models: each has its run, its report and its living page, and one page of cards leads to them."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from separatrix.arguments import checked
from separatrix.data import ImageSource
from separatrix.errors import ConvergenceWarning, FileError, InputError, SeparatrixError
from separatrix.explorer import Scene, explorer_page, scene_of
from separatrix.explorer._gallery import GalleryCard, card_of, failed_card, gallery_page
from separatrix.explorer._scene import BASIN_SIDE, FIELD_SIDE
from separatrix.field import LatentField, RecordedField
from separatrix.protocol import Protocol
from separatrix.runs._attractors import attractors, attractors_results
from separatrix.runs._explore import named_examples
from separatrix.runs._run import reopened
from separatrix.runs._views import REPORT, as_json
from separatrix.starts import Starts
from separatrix.storage import MANIFEST, PathLike, new_file
from separatrix.storage._manifest import kind_of, writer
from separatrix.work import Progress

KIND = "separatrix gallery"
INDEX, NUMBERS, EXPLORER = "index.html", "gallery.json", "explorer.html"
_SCENE = "explorer"
_FOLDER = re.compile(r"\w[\w.-]*")
_LONGEST = 120  # characters of a name; a file system takes 255 bytes


@dataclass(frozen=True, kw_only=True)
class Exhibit:
    """It says how one model of a gallery is loaded and searched.

    Attributes:
        name: of its card, and of its folder.
        load: gives the field; a failure costs this model alone.
        starts: gives the starts of its search.
        protocol: the rules of the search.
        examples: images from which a reader may start, as `load_images` takes them.
        origin: what `separatrix.load` takes to give this model, for the lines of Python in its page.
        field_side, basin_side: points a side at which the field is evaluated, and from which orbits are followed.
    """

    name: str
    load: Callable[[], LatentField]
    starts: Callable[[], Starts]
    protocol: Protocol | None = None
    examples: ImageSource | None = None
    origin: str = ""
    field_side: int = FIELD_SIDE
    basin_side: int = BASIN_SIDE


@dataclass(frozen=True, kw_only=True)
class Gallery:
    """It tells where a gallery is, and what is on its cards.

    Attributes:
        folder: where it is.
        records: one per model, as in gallery.json; of a model that failed its name and the sentence.
    """

    folder: Path
    records: tuple[Mapping[str, Any], ...]

    @property
    def index(self) -> Path:
        """Return the page of cards."""
        return self.folder / INDEX

    @property
    def failed(self) -> dict[str, str]:
        """Return why some models have no page, by name."""
        return {record["name"]: record["failed"] for record in self.records if "failed" in record}


@checked
def gallery(
    exhibits: Sequence[Exhibit],
    *,
    out: PathLike,
    overwrite: bool = False,
    figures: bool = True,
    progress: bool | Progress = False,
) -> Gallery:
    """Search every model, write a report and a living page of each, and a page of cards that leads to them.

    The folder holds one run per model (`separatrix.runs.attractors`), with ``explorer.html`` in it. Interrupted at any moment, the same call goes
    on where it was. A model that cannot be loaded, or whose field is none, has a card that says so and stops nobody else.

    Args:
        exhibits: the models, in the order of their cards.
        out: the folder.
        overwrite: begin the runs anew; else what is stored of a model, its page too, stays as it was made.
        figures: draw those of the reports.
        progress: show a progress bar, or move the one that is there (`separatrix.work.Progress`).

    Raises:
        InputError: there is no model, or two have one name.
        FileError: something else is in the folder, or it cannot be written.

    Cost: that of `separatrix.runs.attractors` and of `separatrix.explorer.scene_of` for each.
    """
    _require_names([exhibit.name for exhibit in exhibits])
    folder = Path(out)
    if folder.exists() and kind_of(folder) != KIND and (not folder.is_dir() or any(folder.iterdir())):
        raise FileError(f"{folder} already exists and is no gallery; choose another folder.")
    cards: list[GalleryCard] = []
    with Progress.of(progress).stage("gallery", len(exhibits)) as line:
        for exhibit in exhibits:
            with line.stage(exhibit.name, 2):
                cards.append(_card(exhibit, folder / exhibit.name, overwrite, figures, line))
            _write(folder, cards)  # what is there can be looked at while the others are made
    return Gallery(folder=folder, records=tuple(card.record for card in cards))


def _require_names(names: Sequence[str]) -> None:
    """Each is the name of a folder beside the page of cards, also where capitals make no difference."""
    taken = {INDEX, NUMBERS, MANIFEST}
    for name in names:
        if name.casefold() in taken or not _FOLDER.fullmatch(name) or len(name) > _LONGEST:
            break
        taken.add(name.casefold())
    else:
        if names:
            return
    raise InputError(
        "A gallery needs at least one model, and for each a name of its own that a folder can have: letters, digits, dots, dashes"
        f"{f'; {name!r} is none' if names else ''}."
    )


def _card(exhibit: Exhibit, place: Path, overwrite: bool, figures: bool, progress: Progress) -> GalleryCard:
    try:
        return _shown(exhibit, place, overwrite, figures, progress)
    except SeparatrixError as error:
        return failed_card(exhibit.name, str(error))
    except Exception as error:  # of the model's own code
        return failed_card(exhibit.name, f"{type(error).__name__}: {error}")


def _shown(exhibit: Exhibit, place: Path, overwrite: bool, figures: bool, progress: Progress) -> GalleryCard:
    """One run with its living page; what is stored of it is not computed again."""
    field = exhibit.load()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the card says how the starts ended
        found = attractors(field, exhibit.starts(), exhibit.protocol, out=place, overwrite=overwrite,
                           figures=figures, explorer=False, progress=progress)  # fmt: skip
        with reopened(place) as run:
            results = attractors_results(run, RecordedField(field))
            scene: Scene = run.stage(
                _SCENE,
                lambda: scene_of(
                    results,
                    origin=exhibit.origin,
                    examples=None if exhibit.examples is None else named_examples(exhibit.examples),
                    field_side=exhibit.field_side,
                    basin_side=exhibit.basin_side,
                    room=0,  # orbits beforehand, of many models, would be most of the time
                    progress=progress,
                ),
            )
            if not (place / EXPLORER).is_file():
                run.add(EXPLORER, explorer_page(scene).encode("utf-8"))
    links = {"page": f"{place.name}/{EXPLORER}", "report": f"{place.name}/{REPORT}"}
    return card_of(exhibit.name, scene, found.summary, bytes=(place / EXPLORER).stat().st_size, **links)


def _write(folder: Path, cards: Sequence[GalleryCard]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    manifest = {"written_by": writer(), "kind": KIND, "files": [INDEX, MANIFEST, NUMBERS]}
    written = {
        MANIFEST: as_json(manifest),
        NUMBERS: as_json({"models": [dict(card.record) for card in cards]}),
        INDEX: gallery_page(cards).encode("utf-8"),
    }
    for name, content in written.items():
        with new_file(folder / name) as path:
            path.write_bytes(content)
