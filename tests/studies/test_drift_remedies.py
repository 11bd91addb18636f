"""What helps, who is best, within a budget or not, and flicker: against maps with known answers."""

from __future__ import annotations

import pytest
import torch
from drift_fields import diagonal, drifted, maps, pictures

from separatrix.errors import InputError
from separatrix.studies import (
    BudgetDecision,
    EditBudget,
    KeepLatent,
    LatentNoise,
    PasteBack,
    Ranked,
    Remedy,
    Rounding,
    Steadiness,
    drift_ranking,
    drift_remedies,
    flicker,
    safe_trips,
)

FADING = [0.9] * 4


def test_remedies_are_measured_on_different_pictures_too():
    x = pictures()[[0, 1, 0, 1, 1]]
    usual = drifted(diagonal(FADING), x, trips=2, edits=(Rounding(),))
    assert len(drift_remedies(diagonal(FADING), x, usual).usual) == 2


def test_keeping_the_latent_costs_what_one_trip_costs():
    x = pictures()
    usual = drifted(diagonal(FADING), x, trips=8, edits=(Rounding(),))
    found = drift_remedies(diagonal(FADING), x, usual)
    assert found.statement.code is Remedy.KEEP_LATENT
    assert found.statement.headline == "Keep the latent between edits: 8 trips then cost what 1 costs."
    row = dict(zip(found.table["way"], zip(*list(found.table.values())[1:], strict=True), strict=True))[
        "keep the latent"
    ]
    psnr, gain, low, high, counts, *_ = row
    assert counts == 1
    assert gain == pytest.approx(psnr - float(usual.psnr[:, -1].mean()))
    assert low <= gain <= high
    # Where pictures are pasted back nothing is lost outside, and inside as much as ever.
    inside = drifted(diagonal(FADING), x, trips=8, edits=(PasteBack(), Rounding()))
    error = inside.where[1][8:24, 8:24].mean()
    assert found.inside("paste back") == pytest.approx(float(-10 * error.log10()), abs=0.6)
    assert "the loss stays inside" in str(found.statement)


def test_a_model_that_loses_nothing_needs_no_remedy():
    x, still = pictures(), maps(lambda z: z)
    usual = drifted(still, x, trips=4, edits=(Rounding(),))
    found = drift_remedies(still, x, usual, ways={"keep": (KeepLatent(), Rounding())})
    assert found.statement.code is Remedy.NOT_NEEDED
    assert found.counts_as("keep") == 1
    with pytest.raises(InputError, match="pass the same images"):
        drift_remedies(still, x[:3], usual)


def test_where_nothing_helps_that_is_said():
    x, fading = pictures(), diagonal(FADING)
    found = drift_remedies(fading, x, drifted(fading, x, trips=6), ways={"add noise": (LatentNoise(0.5),)})
    assert found.statement.code is Remedy.NONE
    assert found.statement.headline == "Edit as seldom as you can"


def test_a_way_that_is_worse_than_all_trips_counts_as_more():
    x = pictures()
    usual = drifted(diagonal([0.99] * 4), x, trips=2, edits=())
    found = drift_remedies(diagonal([0.99] * 4), x, usual, ways={"3 bits": (Rounding(3),)})
    assert found.counts_as("3 bits") == 3


def test_the_order_after_one_trip_may_not_be_that_after_many():
    x = pictures()
    once = maps(lambda z: 0.5 + 0.8 * (z - 0.5).clamp(-0.05, 0.05) / 0.8 * 1.0, name="clips once")
    slow = diagonal([0.97] * 4, name="fades slowly")
    drifts = [drifted(field, x, trips=40) for field in (slow, once, diagonal([0.9] * 4, name="fades fast"))]
    found = drift_ranking(drifts)
    assert found.models[-1] == "fades fast"
    assert found.statement.code is Ranked.FIRST
    assert (found.models[0] == "clips once") == (
        float(drifts[1].psnr[:, -1].mean()) > float(drifts[0].psnr[:, -1].mean())
    )
    assert float(found.behind[0].abs().max()) == 0
    paired = (drifts[0].psnr[:, -1] - drifts[2].psnr[:, -1]).mean()
    fast = found.models.index("fades fast")
    first = next(one for one in drifts if one.model == found.models[0])
    assert float(found.behind[fast, -1, 0]) == pytest.approx(float((first.psnr[:, -1] - drifts[2].psnr[:, -1]).mean()))
    assert float(paired) > 0
    assert -1 <= found.agreement <= 1
    assert found.to_dict()["rows"][0]["model"] == found.models[0]


