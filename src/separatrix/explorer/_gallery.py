"""This file makes a page of cards, one per model: the field as a picture, what was found, and a link to the living page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from separatrix.explorer._scene import Scene
from separatrix.explorer._still import still_field
from separatrix.report._write import environment, page_style
from separatrix.words import counted


@dataclass(frozen=True, kw_only=True)
class GalleryCard:
    """It holds what is said of one model on the page.

    Attributes:
        name: of the model, and of its folder.
        record: JSON-ready: the numbers and the words.
        picture: an SVG of the field; empty for a model that failed.
    """

    name: str
    record: Mapping[str, Any]
    picture: str = ""


def card_of(name: str, scene: Scene, summary: Mapping[str, Any], **more: Any) -> GalleryCard:
    """Make the card of a model from its scene and the summary of its search.

    Args:
        name: of the model.
        scene: of its living page.
        summary: of its run, as in summary.json.
        more: entries for the record.
    """
    about = scene.about
    stable = [row["stable"] for row in summary["sets"]]
    sampled = sum(row["count"] for row in summary["statuses"] if row["status"] == "SAMPLED")
    starts = summary["fates"]["starts"]
    record = {
        "name": name,
        "title": about["title"],
        "subtitle": about["subtitle"],
        "latent_dim": math.prod(about["latent_shape"]),
        "headline": about["statement"]["headline"],
        "tone": about["statement"]["tone"],
        "attracting": stable.count(True),
        "not_attracting": stable.count(False),
        "undecided": stable.count(None),
        "starts": starts,
        "arrived": summary["fates"]["limit_set"],
        "arrived_by_sample": sampled,
        "fates": about["fates"],
        "evaluations": summary["cost"]["total"],
        "model_inside": about["graph"] is not None,
        **more,
    }
    return GalleryCard(name=name, record=record, picture=str(still_field(scene)))


def failed_card(name: str, sentence: str) -> GalleryCard:
    """Make the card of a model of which there is no page, and say why."""
    return GalleryCard(name=name, record={"name": name, "failed": sentence})


def sets_in_words(record: Mapping[str, Any]) -> str:
    """Tell what is certain about the limit sets of a card from what is not.

    >>> sets_in_words({"attracting": 3, "not_attracting": 1, "undecided": 0})
    '3 attract, checked; 1 does not attract'
    >>> sets_in_words({"attracting": 0, "not_attracting": 0, "undecided": 0})
    'none was reached'
    """
    attracting, other, undecided = (record[key] for key in ("attracting", "not_attracting", "undecided"))
    parts = [
        *([f"{attracting:,} attract{'s' if attracting == 1 else ''}, checked"] if attracting else []),
        *([f"{other:,} do{'es' if other == 1 else ''} not attract"] if other else []),
        *([f"{undecided:,} undecided"] if undecided else []),
    ]
    return "; ".join(parts) or "none was reached"


def labels_in_words(record: Mapping[str, Any]) -> str:
    """Tell which labels of the starts are certain and which are likely.

    >>> labels_in_words({"starts": 200, "arrived": 190, "arrived_by_sample": 0})
    '190 of 200 certain'
    >>> labels_in_words({"starts": 20_000, "arrived": 20_000, "arrived_by_sample": 12_000})
    '8,000 of 20,000 certain, 12,000 likely (by a sample)'
    """
    certain, likely = record["arrived"] - record["arrived_by_sample"], record["arrived_by_sample"]
    return f"{certain:,} of {record['starts']:,} certain{f', {likely:,} likely (by a sample)' if likely else ''}"


def gallery_page(cards: Sequence[GalleryCard], title: str = "A gallery of latent fields") -> str:
    """Return the HTML text of the page: no script, no request; every link leads to a file beside it."""
    shown = [(card.record, Markup(card.picture)) for card in cards]
    failed = sum("failed" in card.record for card in cards)
    count = counted(len(cards) - failed, "model") + (f", and {failed} that could not be shown" if failed else "")
    template = environment("separatrix.explorer").get_template("gallery.html.j2")
    return template.render(
        title=title, count=count, cards=shown, style=page_style(), sets=sets_in_words, labels=labels_in_words
    )
