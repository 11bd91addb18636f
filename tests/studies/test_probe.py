"""Probes of fields whose answer is known: each finding is reached by the field that deserves it, and by no other."""

from __future__ import annotations

import math
import re
import warnings
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from probing_fields import (
    LearntNothing,
    gaussian,
    linear,
    memory,
    patterns,
    sparse_combinations,
)

import separatrix as sx
from separatrix.errors import ConvergenceWarning, InputError
from separatrix.numerics._bootstrap import bootstrap_means, interval_of
from separatrix.studies._probing import Conclusion, Role, data_free_dictionaries, pooled
from separatrix.studies._probing.compare import Standing, weights_over_log
from separatrix.studies._probing.headline import by_sparsity, percent_words


def orbits_of(field: sx.LatentField, starts: sx.starts.Starts, steps: int) -> sx.Orbits:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return sx.iterate(field, starts, sx.Protocol(max_steps=steps, capture=False))


@pytest.fixture(scope="module")
def remembered():
    """Eight atoms in 16 dimensions, noise that ends on them, and latents made of two of them."""
    atoms = patterns(8, 16)
    field = memory(atoms)
    limits = sx.find_attractors(field, sx.starts.gaussian(64, seed=0))
    return atoms, field, limits, sparse_combinations(atoms, 60, used=2)


def test_attractors_that_are_the_true_atoms_win_and_the_headline_says_so(remembered):
    atoms, field, limits, latents = remembered
    found = sx.probe(field, limits, latents=latents, sparsities=[1, 2, 4], untrained=False)
    iterated = found.dictionaries[0]
    cosines = (iterated.atoms / iterated.atoms.norm(dim=1, keepdim=True)) @ atoms.T
    assert iterated.geometry.distinct == 8
    assert (
        float((cosines.abs().amax(dim=0) - 1).abs().max()) < 0.02
    )  # sharpness 12: a pattern with a little of the rest
    assert found.conclusions == {"latent": Conclusion.ITERATING, "image": Conclusion.ITERATING}
    assert found.statement.code is Conclusion.ITERATING
    assert str(found.statement).startswith("Iterating adds something over one application of f")
    for control in (Role.NOISE, Role.ONCE, Role.ORTHONORMAL):
        assert found.against(control, "latent").standing is Standing.BETTER
    assert float(found.relative(Role.ITERATED)[1]) < 0.02 < 0.3 < float(found.relative(Role.ORTHONORMAL)[1])
    # The missing control is named in the headline and among the absent ones.
    assert "Without the untrained copy" in str(found.statement)
    assert found.absent == ("No untrained copy: it was not asked for.",)


def test_a_linear_contraction_collapses_to_one_direction_and_loses():
    """f(z) = Az: after t steps coordinate i has shrunk by λᵢᵗ, so what is left is the leading eigenvector."""
    rates = torch.tensor([0.95] + [0.5] * 7, dtype=torch.float64)
    field = linear(torch.diag(rates))
    starts = sx.starts.gaussian(32, seed=1)
    orbits = orbits_of(field, starts, 40)
    found = sx.probe(field, orbits, latents=gaussian(50, 8), starts=starts, sparsities=[1, 2, 4])
    iterated, noise = found.dictionaries[0].geometry, found.dictionaries[1].geometry
    assert iterated.effective_rank == pytest.approx(1.0, abs=1e-6)
    assert noise.effective_rank > 6
    assert found.conclusions == {"latent": Conclusion.NO_EFFECT, "image": Conclusion.NO_EFFECT}
    assert found.against(Role.ONCE, "latent").standing is Standing.WORSE
    # One direction codes its own coordinate of a white latent and nothing else: 1 − 1/8 is left.
    assert float(found.relative(Role.ITERATED)[0]) == pytest.approx(7 / 8, abs=0.06)
    assert str(found.statement).startswith("No effect")
    assert any("effective rank" in reason.lower() for reason in found.reasons)


