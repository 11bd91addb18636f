"""The figure of a detector holds every calibration score once, its thresholds, and one dot per detector and simple input."""

from __future__ import annotations

import torch

from separatrix.numerics import Interval
from separatrix.plots import detector_check

AUROC = {
    "knn": {"constant": Interval(0.9, 0.8, 0.95), "noise": Interval(0.3, 0.2, 0.4)},
    "typicality": {"constant": Interval(0.7, 0.6, 0.8), "noise": Interval(1.0, 1.0, 1.0)},
}


def drawn(figure, gid):
    return [artist for artist in figure.findobj() if artist.get_gid() == gid]


def test_every_score_and_every_area():
    scores = torch.cat([torch.linspace(0, 1, 500, dtype=torch.float64), torch.tensor([1e9, torch.inf])])
    figure = detector_check(scores, {0.1: 0.9, 0.01: 2e9, 0.001: float("inf")}, AUROC, kind="knn")
    ((counts, edges, _),) = (artist.get_data() for artist in drawn(figure, "calibration"))
    assert counts.sum() == len(scores)
    assert edges[-1] < 2
    assert set(drawn(figure, "threshold:0.1")[0].get_xdata()) == {0.9}
    assert set(drawn(figure, "threshold:0.01")[0].get_xdata()) == {float(edges[-1])}
    assert not drawn(figure, "threshold:0.001")
    for kind, row in AUROC.items():
        assert drawn(figure, f"auroc:{kind}")[0].get_xdata().tolist() == [area.value for area in row.values()]
    assert [text.get_text() for text in figure.axes[1].get_legend().get_texts()] == ["the others", "knn"]


def test_without_a_check_there_are_the_scores_alone():
    figure = detector_check(torch.ones(5), {}, {}, kind="residual")
    assert len(figure.axes) == 1
    assert drawn(figure, "calibration")[0].get_data()[0].sum() == 5
