"""Batches of columns are scored as their pictures are alone."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from separatrix.errors import DataWarning, FileError, InputError
from separatrix.field import LatentField
from separatrix.models import DenseAutoencoder
from separatrix.ood import BatchScorer, Detector, ResidualDetector, load_detector

SHAPE = (1, 6, 6)


def model(seed: int = 0) -> DenseAutoencoder:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return DenseAutoencoder(SHAPE, 2, hidden=(8,))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    seen = torch.rand(300, *SHAPE, generator=torch.Generator().manual_seed(0))
    return ResidualDetector(LatentField.of(model())).fit(seen).save(tmp_path_factory.mktemp("kept") / "detector")


def png(pixels: np.ndarray) -> bytes:
    written = io.BytesIO()
    Image.fromarray(pixels).save(written, "PNG")
    return written.getvalue()


PIXELS = np.random.default_rng(1).integers(0, 256, (5, *SHAPE[1:]), dtype=np.uint8)


def objects(*values: object) -> np.ndarray:
    column = np.empty(len(values), object)
    column[:] = values
    return column


@pytest.mark.parametrize(
    "column",
    [
        objects(*map(png, PIXELS)),
        PIXELS,
        PIXELS[:, None],
        PIXELS[..., None],
        (PIXELS / 255).astype(np.float32),
        list(PIXELS),
    ],
    ids=["encoded", "h×w", "c×h×w", "h×w×c", "floats", "list"],
)
def test_scores_are_those_of_the_detector(place, column):
    detector = load_detector(place, LatentField.of(model()), kind=Detector)
    wanted = detector.decide(torch.from_numpy(PIXELS)[:, None] / 255, 0.05)
    found = BatchScorer(model, place, fpr=0.05)({"image": column, "label": np.arange(5)})
    assert list(found) == ["image", "label", "score", "p_value", "decision", "unscorable"]
    assert found["image"] is column
    assert found["score"] == pytest.approx(wanted.scores.numpy(), rel=1e-6)
    assert found["p_value"].tolist() == wanted.p_values.tolist()
    assert found["decision"].tolist() == [{0: "in", 1: "out"}[value] for value in wanted.decision.tolist()]
    assert found["unscorable"].tolist() == [""] * 5


def test_a_picture_without_a_score_says_why_and_costs_no_other(place):
    scorer = BatchScorer(model, place)
    wanted = scorer({"image": PIXELS[:1]})["score"][0]
    for column in (
        objects(png(PIXELS[0]), b"no picture", png(PIXELS[0, :4])),
        objects(PIXELS[0], np.full((6, 6), np.nan), PIXELS[0, :4]),
    ):
        found = scorer({"image": column})
        assert found["score"][0] == pytest.approx(wanted)
        assert all(map(math.isnan, found["score"][1:]))
        assert all(map(math.isnan, found["p_value"][1:]))
        assert found["decision"].tolist()[1:] == ["unscorable"] * 2
        assert [bool(reason) for reason in found["unscorable"]] == [False, True, True]
        assert "4" in found["unscorable"][2]
    resized = BatchScorer(model, place, resize=True)({"image": objects(PIXELS[0, :4], png(PIXELS[1, :4]))[:1]})
    assert resized["decision"][0] != "unscorable"


def test_one_odd_row_says_nothing_about_the_others(place):
    """Encoded pictures, one as the datasets library keeps it, an array, and a row without any."""
    scorer = BatchScorer(model, place)
    column = objects(png(PIXELS[0]), {"bytes": png(PIXELS[1]), "path": "b.png"}, PIXELS[2], None, {"bytes": None})
    found = scorer({"image": column})
    assert found["score"][:3] == pytest.approx(scorer({"image": PIXELS[:3]})["score"])
    assert found["unscorable"].tolist() == ["", "", ""] + ["There is no picture in this row."] * 2


@pytest.mark.parametrize("column", [objects(*map(png, PIXELS // 100)), PIXELS // 100], ids=["encoded", "arrays"])
def test_flags_are_not_taken_for_black_in_silence(place, column):
    with pytest.warns(
        DataWarning, match=r"The column 'image' holds no value above 2, where 255 is white: pass scale=2 "
    ):
        BatchScorer(model, place)({"image": column})
    assert BatchScorer(model, place, scale=2)({"image": column})["unscorable"].tolist() == [""] * 5


def test_a_model_that_fails_on_all_is_no_fault_of_the_pictures(place):
    scorer = BatchScorer(model, place)

    def failing(*_: object) -> torch.Tensor:
        raise ZeroDivisionError("no memory of anything")

    scorer.detector.score = failing  # type: ignore[method-assign]
    with pytest.raises(ZeroDivisionError, match="no memory"):
        scorer({"image": PIXELS})


def test_columns_that_are_missing_or_taken(place):
    scorer = BatchScorer(model, place, column="jpg")
    with pytest.raises(InputError, match="no column 'jpg', only 'image', 'label'; give column="):
        scorer({"image": PIXELS, "label": PIXELS})
    with pytest.raises(InputError, match="a column 'score' already"):
        scorer({"jpg": PIXELS, "score": np.arange(5)})
    with pytest.raises(FileError):
        BatchScorer(lambda: model(1), place)


def test_pictures_of_pillow_are_seen_as_their_files_are(place):
    """The numbers of a picture with a palette are no shades, and those of one that lies on its side stand elsewhere."""
    palette = Image.fromarray(PIXELS[0]).convert("P", palette=Image.Palette.ADAPTIVE)
    palette = palette.remap_palette(list(range(256))[::-1])
    written = io.BytesIO()
    palette.save(written, "PNG")
    lying = Image.fromarray(np.rot90(PIXELS[1]).copy())
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = io.BytesIO()
    lying.save(turned, "TIFF", exif=exif)
    scorer = BatchScorer(model, place)
    encoded = scorer({"image": objects(written.getvalue(), turned.getvalue())})
    opened = scorer({"image": objects(palette, Image.open(io.BytesIO(turned.getvalue())))})
    assert opened["unscorable"].tolist() == ["", ""]
    assert opened["score"].tolist() == encoded["score"].tolist()
    small = scorer({"image": objects(Image.fromarray(PIXELS[0, :4]))})
    assert "4×6" in small["unscorable"][0]


def test_a_batch_without_rows_is_a_batch(place):
    found = BatchScorer(model, place)({"image": PIXELS[:0], "label": np.arange(0)})
    assert [len(found[name]) for name in ("image", "score", "p_value", "decision", "unscorable")] == [0] * 5


def test_the_only_picture_that_can_be_read_may_be_the_one_that_the_model_fails_on(place):
    scorer = BatchScorer(model, place)
    score = scorer.detector.score

    def failing(pixels: torch.Tensor) -> torch.Tensor:
        if (pixels > 0.99).any():
            raise ZeroDivisionError("no whites")
        return score(pixels)

    scorer.detector.score = failing  # type: ignore[method-assign]
    white = np.full((6, 6), 255, np.uint8)
    found = scorer({"image": objects(white, b"no picture")})
    assert found["decision"].tolist() == ["unscorable"] * 2
    assert "no whites" in found["unscorable"][0]


def test_tensors_in_half_precision_and_what_is_no_array_cost_no_other(place):
    scorer = BatchScorer(model, place)
    half = torch.from_numpy(PIXELS[1] / 255).bfloat16()
    found = scorer({"image": [PIXELS[0], half, [[1, 2], [3]]]})
    assert found["score"][0] == pytest.approx(scorer({"image": PIXELS[:1]})["score"][0])
    assert found["unscorable"].tolist()[:2] == ["", ""]
    assert "cannot be read" in found["unscorable"][2]
    with pytest.raises(InputError, match="scale must be the stored value"):
        BatchScorer(model, place, scale=0)
