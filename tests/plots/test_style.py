"""One look, readable, and nothing left behind in matplotlib's global state."""

from __future__ import annotations

import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.colors import to_rgb

from separatrix.plots import spectrum
from separatrix.plots._style import HUES, ON_LIGHT, PAPER, colour, readable_on, small_letters_on


def _luminance(value: str) -> float:
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in to_rgb(value)]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


def test_the_first_27_attractors_have_27_colours():
    assert len({colour(rank) for rank in range(27)}) == 27


def _as_seen_without_one_cone(value: str, missing: str) -> np.ndarray:
    """Linear RGB as a dichromat sees it (Viénot, Brettel & Mollon 1999, protanopia and deuteranopia)."""
    matrices = {
        "red": [[0.10889, 0.89111, 0.0], [0.10889, 0.89111, 0.0], [0.00447, -0.00447, 1.0]],
        "green": [[0.29275, 0.70725, 0.0], [0.29275, 0.70725, 0.0], [-0.02234, 0.02234, 1.0]],
    }
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in to_rgb(value)]
    return np.clip(np.array(matrices[missing]) @ linear, 0, 1) ** (1 / 2.2)


@pytest.mark.parametrize("missing", ["red", "green"])
def test_the_hues_stay_apart_for_colour_blind_readers(missing):
    seen = [_as_seen_without_one_cone(hue, missing) for hue in HUES]
    gaps = [np.linalg.norm(seen[i] - seen[j]) for i in range(len(HUES)) for j in range(i)]
    assert min(gaps) > 0.1


def test_letters_can_be_read_on_every_hue():
    for rank in range(27):
        light, dark = sorted((_luminance(colour(rank)), _luminance(readable_on(colour(rank)))), reverse=True)
        assert (light + 0.05) / (dark + 0.05) > 3, rank
    assert readable_on("#000000") == PAPER
    assert readable_on("#ffffff") == ON_LIGHT


def test_small_letters_can_be_read_on_any_colour():
    for hue in ["#{:02x}{:02x}{:02x}".format(*parts) for parts in np.ndindex(256, 256, 1)][::7] + [
        colour(rank) for rank in range(300)
    ]:
        light, dark = sorted((_luminance(hue), _luminance(small_letters_on(hue))), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, hue


def test_figures_leave_pyplot_and_the_users_settings_alone(product_limits):
    before = dict(matplotlib.rcParams)
    with matplotlib.rc_context({"axes.facecolor": "black", "font.size": 3}):
        figure = spectrum(product_limits)
        assert matplotlib.rcParams["font.size"] == 3
    assert dict(matplotlib.rcParams) == before
    assert pyplot.get_fignums() == []
    assert figure.axes[0].get_facecolor() == (1, 1, 1, 1)
