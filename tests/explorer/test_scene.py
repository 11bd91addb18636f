"""What a living page holds, from a search to the text of the file."""

from __future__ import annotations

import pytest
import torch

import separatrix as sx
from separatrix.explorer import Scene, explorer_page, scene_of
from separatrix.explorer import _scene as scenes
from separatrix.report import ModelResults


def results_of(field: sx.LatentField, starts: torch.Tensor) -> ModelResults:
    limits = sx.find_attractors(field, starts)
    return ModelResults(title="A <b>name</b>", subtitle="", latent_field=field, searches={"noise": limits})


@pytest.fixture(scope="module")
def wells() -> ModelResults:
    """Four attractors at (±0.957504, ±0.957504), with basins by sign."""
    field = sx.LatentField.from_map(lambda z: torch.tanh(2 * z), latent_shape=(2,))
    return results_of(field, torch.randn(64, 2, generator=torch.Generator().manual_seed(0)))


@pytest.fixture(scope="module")
def scene(wells) -> Scene:
    return scene_of(wells, field_side=9, basin_side=8)


def test_the_map_of_basins_has_the_numbers_of_the_table(scene, wells):
    about = scene.about
    left, right, bottom, top = about["plane"]["extent"]
    x, y = torch.linspace(left, right, 8), torch.linspace(bottom, top, 8)
    cells = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1).reshape(-1, 2)
    ends = scene.arrays["set_z"][scene.arrays["basin"].long()]
    assert torch.equal(ends.sign(), cells.sign())
    assert sum(row["share"] for row in about["sets"]) == pytest.approx(1.0)
    assert {row["name"] for row in about["sets"][:4]} == {"A", "B", "C", "D"}


def test_the_arrows_are_the_field_s(scene, wells):
    left, right, bottom, top = scene.about["plane"]["extent"]
    middle = torch.tensor([[(left + right) / 2, (bottom + top) / 2]], dtype=torch.float64)
    v = wells.latent_field.velocity(middle.float())[0]
    assert torch.allclose(scene.arrays["velocity"][9 * 4 + 4], v, atol=1e-5)


def test_a_scene_is_stored_and_read_bit_for_bit(scene, tmp_path):
    sx.save_result(scene, tmp_path / "scene")
    again = sx.load_result(tmp_path / "scene")
    assert explorer_page(again) == explorer_page(scene)


def test_a_name_cannot_end_an_element(scene):
    text = explorer_page(scene)
    assert "A &lt;b&gt;name" in text
    assert "<b>name" not in text
    assert text.count("</script") == text.count("<script") == 4


def test_a_model_that_is_not_the_same_in_the_page_is_left_out(wells, monkeypatch):
    real = scenes.exported_halves

    def changed(field):
        decode, _ = real(field)
        return decode, real(sx.LatentField.from_map(lambda z: torch.tanh(2.001 * z), latent_shape=(2,)))[1]

    monkeypatch.setattr(scenes, "exported_halves", changed)
    about = scene_of(wells, field_side=5, basin_side=5).about
    assert about["graph"] is None
    assert "would differ from the real one by" in about["why_no_model"]


def test_a_field_that_cannot_be_exported_has_a_page_all_the_same():
    field = sx.LatentField.from_map(lambda z: torch.from_numpy(z.detach().numpy() * 0.5), latent_shape=(2,))
    made = scene_of(results_of(field, torch.randn(16, 2)), field_side=5, basin_side=5)
    assert made.about["graph"] is None
    assert len(made.arrays["node_xy"]) >= 36
    assert "was computed beforehand" in explorer_page(made)


def test_a_slice_is_called_a_slice():
    field = sx.LatentField.from_map(lambda z: torch.tanh(2 * z), latent_shape=(3,))
    made = scene_of(
        results_of(field, torch.randn(64, 3, generator=torch.Generator().manual_seed(0))), field_side=7, basin_side=6
    )
    assert "principal plane" in made.about["plane"]["description"]
    assert made.arrays["off_plane"].shape == (49,)
    assert "a slice of 3 dimensions" in explorer_page(made)


def test_a_line_has_no_plane():
    field = sx.LatentField.from_map(lambda z: torch.tanh(2 * z), latent_shape=(1,))
    with pytest.raises(sx.errors.InputError, match="one dimension has no plane"):
        scene_of(results_of(field, torch.linspace(-1, 1, 8)[:, None]))


def test_a_model_in_which_nothing_settles_draws_pictures_all_the_same():
    torch.manual_seed(0)
    model = sx.models.ConvAutoencoder((1, 8, 8), 3, base_channels=4).eval()
    field = model.field()
    with pytest.warns(sx.errors.ConvergenceWarning):
        limits = sx.find_attractors(field, torch.randn(4, 3), sx.Protocol(max_steps=1, polish=False))
    assert len(limits) == 0
    results = ModelResults(title="", subtitle="", latent_field=field, searches={"noise": limits})
    about = scene_of(results, field_side=3, basin_side=2).about
    assert about["image"] == [1, 8, 8]
    assert about["range"] == [0.0, 1.0]