def test_a_pca_autoencoder_has_nothing_to_gain_from_a_second_step():
    """f = P is a projection: f(f(z)) = f(z), so iterated noise *is* one step, and lies where the latents do."""
    basis = torch.linalg.qr(gaussian(12, 3)).Q.T
    field = linear(basis.T @ basis)
    starts = sx.starts.gaussian(12, seed=2)
    orbits = orbits_of(field, starts, 20)
    latents = gaussian(60, 3, seed=5) @ basis
    found = sx.probe(field, orbits, latents=latents, starts=starts, sparsities=[1, 2, 3])
    once = found.against(Role.ONCE, "latent")
    assert (once.area, once.share, once.standing) == (0.0, 0.0, Standing.LEVEL)
    assert float(once.gain.abs().max()) == 0.0
    assert found.conclusions["latent"] is Conclusion.ONE_STEP
    assert str(found.statement).startswith("Iterating adds nothing over one application of f.")
    # Three atoms of the plane span it; three atoms of a random basis do not.
    assert float(found.relative(Role.ITERATED)[2]) < 1e-20
    assert float(found.relative(Role.ORTHONORMAL)[2]) > 0.3
    # PCA finds the plane: no set of three atoms leaves less.
    assert float(found.relative(Role.PCA)[2]) < 1e-20
    assert len(next(d for d in found.dictionaries if d.role is Role.PCA)) == 3


def test_what_an_untrained_copy_does_as_well_was_not_learnt():
    model = LearntNothing(3)
    field = sx.LatentField(model.encode, model.decode, latent_shape=3)
    limits = sx.find_attractors(field, sx.starts.gaussian(40, seed=0))
    corners = gaussian(50, 3, seed=3).sign()
    found = sx.probe(field, limits, latents=corners, sparsities=[1, 2])
    assert found.against(Role.ONCE, "latent").standing is Standing.BETTER
    assert found.against(Role.UNTRAINED, "latent").share == 0.0
    assert found.conclusions["latent"] is Conclusion.ARCHITECTURE
    assert "an untrained copy of the network does as well" in str(found.statement)
    # There are only eight corners, and all of them are coded: nothing is left for the controls from data.
    assert [sentence[:6] for sentence in found.absent] == ["No PCA"]


def test_a_map_that_does_nothing_has_no_effect():
    starts = sx.starts.gaussian(10, seed=0)
    field = linear(torch.eye(10, dtype=torch.float64))
    found = sx.probe(field, orbits_of(field, starts, 5), latents=gaussian(40, 10), starts=starts)
    assert found.against(Role.NOISE, "latent").share == 0.0
    assert set(found.conclusions.values()) == {Conclusion.NO_EFFECT}


def test_orthonormal_atoms_leave_the_dropped_squares_also_after_an_isometric_decoder():
    """The k largest products are chosen; with D an isometry the image error is the latent error, d/p times."""
    wide = torch.linalg.qr(gaussian(10, 6)).Q  # 6 latents to 10 pixels, lengths kept
    field = sx.LatentField(lambda x: x @ wide, lambda z: z @ wide.T, latent_shape=6, dtype=torch.float64)
    atoms = torch.linalg.qr(gaussian(6, 6, seed=1)).Q
    latents = gaussian(40, 6, seed=2)
    found = sx.probe(field, atoms, latents=latents, sparsities=[1, 3, 6], untrained=False)
    coded = latents[:20]
    squares = (coded @ atoms.T).square().sort(dim=1, descending=True).values
    for level, k in enumerate(found.sparsities):
        left = squares[:, k:].sum(dim=1) / 6
        assert torch.allclose(found.errors[Role.ITERATED].latent[:, level], left, atol=1e-14)
        assert torch.allclose(found.errors[Role.ITERATED].image[:, level], left * 6 / 10, atol=1e-14)
    assert torch.allclose(found.power, coded.square().mean(dim=1), atol=1e-15)
    assert torch.allclose(found.empty, found.power * 6 / 10, atol=1e-14)
    assert float(found.floor.max()) == 0.0


