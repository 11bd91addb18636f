"""One face for all detectors: exact scores, calibration, decisions that hold, files."""

from __future__ import annotations

import json

import pytest
import torch
from blobs import images

import separatrix as sx
from separatrix import ood
from separatrix.errors import CalibrationWarning, FileError, InputError
from separatrix.numerics._metrics import auroc
from separatrix.ood._decisions import decided
from separatrix.ood._record import follow
from separatrix.testing.oracles import mean_distance_to_origin

DETECTORS = {
    "trajectory": lambda field: ood.TrajectoryDetector(field, self_check=False),
    "typicality": ood.TypicalityDetector,
    "knn": ood.KNNDetector,
    "mahalanobis": ood.MahalanobisDetector,
    "reconstruction": ood.ReconstructionDetector,
    "residual": ood.ResidualDetector,
}


@pytest.fixture(params=DETECTORS)
def detector(request, wells):
    return DETECTORS[request.param](wells)


def scaling(rho: float = 0.5) -> sx.LatentField:
    return sx.LatentField.from_map(lambda z: rho * z, latent_shape=(3,), dtype=torch.float64)


def gaussian(count: int, seed: int = 0, dim: int = 3) -> torch.Tensor:
    return torch.randn(count, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class TestTrajectoryScore:
    @pytest.mark.parametrize("rho", [0.3, 0.9])
    def test_the_paper_score_of_a_scaling_is_its_closed_form(self, rho):
        detector = ood.TrajectoryDetector(scaling(rho), steps=12).fit_features(gaussian(60))
        z = gaussian(30, seed=1)
        exact = mean_distance_to_origin(z.norm(dim=1), rho, torch.tensor(12))
        # The attractor is found by Newton's method, at 0 up to rounding.
        assert ((detector.score_features(z) - exact).abs() <= 1e-12).all()

    def test_every_statistic(self):
        z = gaussian(20, seed=1)
        norm = z.norm(dim=1)
        exact = {
            "end": norm * 0.5**12,
            "max": norm,
            "path": norm * (1 - 0.5**13),
            "speed": norm * (1 - 0.5**13) / 13,
        }
        for statistic, expected in exact.items():
            detector = ood.TrajectoryDetector(scaling(), steps=12, statistic=statistic).fit_features(gaussian(60))
            assert ((detector.score_features(z) - expected).abs() <= 1e-12).all(), statistic

    def test_steps_until_the_papers_rule_holds(self):
        detector = ood.TrajectoryDetector(scaling(), steps=100, tolerance=1e-6, statistic="steps")
        detector.fit_features(gaussian(60))
        assert detector.score_features(torch.tensor([[1.0, 0, 0], [1024.0, 0, 0]])).tolist() == [9.0, 19.0]

    def test_cosine_ignores_the_norm(self):
        shifted = sx.LatentField.from_map(
            lambda z: 0.5 * (z + torch.tensor([1.0, 0, 0])), latent_shape=(3,), dtype=torch.float64
        )
        detector = ood.TrajectoryDetector(shifted, steps=1, statistic="max", metric="cosine").fit_features(gaussian(60))
        z = torch.tensor([[0.0, 2.0, 0], [0.0, 8.0, 0], [3.0, 0, 0]], dtype=torch.float64)
        # max over z_0 and z_1; z_0 is at a right angle to the attractor (1, 0, 0) in the first two cases.
        assert detector.score_features(z).tolist() == pytest.approx([1.0, 1.0, 0.0], abs=1e-12)

    def test_known_attractors_are_not_searched_for_again(self):
        field = scaling()
        limits = sx.find_attractors(field, gaussian(10))
        detector = ood.TrajectoryDetector(field, attractors=limits).fit_features(gaussian(60))
        assert detector.limits is limits

    def test_no_attractor_is_an_error_with_a_remedy(self):
        drift = sx.LatentField.from_map(lambda z: z + 1, latent_shape=(3,), dtype=torch.float64)
        with pytest.raises(InputError, match="TypicalityDetector"):
            ood.TrajectoryDetector(drift).fit_features(gaussian(60))

    def test_bad_options(self):
        for options in ({"statistic": "median"}, {"metric": "l1"}, {"steps": 0}, {"statistic": "steps"}):
            with pytest.raises(InputError):
                ood.TrajectoryDetector(scaling(), **options)


class TestTypicality:
    def test_both_sides_are_unusual(self):
        """A ring of radius 1: the paper's score calls the centre the most typical of all."""
        angle = 6.283 * torch.rand(600, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        radius = 1 + 0.05 * gaussian(600, dim=1)[:, 0]
        ring = radius[:, None] * torch.stack([angle.cos(), angle.sin(), torch.zeros_like(angle)], dim=1)
        ends = torch.tensor([[1e-3, 0, 0], [3.0, 0, 0]], dtype=torch.float64)
        paper = ood.TrajectoryDetector(scaling(), steps=5).fit_features(ring)
        assert paper.score_features(ends[:1])[0] < paper.calibration.min()
        both = ood.TypicalityDetector(scaling(), steps=5, baselines=False).fit_features(ring)
        assert (both.score_features(ends) > both.calibration.max()).all()

    def test_a_field_without_attractors_is_judged_by_its_steps(self):
        drift = sx.LatentField.from_map(lambda z: z + 1 + 0.1 * z.sin(), latent_shape=(3,), dtype=torch.float64)
        detector = ood.TypicalityDetector(drift, protocol=sx.Protocol(max_steps=50)).fit_features(gaussian(120))
        assert "0 training attractors" in detector.notes[0]
        assert (detector.score_features(20 + gaussian(5)) > detector.calibration.max()).all()

    def test_a_few_outliers_in_the_training_data_do_not_hide_others(self):
        z = gaussian(900)
        dirty = torch.cat([z, 60 + gaussian(40, seed=3)])[
            torch.randperm(940, generator=torch.Generator().manual_seed(0))
        ]
        far = 30 + gaussian(30, seed=4)
        detector = ood.TypicalityDetector(scaling(), baselines=False).fit_features(dirty, gaussian(300, seed=8))
        assert (detector.score_features(far) > detector.calibration.quantile(0.95)).all()


class TestBaselines:
    def test_knn_is_exact(self):
        bank = gaussian(80)
        z = gaussian(9, seed=5)
        detector = ood.KNNDetector(scaling(), k=3).fit_features(bank, gaussian(5))
        table = (z[:, None] - bank).norm(dim=2).sort(dim=1).values
        assert ((detector.score_features(z) - table[:, 2]).abs() <= 1e-14).all()
        mean = ood.KNNDetector(scaling(), k=80, reduce="mean").fit_features(bank, gaussian(5))
        assert ((mean.score_features(z) - table.mean(dim=1)).abs() <= 1e-13).all()
        assert ood.KNNDetector(scaling(), k=1).fit_features(bank, gaussian(5)).score_features(bank).abs().max() == 0

    def test_knn_on_directions_ignores_the_norm(self):
        detector = ood.KNNDetector(scaling(), normalize=True).fit_features(gaussian(80))
        z = gaussian(9, seed=5)
        assert torch.allclose(detector.score_features(z), detector.score_features(7 * z), atol=1e-14)

    def test_mahalanobis_undoes_a_stretch(self):
        stretch = torch.tensor([100.0, 1.0, 0.01], dtype=torch.float64)
        detector = ood.MahalanobisDetector(scaling()).fit_features(gaussian(20000) * stretch, gaussian(5))
        scores = detector.score_features(torch.diag(3 * stretch))
        # Shrinkage towards a sphere acts on the narrowest direction the most; the widest is nearly untouched.
        assert scores[0].item() == pytest.approx(3, rel=0.03)
        assert scores[1].item() == pytest.approx(3, rel=0.2)

    def test_reconstruction_and_residual(self, wells):
        x = images(60)
        reconstruction = ood.ReconstructionDetector(wells).fit(x)
        expected = (x - wells.reconstruct(x)).flatten(1).norm(dim=1)
        assert torch.allclose(reconstruction.score(x), expected, atol=1e-14)
        with pytest.raises(InputError, match="reconstructions"):
            reconstruction.score_features(wells.encode(x))
        residual = ood.ResidualDetector(scaling(0.25)).fit_features(gaussian(60))
        assert torch.allclose(residual.score_features(gaussian(9)), 0.75 * gaussian(9).norm(dim=1), atol=1e-14)


class TestFace:
    def test_a_score_depends_on_its_own_input_only(self, detector):
        detector.fit(images(200))
        x = images(40, seed=1)
        together = detector.score(x)
        assert together.dtype == torch.float64
        alone = torch.cat([detector.score(x[i : i + 1]) for i in range(0, 40, 7)])
        assert torch.allclose(together[::7], alone, rtol=1e-7, atol=1e-9)  # logarithms magnify rounding
        far_out = x.clone()
        far_out[3] *= 1e12
        others = torch.arange(40) != 3
        assert torch.allclose(detector.score(far_out)[others], together[others], rtol=1e-7, atol=1e-9)

    def test_inputs_off_the_decoders_image_score_higher_where_pixels_are_compared(self, detector):
        if detector.kind not in ("reconstruction", "typicality"):  # E sees two coordinates of the sixteen
            return
        detector.fit(images(300))
        noisy = images(50, seed=2) + torch.rand(50, 1, 4, 4, generator=torch.Generator().manual_seed(0)).double()
        assert auroc(detector.score(images(50, seed=1)), detector.score(noisy)) > 0.9

    def test_p_values_are_ranks_among_the_held_out_scores(self, detector):
        detector.fit(images(99), images(19, seed=1))
        scores = torch.tensor([-torch.inf, torch.inf, torch.nan], dtype=torch.float64)
        assert len(detector.calibration) == 19
        assert detector.p_values_of(scores)[:2].tolist() == [1.0, 0.05]
        assert detector.p_values_of(scores)[2].isnan()

    def test_an_input_that_is_nan_is_unscorable(self, detector):
        detector.fit(images(120), images(60, seed=1))
        x = images(3, seed=2)
        x[1, 0, 0, 0] = torch.nan
        decisions = detector.decide(x, fpr=0.1)
        assert decisions.unscorable.tolist() == [False, True, False]
        assert not decisions.is_ood[1]

    def test_files(self, detector, tmp_path, wells):
        detector.fit(images(200))
        x = images(20, seed=1)
        detector.save(tmp_path / "d")
        again = ood.Detector.load(tmp_path / "d", wells)
        assert type(again) is type(detector)
        assert torch.equal(again.score(x), detector.score(x))
        assert torch.equal(again.p_values(x), detector.p_values(x))
        assert again.notes == detector.notes
        assert again.input_shape == (1, 4, 4)

    def test_not_fitted(self, detector):
        with pytest.raises(InputError, match="not fitted"):
            detector.score(images(2))

    def test_a_latent_of_another_shape(self, detector):
        if detector.needs_data:
            return
        with pytest.raises(InputError, match="do not fit"):
            detector.fit_features(torch.zeros(9, 3))


def test_the_stored_values_of_decisions_never_change():
    assert {one.words: int(one) for one in ood.Decision} == {"typical": 0, "ood": 1, "unscorable": 2}


class TestDecisionsHold:
    @pytest.mark.parametrize("rate", [0.01, 0.05, 0.1])
    def test_false_alarms_are_within_the_binomial_interval_over_20_splits(self, rate):
        """Each split: its own calibration and 400 fresh ID inputs; the count is within its exact law."""
        from scipy.stats import betabinom

        field = scaling()
        alarms = []
        for split in range(20):
            detector = ood.MahalanobisDetector(field)
            detector.fit_features(gaussian(300, seed=100 + split), gaussian(399, seed=200 + split))
            fresh = detector.score_features(gaussian(400, seed=300 + split))
            alarms.append(int(detector.decide_scores(fresh, fpr=rate).is_ood.sum()))
        rank = int(rate * 400 + 1e-9)
        law = betabinom(400, rank, 400 - rank)
        assert all(law.ppf(0.00005) <= count <= law.ppf(0.99995) for count in alarms)
        mean = sum(alarms) / (20 * 400)
        sigma = law.std() / 400 / 20**0.5
        assert abs(mean - rate) <= 3.3 * sigma

    def test_a_calibration_that_is_too_small_warns_and_calls_nothing(self):
        detector = ood.MahalanobisDetector(scaling()).fit_features(gaussian(50), gaussian(98, seed=9))
        with pytest.warns(CalibrationWarning, match="at least 99"):
            decisions = detector.decide_scores(torch.tensor([torch.inf]), fpr=0.01)
        assert not decisions.is_ood.any()
        assert decisions.notes

    def test_the_warning_points_at_the_line_that_asked(self):
        detector = ood.MahalanobisDetector(scaling()).fit_features(gaussian(50), gaussian(98, seed=9))
        detector.encoded = lambda _field, data: data  # a map has no encoder
        scores = gaussian(5, dim=1)[:, 0]
        ways = (
            lambda: detector.decide(gaussian(5), fpr=0.01),
            lambda: detector.decide_scores(scores, fpr=0.01),
            lambda: decided(scores, detector.p_values_of(scores), 0.01, 98),
        )
        for ask in ways:
            with pytest.warns(CalibrationWarning) as caught:
                ask()
            assert [(warning.filename, warning.lineno) for warning in caught] == [
                (__file__, ask.__code__.co_firstlineno)
            ]

    def test_scores_are_one_number_per_input(self):
        detector = ood.MahalanobisDetector(scaling()).fit_features(gaussian(50), gaussian(199, seed=9))
        known = gaussian(5, dim=1)[:, 0].double()
        for scores in (known, known.tolist(), known.numpy()):
            assert torch.equal(detector.decide_scores(scores).p_values, detector.p_values_of(known))
        for wrong in ("a", None, 5.0, {1.0}, ["1", "b"], known[:, None], known.to(torch.complex64)):
            with pytest.raises(InputError, match="Scores must be one number per input"):
                detector.decide_scores(wrong)

    def test_one_more_calibration_score_is_enough(self):
        detector = ood.MahalanobisDetector(scaling()).fit_features(gaussian(50), gaussian(99, seed=9))
        assert detector.decide_scores(torch.tensor([torch.inf]), fpr=0.01).is_ood.all()

    def test_a_budget_is_a_rate(self):
        detector = ood.MahalanobisDetector(scaling()).fit_features(gaussian(50), gaussian(999, seed=9))
        budget = ood.AlarmBudget(10, 1000, "hour")
        assert torch.equal(
            detector.decide_scores(gaussian(50, dim=1)[:, 0] + 3, fpr=budget).decision,
            detector.decide_scores(gaussian(50, dim=1)[:, 0] + 3, fpr=0.01).decision,
        )


class TestFiles:
    @pytest.fixture
    def saved(self, tmp_path, wells):
        return ood.MahalanobisDetector(wells).fit(images(60)).save(tmp_path / "d")

    def test_files_have_the_mode_of_any_new_file(self, saved, tmp_path):
        (tmp_path / "plain").touch()
        modes = {path.stat().st_mode for path in saved.iterdir()}
        assert modes == {(tmp_path / "plain").stat().st_mode}

    def test_another_model_is_refused(self, saved):
        other = sx.LatentField.from_map(torch.tanh, latent_shape=(2,))
        with pytest.raises(FileError, match="another model"):
            ood.Detector.load(saved, other)

    def test_another_kind_is_refused(self, saved, wells):
        with pytest.raises(FileError, match="not a KNNDetector"):
            ood.KNNDetector.load(saved, wells)

    def test_damage_is_found(self, saved, wells):
        path = saved / "detector.safetensors"
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
        with pytest.raises(FileError, match="checksum"):
            ood.Detector.load(saved, wells)

    @pytest.mark.parametrize("edit", [{"format": 2}, {"kind": "magic"}, {"options": {"colour": 1}}, {"field": {}}])
    def test_an_edited_record_is_one_sentence(self, saved, wells, edit):
        path = saved / "detector.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **edit}))
        with pytest.raises(FileError):
            ood.Detector.load(saved, wells)

    def test_nothing_there(self, tmp_path, wells):
        with pytest.raises(FileError, match="no detector"):
            ood.Detector.load(tmp_path, wells)


def test_memory_of_a_record_does_not_grow_with_the_steps():
    """One row of numbers per orbit: nothing in the result of 400 steps is larger than in that of 4."""
    short, long = (follow(scaling(0.99), gaussian(30), torch.zeros(1, 3), steps=n) for n in (4, 400))
    sizes = [sum(v.numel() for v in vars(run).values() if isinstance(v, torch.Tensor)) for run in (short, long)]
    assert sizes[0] == sizes[1] == 30 * 6
