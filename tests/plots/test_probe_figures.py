"""Figures of a probe show its own numbers, every control, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import separatrix as sx
from separatrix.errors import InputError
from separatrix.plots import probe_atoms, probe_curves, probe_grid, probe_overview, probe_reconstructions
from separatrix.studies._probing import Role, data_free_dictionaries
from separatrix.studies._probing.summary import probe_summary


@pytest.fixture(scope="module")
def probed():
    """Pictures of 4×4 pixels whose latents are the pixels of one half; noise goes to ±0.957504 in each."""
    field = sx.LatentField(
        lambda x: torch.tanh(2 * (x.flatten(1)[:, :8] * 2 - 1)),
        lambda z: torch.cat((z, z.flip(1)), dim=1).reshape(-1, 1, 4, 4) / 2 + 0.5,
        latent_shape=8,
        dtype=torch.float64,
    )
    limits = sx.find_attractors(field, sx.starts.gaussian(24, seed=0))
    base = data_free_dictionaries(field, limits, untrained=False).also(
        "after three steps", field(field(field(sx.starts.gaussian(24, seed=0).block(field, 0, 24)))), "f three times"
    )
    images = torch.rand(40, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    return field, sx.probe(field, base, images, name="toy")


def line(figure, gid):
    (found,) = [artist for artist in figure.findobj() if artist.get_gid() == gid]
    return found


def test_curves_are_the_errors_of_every_dictionary(probed):
    _, found = probed
    figure = probe_curves(found)
    for known in found.dictionaries:
        x, y = line(figure, f"error:image:{known.name}").get_data()
        assert tuple(x) == found.sparsities
        assert np.allclose(y, found.mse(known.name, "image"), atol=1e-15)
        _, y = line(figure, f"error:latent:{known.name}").get_data()
        assert np.allclose(y, found.relative(known.name), rtol=1e-12)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [known.name for known in found.dictionaries]


def test_gains_are_paired_shares_of_the_controls_error(probed):
    _, found = probed
    figure = probe_curves(found)
    compared = found.against(Role.ORTHONORMAL, "latent")
    _, y = line(figure, f"gain:latent:{Role.ORTHONORMAL}").get_data()
    assert np.allclose(y, compared.gain / found.mse(Role.ORTHONORMAL, "latent"), rtol=1e-12)
    # Controls that need data are bounds, not rivals.
    drawn = {artist.get_gid() for artist in figure.findobj() if artist.get_gid()}
    assert f"gain:latent:{Role.REAL}" not in drawn
    assert "gain:latent:after three steps" in drawn


def test_sheets_have_a_picture_for_every_atom_and_image(probed):
    field, found = probed
    atoms = probe_atoms(found, field)
    pictures = sum(len(axes.images) for axes in atoms.axes)
    assert pictures == sum(min(12, known.geometry.distinct) for known in found.dictionaries)
    sheet = probe_reconstructions(found, field, count=3)
    shown = [known for known in found.dictionaries if known.role not in (Role.NOISE, Role.PCA, Role.OTHER)]
    # 5 % of 8 is no atom, so 1; 25 % are 2, 50 % are 4.
    assert sum(len(axes.images) for axes in sheet.axes) == 3 * (2 + 3 * len(shown))
    words = [text.get_text() for axes in sheet.axes for text in axes.texts]
    assert "2 atoms (25 % of 8)" in words


def test_what_is_no_picture_is_not_drawn():
    field = sx.LatentField.from_map(lambda z: torch.tanh(2 * z), 3, dtype=torch.float64)
    latents = torch.randn(8, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    found = sx.probe(field, torch.eye(3, dtype=torch.float64), latents=latents, untrained=False)
    for figure in (probe_atoms(found, field), probe_reconstructions(found, field)):
        (axes,) = figure.axes
        assert not axes.images
        assert "no images" in axes.texts[0].get_text()
    assert len(probe_curves(found).axes) == 4


def test_a_grid_has_a_column_per_probe_and_its_numbers(probed):
    _, found = probed
    summary = probe_summary(found)
    figure = probe_grid({"one": summary, "two": summary}, title="both")
    assert len(figure.axes) == 4
    assert figure.axes[1].get_title(loc="left") == "two"
    _, y = line(figure.axes[0], f"error:latent:{Role.ONCE}").get_data()
    assert np.allclose(y, found.mse(Role.ONCE, "latent") / float(found.power.mean()), rtol=1e-12)
    _, y = line(figure.axes[3], f"error:image:{Role.REAL}").get_data()
    assert np.allclose(y, found.mse(Role.REAL, "image"), rtol=1e-12)


def test_the_overview_has_a_mark_per_probe_control_and_space(probed):
    _, found = probed
    figure = probe_overview({"a": probe_summary(found)}, controls=(Role.ONCE, Role.ORTHONORMAL), title="gains")
    for space in ("latent", "image"):
        for control in (Role.ONCE, Role.ORTHONORMAL):
            compared = found.against(control, space)
            x, _ = line(figure, f"{space}:0:{control}:{compared.standing}").get_data()
            assert x[0] == pytest.approx(np.clip(compared.share, -1, 1), abs=1e-12)
    with pytest.raises(InputError, match="no probe to draw"):
        probe_overview({}, controls=(Role.ONCE,), title="none")
    with pytest.raises(InputError, match="no probe to draw"):
        probe_grid({}, title="none")