def test_the_area_is_the_trapezoid_over_ln_k_and_its_share_is_of_the_control():
    atoms, latents = torch.eye(8, dtype=torch.float64), gaussian(40, 8, seed=4)
    field = linear(0.5 * torch.eye(8, dtype=torch.float64))
    found = sx.probe(field, atoms, latents=latents, sparsities=[1, 2, 8], untrained=False)
    a, b = found.mse(Role.ITERATED, "latent"), found.mse(Role.NOISE, "latent")
    weight = [1 / 6, 3 / 6, 2 / 6]  # of ln 1, ln 2, ln 8: widths 1 and 2 out of 3
    area = sum(w * float(y - x) for w, x, y in zip(weight, a, b, strict=True))
    compared = found.against(Role.NOISE, "latent")
    assert compared.area == pytest.approx(area, abs=1e-14)
    assert compared.share == pytest.approx(area / sum(w * float(y) for w, y in zip(weight, b, strict=True)), abs=1e-12)
    assert compared.area_low < compared.area < compared.area_high
    assert torch.allclose(compared.gain, b - a, atol=1e-14)


def test_against_a_control_that_leaves_nothing_no_percentage_is_made_up(remembered):
    atoms, field, limits, latents = remembered
    base = data_free_dictionaries(field, limits, untrained=False).also("the truth", atoms, "the atoms themselves")
    compared = sx.probe(field, base, latents=latents, sparsities=[2]).against("the truth", "latent")
    assert (compared.standing, compared.share) == (Standing.WORSE, -math.inf)
    assert percent_words(compared, "the truth") == "some error where the truth leaves none"


def test_percentages_are_signed_in_words(remembered):
    _, field, limits, latents = remembered
    one = sx.probe(field, limits, latents=latents, sparsities=[2], untrained=False).against(Role.ONCE, "latent")
    better = replace(one, share=0.123, share_low=0.09, share_high=0.151, standing=Standing.BETTER)
    assert percent_words(better, "b") == "12 % less error than b (95 %: 9.0 to 15 %)"
    worse = replace(one, share=-0.05, share_low=-0.07, share_high=-0.03, standing=Standing.WORSE)
    assert percent_words(worse, "b") == "5.0 % more error than b (95 %: 3.0 to 7.0 %)"
    level = replace(one, share=0.004, share_low=-0.02, share_high=0.03, standing=Standing.LEVEL)
    assert percent_words(level, "b") == "as much error as b (95 %: −3.0 to +2.0 %)"


def test_psnr_is_that_of_the_peak():
    field = linear(torch.eye(2, dtype=torch.float64))
    latents = torch.tensor([[3.0, 1.0], [2.0, 0.5], [-1.0, 0.5], [0.3, 0.4]], dtype=torch.float64)
    found = sx.probe(field, torch.eye(2, dtype=torch.float64), latents=latents, sparsities=[1], untrained=False)
    # Two are coded, [3, 1] and [2, 0.5]; the smaller coordinate is left; the peak is 3 − 0.5.
    left = torch.tensor([1.0, 0.25], dtype=torch.float64) / 2
    expected = float((10 * (2.5**2 / left).log10()).mean())
    assert float(found.psnr(Role.ITERATED, "latent")[0]) == pytest.approx(expected, abs=1e-10)
    assert found.peak_latent == 2.5


@settings(max_examples=15, deadline=None)
@given(st.integers(2, 9), st.integers(1, 14), st.integers(0, 99))
def test_more_atoms_never_leave_more_of_a_latent(dimension: int, count: int, seed: int):
    field = linear(0.5 * torch.eye(dimension, dtype=torch.float64))
    found = sx.probe(
        field, gaussian(count, dimension, seed=seed), latents=gaussian(6, dimension, seed=seed + 1), untrained=False
    )
    for errors in found.errors.values():
        assert float(errors.latent.diff(dim=1).max() if errors.latent.shape[1] > 1 else 0.0) <= 1e-12
        assert bool((errors.latent <= found.power[:, None] + 1e-12).all())
        assert bool((errors.ended_early >= 0).all())
        assert bool((errors.ended_early <= 1).all())


