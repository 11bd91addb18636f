"""A detector is fitted and stored, with a run beside it: the page says what can be promised, and shows what was held out."""

from __future__ import annotations

import json
import shutil
from contextlib import nullcontext

import pytest
import torch
from torch import nn

from separatrix import LatentField, ood, runs
from separatrix.data import ImageSet
from separatrix.errors import DetectorWarning
from separatrix.numerics import Interval
from separatrix.ood import SelfCheck
from separatrix.report._detector import Calibrated, Fitness
from separatrix.storage import load_result, save_result


class Tiny(nn.Module):
    """Images 1×4×4 to two numbers and back."""

    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(0.5))

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        return self.slope * x.flatten(1)[:, :2]

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        return z.repeat(1, 8).reshape(-1, 1, 4, 4)


def field() -> LatentField:
    model = Tiny()
    return LatentField(model.encode, model.decode, latent_shape=2, modules=(model,), name="tiny")


def images(count: int = 90, seed: int = 0, names: tuple[str, ...] = ()) -> ImageSet:
    pixels = torch.rand(count, 1, 4, 4, generator=torch.Generator().manual_seed(seed))
    return ImageSet(pixels=pixels, names=names or tuple(f"{index:02d}.png" for index in range(count)))


@pytest.mark.parametrize("check", [True, False])
def test_the_page_says_what_the_detector_does(check, tmp_path):
    given = images()
    with pytest.warns(DetectorWarning) if check else nullcontext():
        found = runs.fit(field(), given, tmp_path / "d", "mahalanobis", check=check, out=tmp_path / "run")
    detector = ood.Detector.load(tmp_path / "d", field())
    written = json.loads((tmp_path / "run" / "summary.json").read_text(encoding="utf-8"))
    assert (written["kind"], written["of"], written["calibration"]) == ("separatrix ood fit", "mahalanobis", 45)
    assert set(written["thresholds"]) == {"0.1", "0.05"}  # 1/46 is more than 0.01
    page = found.report.read_text(encoding="utf-8")
    for rate, threshold in written["thresholds"].items():
        above, at = torch.tensor([threshold * (1 + 1e-12), threshold], dtype=torch.float64)[:, None]
        assert bool(detector.decide_scores(above, float(rate)).is_ood)
        assert not bool(detector.decide_scores(at, float(rate)).is_ood)
        assert f"above {threshold:.4g}" in page
    again = detector.score(given)
    assert written["highest"] == pytest.approx(
        {name: float(again[given.names.index(name)]) for name in written["highest"]}, rel=1e-6
    )
    assert list(written["highest"].values()) == sorted(written["highest"].values(), reverse=True)
    assert page.count("<figcaption>picture</figcaption>") == 24 == len(written["highest"])
    assert ("Simple inputs</h2>" in page) is check
    assert (written["check"] is not None) is check
    assert written["code"] == ("inverted" if check else "untested")
    assert written["highest"] == found.summary["highest"]
    assert (tmp_path / "run" / "detector.png").is_file()


def test_without_a_folder_there_is_the_detector_alone(tmp_path):
    found = runs.fit(field(), images(), tmp_path / "d", "knn", check=False)
    assert (found.folder, found.report) == (None, None)
    assert [path.name for path in tmp_path.iterdir()] == ["d"]
    assert found.summary["kind"] == "knn"


@pytest.mark.parametrize("explorer", [True, False])
def test_the_page_is_made_again_without_the_model(explorer, tmp_path):
    runs.fit(field(), images(), tmp_path / "d", "knn", check=False, out=tmp_path / "run", explorer=explorer)
    shutil.rmtree(tmp_path / "d")
    kept = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir() if path.is_file()}
    assert (b"Explore:" in kept["report.html"]) is explorer
    for name in kept:
        if name != "manifest.json":
            (tmp_path / "run" / name).write_bytes(b"gone")
    runs.report(tmp_path / "run")
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir() if path.is_file()} == kept


def test_held_out_pictures_are_of_the_calibration_that_was_given(tmp_path):
    others = images(30, seed=1, names=tuple("even" if index % 2 == 0 else "odd" for index in range(30)))
    found = runs.fit(field(), images(), tmp_path / "d", "knn", calibration=others, check=False, out=tmp_path / "run")
    stored: Calibrated = load_result(tmp_path / "run" / "detector")
    rows = found.fitted.detector.held_out[-24:].flip(0)
    assert stored.names == tuple(f"{others.names[row]} ({row})" for row in rows.tolist())  # told apart
    assert torch.equal(stored.pictures.pixels, others.pixels[rows])
    assert stored.given == "90 images, and 30 for calibration"


def checked(kind: str, **areas: tuple[float, float, float]) -> SelfCheck:
    auroc = {kind: {name: Interval(*area) for name, area in areas.items()}}
    return SelfCheck(
        ok=True, inverted=(), auroc=auroc, reached=1.0, coverage=0.5, unlike=0.0, recommended=kind, findings=("Told.",)
    )


@pytest.mark.parametrize(
    ("areas", "code", "words"),
    [
        ({"constant": (0.9, 0.8, 0.95), "noise": (0.7, 0.6, 0.8)}, Fitness.TELLS, "lowest AUROC is 0.70"),
        ({"constant": (0.9, 0.8, 0.95), "noise": (0.52, 0.45, 0.6)}, Fitness.DOUBTFUL, "On noise inputs"),
        ({"constant": (0.2, 0.1, 0.3), "noise": (0.52, 0.45, 0.6)}, Fitness.INVERTED, "takes constant inputs for more"),
        (
            {"constant": (0.2, 0.1, 0.3), "noise": (0.3, 0.2, 0.4), "blurred": (0.1, 0.0, 0.2)},
            Fitness.INVERTED,
            "constant, noise and blurred inputs",
        ),
    ],
)
def test_the_headline_is_of_this_detector_and_not_of_the_paper_s(areas, code, words):
    one = Calibrated(
        described={"kind": "knn", "notes": []},
        place="d",
        given="90 images",
        calibration=torch.arange(45.0),
        lost=0,
        thresholds={},
        check=checked("knn", **areas),
        names=(),
        highest=(),
        pictures=images(1),
    )
    assert one.statement.code is code
    assert words in str(one.statement)


def test_a_self_check_can_be_stored(tmp_path):
    check = checked("knn", noise=(0.5, 0.4, 0.6))
    assert load_result(save_result(check, tmp_path / "check")) == check