def test_what_was_not_measured_alike_is_not_ranked():
    x = pictures()
    one = drifted(diagonal(FADING), x)
    for other in (drifted(diagonal(FADING, "b"), x[:3]), drifted(diagonal(FADING, "b"), x, trips=3)):
        with pytest.raises(InputError, match="not measured on the same pictures"):
            drift_ranking([one, other])
    with pytest.raises(InputError, match="give each model once"):
        drift_ranking([one, one])
    assert len(drift_ranking([one])) == 1
    with pytest.raises(InputError, match="at one bar"):
        drift_ranking([one, drifted(diagonal(FADING, "b"), x, bar=20.0)])
    unlike = drifted(diagonal(FADING, "b"), pictures(seed=5))  # as many, and called alike by their numbers
    with pytest.raises(InputError, match="not measured on the same pictures"):
        drift_ranking([one, unlike])
    with pytest.raises(InputError, match="pass the same images"):
        drift_remedies(diagonal(FADING), pictures(seed=5), drifted(diagonal(FADING), x))


def test_one_picture_does_not_make_two_models_level():
    x = pictures(1)
    found = drift_ranking([drifted(diagonal([gain] * 4, name), x) for gain, name in ((0.99, "a"), (0.5, "b"))])
    assert found.statement.headline == "a is ahead on one picture"
    assert found.statement.code is Ranked.LEVEL
    assert "one picture cannot tell" in found.statement.detail


@pytest.mark.parametrize(
    ("alive", "count", "decision"),
    [
        (100, 100, BudgetDecision.WITHIN),
        (80, 100, BudgetDecision.EXCEEDED),
        (95, 100, BudgetDecision.CANNOT_SAY),
        (10, 10, BudgetDecision.CANNOT_SAY),
    ],
)
def test_a_budget_is_kept_broken_or_neither(alive, count, decision):
    psnr = torch.cat([torch.full((alive, 3), 35.0), torch.full((count - alive, 3), 25.0)])
    found = EditBudget.parsed("30dB:3").judge(safe_trips(psnr, 30.0))
    assert found.code is decision
    assert f"{alive} of {count} pictures" in str(found)
    assert ("fewer than 72" in str(found)) == (count == 10)


@pytest.mark.parametrize("text", ["30dB", "3:", "dB:3", "30dB:0", "30:-1", "0:3", "200:3", "30dB:3.5"])
def test_what_is_no_budget_is_one_sentence(text):
    with pytest.raises(InputError, match="budget"):
        EditBudget.parsed(text)
    assert EditBudget.parsed("28.5 dB:12") == EditBudget(bar=28.5, trips=12)
    with pytest.raises(InputError, match="measure it anew"):
        EditBudget.parsed("30:9").judge(safe_trips(torch.zeros(3, 3), 30.0))


def test_a_loss_that_stands_still_does_not_flicker_and_noise_does():
    frames = pictures(12)
    pattern = 0.1 * torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    still = flicker(maps(lambda z: z + pattern), frames, edits=())
    assert float(still.share[0]) < 1e-9
    assert still.statement.code is Steadiness.STEADY
    assert still.change.tolist() == pytest.approx([1.0])
    contrast = flicker(maps(lambda z: 0.5 + 0.8 * (z - 0.5)), frames, trips=2, edits=())
    loss = 0.8 * (frames - 0.5) + 0.5 - frames
    assert float(contrast.flicker[0]) == pytest.approx(float(loss.var(dim=0, correction=0).mean()))
    assert float(contrast.squared_error[0]) == pytest.approx(float(loss.square().mean()))
    assert contrast.change.tolist() == pytest.approx([0.64, 0.4096])
    assert contrast.statement.code is Steadiness.FLICKERS
    with pytest.raises(InputError, match="at least two frames"):
        flicker(maps(lambda z: z), frames[:1])


def test_flicker_does_not_depend_on_batches(monkeypatch):
    frames = pictures(7)
    whole = flicker(diagonal(FADING), frames, trips=2)
    monkeypatch.setattr("separatrix.studies._drift.trips._VALUES_AT_ONCE", 3 * frames[0].numel())
    parts = flicker(diagonal(FADING), frames, trips=2)
    for name in ("squared_error", "flicker", "change"):
        assert torch.allclose(getattr(whole, name), getattr(parts, name), rtol=1e-9)


def test_frames_that_break_are_told():
    x = pictures()
    breaks = maps(lambda z: torch.where(z.amax(dim=(1, 2, 3), keepdim=True) > 0.749, torch.nan, z))
    found = flicker(breaks, x, edits=(Rounding(),))
    assert found.broken == int((x.amax(dim=(1, 2, 3)) > 0.749).sum()) > 0
    assert "came back with NaN or infinity" in found.statement.detail
    assert flicker(maps(lambda z: z), x).broken == 0