def test_too_few_atoms_are_a_number_and_the_error_stands_still():
    field = linear(torch.eye(6, dtype=torch.float64))
    found = sx.probe(
        field, torch.eye(6, dtype=torch.float64)[:2], latents=gaussian(10, 6), sparsities=[1, 2, 4], untrained=False
    )
    errors = found.errors[Role.ITERATED]
    assert errors.ended_early.tolist() == [0.0, 0.0, 1.0]
    assert torch.equal(errors.latent[:, 1], errors.latent[:, 2])
    assert any("No more than 2 different atoms" in reason for reason in found.reasons)


def test_atoms_that_differ_by_rounding_are_one_atom():
    """400 copies of one direction, each with the noise of a float32 network, code no more than that direction."""
    direction = gaussian(1, 30, seed=1)
    copies = (direction * (1 + 1e-7 * gaussian(400, 30, seed=2))).float().double()
    field = linear(torch.eye(30, dtype=torch.float64))
    found = sx.probe(field, copies, latents=gaussian(20, 30), sparsities=[1, 4, 16], untrained=False)
    unit = direction / direction.norm()
    coded = gaussian(20, 30)[:10]
    left = (coded - (coded @ unit.T) * unit).square().mean(dim=1)
    for level in range(3):
        assert torch.allclose(found.errors[Role.ITERATED].latent[:, level], left, rtol=1e-5)
    assert found.dictionaries[0].geometry.distinct == 1


def test_an_image_that_is_coded_is_never_an_atom(remembered):
    _, field, limits, latents = remembered
    reference = torch.cat((latents[:10], gaussian(5, 16, seed=9), gaussian(5, 16, seed=9)))
    found = sx.probe(field, limits, latents=latents, reference=reference, sparsities=[1], untrained=False)
    real = next(d for d in found.dictionaries if d.role is Role.REAL)
    assert (len(real), found.provenance["left_out"], found.provenance["coded"]) == (5, 15, 60)
    assert float(torch.cdist(real.atoms, latents).min()) > 0.1
    only_copies = sx.probe(field, limits, latents=latents, reference=latents, sparsities=[1], untrained=False)
    assert {d.role for d in only_copies.dictionaries}.isdisjoint({Role.REAL, Role.PCA})
    assert any("no images besides those" in sentence for sentence in only_copies.absent)


def test_images_are_encoded_compared_with_themselves_and_half_of_them_set_aside():
    scale = 2.0
    field = sx.LatentField(lambda x: x.flatten(1) / scale, lambda z: (scale * z).reshape(-1, 1, 2, 2), latent_shape=4)
    images = torch.rand(9, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    found = sx.probe(field, torch.eye(4), images, sparsities=[1, 4], untrained=False, name="toy")
    assert (found.name, found.provenance["coded"], found.provenance["reference"]) == ("toy", 5, 4)
    assert float(found.errors[Role.ITERATED].image[:, 1].max()) < 1e-12
    dropped = images[:5].flatten(1).double().square().sort(dim=1).values[:, :3].sum(dim=1) / 4
    assert torch.allclose(found.errors[Role.ITERATED].image[:, 0], dropped, atol=1e-6)
    assert found.peak_image == 1.0


def test_dictionaries_come_from_the_starts_of_the_search(remembered):
    _, field, limits, _ = remembered
    base = data_free_dictionaries(field, limits, untrained=False)
    starts = sx.starts.gaussian(64, seed=0).block(field, 0, 64)
    by_role = {d.role: d.atoms for d in base.dictionaries}
    assert torch.equal(by_role[Role.NOISE], starts)
    assert torch.allclose(by_role[Role.ONCE], field(starts), atol=1e-15)
    gram = by_role[Role.ORTHONORMAL] @ by_role[Role.ORTHONORMAL].T
    assert torch.allclose(gram, torch.eye(16, dtype=torch.float64), atol=1e-12)
    assert base.cost.map == 64
    reached = limits.labels >= 0
    assert torch.equal(by_role[Role.ITERATED][reached], limits.points[limits.labels[reached]])
    assert re.fullmatch(r"the \d+ attractors that 64 starts reached", base.dictionaries[0].words)


def test_starts_that_reached_nothing_give_their_end_points_and_this_is_said():
    wells = sx.LatentField.from_map(lambda z: torch.where(z > 0, torch.tanh(2 * z), z - 1), 1, dtype=torch.float64)
    starts = sx.starts.gaussian(20, seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        limits = sx.find_attractors(wells, starts, sx.Protocol(max_steps=60))
    dictionary = data_free_dictionaries(wells, limits, untrained=False).dictionaries[0]
    lost = int((limits.labels < 0).sum())
    assert 0 < lost < 20
    assert dictionary.words == (
        f"the 1 attractor that {20 - lost} starts reached and the end points of {lost} orbits that reached none "
        f"({lost} diverged)"
    )
    assert torch.equal(dictionary.atoms[limits.labels < 0], limits.orbits.points[limits.labels < 0])


def test_the_sign_at_each_sparsity_is_said_in_runs(remembered):
    _, field, limits, latents = remembered
    found = sx.probe(field, limits, latents=latents, sparsities=[1, 2, 4], untrained=False)
    assert by_sparsity(found.against(Role.ORTHONORMAL, "latent"), found.sparsities) == "better at every sparsity"
    gain = torch.tensor([1.0, 0.0, -1.0], dtype=torch.float64)
    mixed = replace(found.against(Role.ONCE, "latent"), gain=gain, low=gain - 0.5, high=gain + 0.5)
    assert by_sparsity(mixed, found.sparsities) == "better at 1, level at 2, worse at 4 atoms"


def test_one_set_of_dictionaries_serves_many_data_sets_and_takes_more(remembered):
    _, field, limits, latents = remembered
    base = data_free_dictionaries(field, limits, untrained=False).also(
        "three steps", gaussian(64, 16, seed=8), "noise again"
    )
    one = sx.probe(field, base, latents=latents, sparsities=[2])
    assert "three steps" in one.errors
    assert one.against("three steps", "latent").standing is Standing.BETTER
    direct = sx.probe(field, limits, latents=latents, sparsities=[2], untrained=False)
    assert torch.equal(one.errors[Role.ONCE].latent, direct.errors[Role.ONCE].latent)
    with pytest.raises(InputError, match="called 'three steps' already"):
        base.also("three steps", gaussian(4, 16), "again")


def test_draws_are_pooled_image_by_image():
    field = linear(torch.diag(torch.tensor([0.9, 0.5, 0.2], dtype=torch.float64)))
    latents = gaussian(30, 3, seed=6)
    draws = [
        sx.probe(
            field, gaussian(3, 3, seed=seed), latents=latents, untrained=False, starts=sx.starts.gaussian(3, seed=seed)
        )
        for seed in range(4)
    ]
    found = pooled(draws)
    expected = torch.stack([draw.errors[Role.ITERATED].latent for draw in draws]).mean(dim=0)
    assert torch.allclose(found.errors[Role.ITERATED].latent, expected, atol=1e-15)
    gain = torch.stack([draw.against(Role.ONCE, "image").gain for draw in draws]).mean(dim=0)
    assert torch.allclose(found.against(Role.ONCE, "image").gain, gain, atol=1e-14)
    assert found.provenance["draws"] == 4
    # An interval over images alone, which takes these four draws for all there are, is narrower.
    errors = (found.errors[Role.NOISE].latent - found.errors[Role.ITERATED].latent) @ weights_over_log(found.sparsities)
    low, high = interval_of(bootstrap_means(errors[:, None], seed=0))
    compared = found.against(Role.NOISE, "latent")
    assert compared.area_high - compared.area_low > 1.5 * float(high - low)
    assert compared.area == pytest.approx(float(errors.mean()), abs=1e-14)
    assert found.cost.map == sum(draw.cost.map for draw in draws)
    with pytest.raises(InputError, match="not of the same data"):
        pooled([draws[0], sx.probe(field, gaussian(3, 3), latents=gaussian(30, 3), untrained=False)])
    with pytest.raises(InputError, match="nothing to pool"):
        pooled([])


def test_a_finding_from_one_draw_says_so_and_one_from_several_how_many(remembered):
    _, field, _, latents = remembered
    draws = []
    for seed in range(3):
        limits = sx.find_attractors(field, sx.starts.gaussian(64, seed=seed))
        draws.append(sx.probe(field, limits, latents=latents, sparsities=[1, 2], untrained=False))
    assert "one draw of the noise: another may say otherwise" in str(draws[0].statement)
    together = str(pooled(draws).statement)
    assert "another may say otherwise" not in together
    assert together.endswith("Intervals are over images and 3 draws of the noise.")


def test_a_dictionary_of_data_that_is_too_small_is_no_upper_bound(remembered):
    _, field, limits, latents = remembered
    few = sx.probe(field, limits, latents=latents, reference=gaussian(3, 16, seed=9), sparsities=[4], untrained=False)
    (said,) = [reason for reason in few.reasons if "upper bound" in reason]
    assert "PCA of real latents (3) and real latents (3)" in said
    assert "the 64 that another dictionary has" in said
    assert said.endswith("give more reference images.")
    enough = sx.probe(
        field, limits, latents=latents, reference=gaussian(80, 16, seed=9), sparsities=[4], untrained=False
    )
    assert not [reason for reason in enough.reasons if "upper bound" in reason]
    starts = sx.starts.gaussian(2, seed=0)
    two = sx.probe(
        field,
        sx.find_attractors(field, starts),
        latents=latents,
        reference=gaussian(80, 16, seed=9),
        sparsities=[4],
        untrained=False,
    )
    assert next(reason for reason in two.reasons if "upper bound" in reason).endswith("give more starts.")


def test_the_same_seed_gives_the_same_numbers(remembered):
    _, field, limits, latents = remembered
    a, b = (sx.probe(field, limits, latents=latents, sparsities=[1, 2], untrained=False, seed=3) for _ in range(2))
    assert a.statement == b.statement
    assert all(
        torch.equal(x.low, y.low) and x.share == y.share for x, y in zip(a.comparisons, b.comparisons, strict=True)
    )


def test_bad_input_is_refused_with_the_remedy(remembered):
    _, field, limits, latents = remembered
    with pytest.raises(InputError, match="one of the two"):
        sx.probe(field, limits)
    with pytest.raises(InputError, match="one of the two"):
        sx.probe(field, limits, latents, latents=latents)
    with pytest.raises(InputError, match="from 1 to the latent dimension 16"):
        sx.probe(field, limits, latents=latents, sparsities=[17])
    with pytest.raises(InputError, match="leave latents= out"):
        sx.probe(field, limits, latents=torch.zeros(5, 3))
    with pytest.raises(InputError, match="at least 2 images"):
        sx.probe(field, limits, latents=latents[:1])
    with pytest.raises(InputError, match="these limit sets began from 'points'"):
        sx.probe(field, sx.find_attractors(field, latents[:8]), latents=latents)
    with pytest.raises(InputError, match="pass starts="):
        sx.probe(field, limits.orbits, latents=latents)
    with pytest.raises(InputError, match="64 atoms; give the starts"):
        sx.probe(field, limits.orbits, latents=latents, starts=sx.starts.gaussian(5))
    with pytest.raises(InputError, match="has 16; use those of this field"):
        sx.probe(field, torch.zeros(3, 4), latents=latents)
    with pytest.raises(InputError, match="is finite"):
        sx.probe(field, torch.full((3, 16), torch.nan), latents=latents)
    with pytest.raises(InputError, match="no control 'x'"):
        sx.probe(field, limits, latents=latents, sparsities=[1], untrained=False).against("x", "latent")
