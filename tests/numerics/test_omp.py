"""Orthogonal matching pursuit: exact answers, scikit-learn's supports, invariants, degenerate dictionaries, ends."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import orthogonal_mp_gram
from torch import Tensor

from separatrix.errors import InputError
from separatrix.numerics import _pursuit as pursuit
from separatrix.numerics import _pursuit_ahead as pursuit_ahead
from separatrix.numerics._omp import CodeStatus, SparseCodes, omp, omp_gram


def gaussian(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def unit(atoms: Tensor) -> Tensor:
    return atoms / atoms.norm(dim=1, keepdim=True)


@pytest.fixture(params=["in step", "ahead"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both engines: signals in step, and one at a time with rows computed ahead (which pays on large dictionaries only)."""
    if request.param == "ahead":
        for name, value in {"_WORTH_IT": 1, "_DIRECT": 2, "_LONGEST": 5, "_FEWEST": 3, "_MOST": 8}.items():
            monkeypatch.setattr(pursuit_ahead, name, value)
    return request.param


def one_by_one(signal: Tensor, atoms: Tensor, steps: int) -> tuple[list[int], Tensor]:
    """The definition: the atom most aligned with the residual, then least squares on all chosen."""
    chosen: list[int] = []
    residual, gamma = signal, signal.new_zeros(0)
    for _ in range(steps):
        alignment = (atoms @ residual).abs() / atoms.norm(dim=1)
        chosen.append(int(alignment.argmax()))
        gamma = torch.linalg.lstsq(atoms[chosen].T, signal[:, None]).solution[:, 0]
        residual = signal - gamma @ atoms[chosen]
    return chosen, gamma


@pytest.mark.usefixtures("way")
def test_orthonormal_atoms_give_the_largest_products_and_the_dropped_squares():
    atoms = torch.linalg.qr(gaussian(40, 40)).Q
    signals = gaussian(30, 40, seed=1)
    codes = omp(signals, atoms, [1, 7, 25, 40])
    products = signals @ atoms.T
    order = products.abs().argsort(dim=1, descending=True)
    assert torch.equal(codes.support, order)
    for level, k in enumerate(codes.sparsities):
        assert torch.allclose(codes.coefficients[level], products.gather(1, order[:, :k]), atol=1e-13, rtol=0)
        dropped = products.gather(1, order[:, k:]).square().sum(dim=1)
        assert torch.allclose(codes.residual[:, level].square(), dropped, atol=1e-12, rtol=0)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(("atoms_count", "dimension", "k"), [(60, 60, 30), (150, 40, 25), (30, 90, 29)])
def test_scikit_learn_finds_the_same(atoms_count, dimension, k):
    atoms = unit(gaussian(atoms_count, dimension))
    signals = gaussian(25, dimension, seed=1)
    gram, correlations = atoms @ atoms.T, signals @ atoms.T
    expected = orthogonal_mp_gram(gram.numpy(), correlations.numpy().T.copy(), n_nonzero_coefs=k).T
    for codes in (omp_gram(gram, correlations, k), omp(signals, atoms, k)):
        dense = codes.dense(-1, atoms_count)
        assert torch.equal(dense != 0, torch.from_numpy(expected != 0))
        assert torch.allclose(dense, torch.from_numpy(expected), atol=1e-9, rtol=1e-9)
        assert codes.status.tolist() == [CodeStatus.ATOMS] * 25


def test_the_engine_does_not_show_even_where_little_is_foreseen(monkeypatch):
    atoms = unit(gaussian(200, 6, seed=3) @ gaussian(6, 50, seed=4) + 0.1 * gaussian(200, 50, seed=5))
    signals = gaussian(12, 50, seed=6)
    in_step = omp(signals, atoms, [5, 40])
    products: list[int] = []
    original = pursuit_ahead.SinglePursuit._fill
    monkeypatch.setattr(
        pursuit_ahead.SinglePursuit, "_fill", lambda self, *args: (products.append(1), original(self, *args))
    )
    for name, value in {"_WORTH_IT": 1, "_DIRECT": 2, "_FEWEST": 2, "_MOST": 16}.items():
        monkeypatch.setattr(pursuit_ahead, name, value)
    ahead = omp(signals, atoms, [5, 40])
    assert 24 < len(products) < 12 * 38  # several per signal, and fewer than one per step
    assert torch.equal(in_step.support, ahead.support)
    for level in (0, 1):
        assert torch.allclose(in_step.coefficients[level], ahead.coefficients[level], atol=1e-8, rtol=1e-8)


def test_signals_are_coded_one_by_one_from_the_size_on_that_is_documented():
    """n·k = 2¹⁷, on a CPU."""
    assert not pursuit_ahead.worth_it(torch.eye(64), 2**11 - 1)
    assert pursuit_ahead.worth_it(torch.eye(64), 2**11)


def test_atoms_of_any_length_follow_the_definition():
    atoms = gaussian(50, 20) * torch.logspace(-6, 6, 50, dtype=torch.float64)[:, None]
    signals = gaussian(8, 20, seed=1)
    codes = omp(signals, atoms, 8)
    for row, signal in enumerate(signals):
        chosen, gamma = one_by_one(signal, atoms, 8)
        assert codes.support[row].tolist() == chosen
        assert torch.allclose(codes.coefficients[0][row] / gamma, torch.ones(8, dtype=torch.float64), atol=1e-9)
    gram_codes = omp_gram(atoms @ atoms.T, signals @ atoms.T, 8, squared_norms=signals.square().sum(dim=1))
    assert torch.equal(gram_codes.support, codes.support)
    assert torch.allclose(gram_codes.residual, codes.residual, atol=1e-6)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_below_the_coherence_bound_recovery_is_exact_and_ends_there(dtype):
    identity, hadamard = torch.eye(64, dtype=torch.float64), torch.ones(1, 1, dtype=torch.float64)
    for _ in range(6):
        hadamard = torch.cat([torch.cat([hadamard, hadamard], 1), torch.cat([hadamard, -hadamard], 1)])
    atoms = torch.cat([identity, hadamard / 8])  # coherence 1/8: the bound is 4.5 atoms
    generator = torch.Generator().manual_seed(0)
    truth = torch.zeros(200, 128, dtype=torch.float64)
    for row in truth:
        place = torch.randperm(128, generator=generator)[:4]
        row[place] = torch.randn(4, generator=generator, dtype=torch.float64).sign() * (
            0.5 + torch.rand(4, generator=generator, dtype=torch.float64)
        )
    codes = omp((truth @ atoms).to(dtype), atoms.to(dtype), 20)
    assert codes.count.tolist() == [4] * 200
    assert codes.status.tolist() == [CodeStatus.EXHAUSTED] * 200
    assert not CodeStatus.EXHAUSTED.complete
    of_unknown_length = omp_gram((atoms @ atoms.T).to(dtype), (truth @ atoms @ atoms.T).to(dtype), 20)
    assert of_unknown_length.count.tolist() == [4] * 200
    assert of_unknown_length.status.tolist() == [CodeStatus.EXHAUSTED] * 200
    error = 1e-13 if dtype == torch.float64 else 1e-5
    assert torch.allclose(codes.dense(0, 128).double(), truth, atol=error, rtol=0)
    assert float(codes.residual.max()) < error


@settings(max_examples=40, deadline=None)
@given(
    size=st.tuples(st.integers(1, 40), st.integers(1, 30), st.integers(1, 6)),
    seed=st.integers(0, 2**31),
    exponent=st.integers(-30, 30),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    repeated=st.booleans(),
)
def test_the_residual_falls_and_is_orthogonal_to_the_chosen_atoms(size, seed, exponent, dtype, repeated):
    count, dimension, signals_count = size
    atoms = gaussian(count, dimension, seed=seed, dtype=dtype)
    if repeated:  # every atom twice, with another length and sign
        atoms = torch.cat([atoms, -3.0 * atoms])
    signals = gaussian(signals_count, dimension, seed=seed + 1, dtype=dtype) * 10.0**exponent
    codes = omp(signals, atoms, list(range(1, min(count, dimension) + 1)))
    length = signals.double().norm(dim=1)
    slack = 2e-4 if dtype == torch.float32 else 1e-7  # the square root of rounding, for near-dependent supports
    assert bool((codes.residual[:, 0] <= length * (1 + slack)).all())
    assert bool((codes.residual.diff(dim=1) <= slack * length[:, None]).all())
    for level, k in enumerate(codes.sparsities):
        rest = (signals - codes.reconstruct(atoms, level)).double()
        for row in range(signals_count):
            chosen = codes.support[row, :k]
            chosen = chosen[chosen >= 0]
            assert len(set(chosen.tolist())) == len(chosen)
            products = unit(atoms[chosen].double()) @ rest[row]
            assert float(products.abs().max()) <= slack * float(length[row])


def test_a_schedule_is_the_pursuit_at_each_of_its_sparsities():
    atoms, signals = gaussian(80, 40), gaussian(10, 40, seed=1)
    codes = omp(signals, atoms, [30, 1, 12, 12])
    assert codes.sparsities == (1, 12, 30)
    for level, k in enumerate(codes.sparsities):
        alone = omp(signals, atoms, k)
        assert torch.equal(alone.support, codes.support[:, :k])
        assert torch.allclose(alone.coefficients[0], codes.coefficients[level], atol=1e-12)
        assert torch.allclose(alone.residual[:, 0], codes.residual[:, level], atol=1e-12)


@pytest.mark.usefixtures("way")
def test_a_tolerance_ends_each_signal_where_it_is_first_met():
    atoms = unit(gaussian(100, 50))
    signals = gaussian(40, 50, seed=1) * torch.logspace(-3, 3, 40, dtype=torch.float64)[:, None]
    full = omp(signals, atoms, list(range(1, 51)))
    share = full.residual / signals.norm(dim=1)[:, None]
    for tolerance in (0.5, 0.1, 0.01):
        codes = omp(signals, atoms, [3, 10, 50], tolerance=tolerance)
        first = (share <= tolerance).to(torch.uint8).argmax(dim=1) + 1
        assert codes.count.tolist() == first.tolist()
        assert codes.status.tolist() == [CodeStatus.TOLERANCE] * 40
        for row, count in enumerate(first.tolist()):
            assert codes.support[row, :count].tolist() == full.support[row, :count].tolist()
            assert codes.support[row, count:].tolist() == [-1] * (50 - count)
            for level, k in enumerate(codes.sparsities):
                assert float(codes.residual[row, level]) == pytest.approx(
                    float(full.residual[row, min(k, count) - 1]), rel=1e-6, abs=1e-12
                )
    by_gram = omp_gram(atoms @ atoms.T, signals @ atoms.T, tolerance=0.1, squared_norms=signals.square().sum(dim=1))
    assert by_gram.count.tolist() == omp(signals, atoms, tolerance=0.1).count.tolist()


def test_a_tolerance_below_rounding_is_not_claimed():
    signals = gaussian(5, 30, seed=1, dtype=torch.float32)
    codes = omp(signals, gaussian(60, 30, dtype=torch.float32), tolerance=1e-9)
    assert CodeStatus.TOLERANCE not in codes.status.tolist()
    assert float(codes.residual[:, -1].max()) < 1e-3


def test_duplicates_are_chosen_once_the_first_of_them():
    atoms = unit(gaussian(10, 30))
    tripled = torch.cat([atoms, atoms, -atoms])
    signals = gaussian(6, 30, seed=1)
    assert torch.equal(omp(signals, tripled, 9).support, omp(signals, atoms, 9).support)
    codes = omp(signals, tripled, 30)
    assert codes.count.tolist() == [10] * 6
    assert CodeStatus.ATOMS not in codes.status.tolist()
    assert torch.equal(codes.support[:, :10].sort(dim=1).values, torch.arange(10).expand(6, 10))


def test_zero_atoms_are_never_chosen():
    atoms = torch.cat([torch.zeros(3, 5, dtype=torch.float64), torch.eye(5, dtype=torch.float64)])
    codes = omp(gaussian(4, 5), atoms, 5)
    assert int(codes.support.min()) == 3
    assert codes.count.tolist() == [5] * 4
    nothing = omp(gaussian(4, 5), torch.zeros(2, 5, dtype=torch.float64), 1)
    assert nothing.status.tolist() == [CodeStatus.EXHAUSTED] * 4
    assert torch.allclose(nothing.residual[:, 0], gaussian(4, 5).norm(dim=1), atol=1e-14)


@pytest.mark.usefixtures("way")
def test_dependent_atoms_are_passed_over_and_the_rest_still_serves():
    """An atom 1e-8 off the plane of two others is still correlated with the rest, and useless: scikit-learn ends here."""
    axes = torch.eye(4, dtype=torch.float64)
    tilted = unit((0.8 * axes[0] + 0.6 * axes[1] + 1e-8 * axes[3])[None])[0]
    atoms = torch.stack([axes[0], tilted, axes[1], axes[2]])
    signal = torch.tensor([[1.0, 0.9, 1e-9, 10.0]], dtype=torch.float64)
    codes = omp(signal, atoms, 4)
    assert codes.support[0].tolist() == [1, 2, 3, -1]
    assert codes.status.tolist() == [CodeStatus.DEPENDENT]
    assert float(codes.residual[0, 0]) == pytest.approx(10.0 - 1.25e-8, rel=1e-13)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        theirs = orthogonal_mp_gram((atoms @ atoms.T).numpy(), (atoms @ signal[0]).numpy(), n_nonzero_coefs=4)
    assert caught
    assert np.count_nonzero(theirs) == 2


def test_bad_signals_are_marked_and_harm_nobody():
    atoms = unit(gaussian(20, 10))
    signals = gaussian(5, 10, seed=1)
    alone = omp(signals, atoms, 4)
    signals[1, 2], signals[3, 0] = torch.nan, torch.inf
    signals = torch.cat([signals, torch.zeros(1, 10, dtype=torch.float64)])
    codes = omp(signals, atoms, 4)
    assert codes.status.tolist() == [1, 5, 1, 5, 1, CodeStatus.EXHAUSTED]
    assert codes.count.tolist() == [4, 0, 4, 0, 4, 0]
    assert codes.residual.isnan().flatten().tolist() == [False, True, False, True, False, False]
    assert float(codes.residual[5]) == 0
    assert torch.equal(codes.support[[0, 2, 4]], alone.support[[0, 2, 4]])
    assert len(omp(signals[:0], atoms, 4)) == 0


def test_chunks_do_not_show_and_stay_within_the_memory_given():
    atoms, signals = unit(gaussian(64, 32)), gaussian(50, 32, seed=1)
    whole = omp(signals, atoms, [4, 16])
    per_signal = 64 * (16 + 6) * 8
    gram = atoms @ atoms.T
    assert pursuit.Workspace(gram, 16, 7 * per_signal, 50).width == 7
    parts = omp(signals, atoms, [4, 16], memory=7 * per_signal)
    assert torch.equal(whole.support, parts.support)
    assert torch.allclose(whole.coefficients[1], parts.coefficients[1], atol=1e-12)
    assert pursuit.Workspace(gram, 16, 1, 50).width == 1


def test_a_result_knows_its_shapes():
    codes = omp(gaussian(5, 6, dtype=torch.float32), gaussian(9, 6, seed=1, dtype=torch.float32), [2, 30])
    assert isinstance(codes, SparseCodes)
    assert codes.sparsities == (2, 6)
    assert [tuple(c.shape) for c in codes.coefficients] == [(5, 2), (5, 6)]
    assert codes.coefficients[0].dtype == torch.float32
    assert codes.residual.dtype == torch.float64


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: omp(torch.ones(2, 3), torch.eye(4), 2), "rows of one length"),
        (lambda: omp(torch.ones(2, 3), torch.eye(3), None), "needs an end"),
        (lambda: omp(torch.ones(2, 3), torch.eye(3), [0, 2]), "at least 1"),
        (lambda: omp(torch.ones(2, 3), torch.eye(3), []), "at least one"),
        (lambda: omp(torch.ones(2, 3), torch.eye(3), 2, tolerance=1.0), "below 1"),
        (lambda: omp(torch.ones(2, 3), torch.eye(3).half(), 2), "float32 or float64"),
        (lambda: omp(torch.ones(2, 3), torch.full((4, 3), torch.nan), 2), "NaN"),
        (lambda: omp(torch.ones(2, 3), torch.ones(0, 3), 2), "no atoms"),
        (lambda: omp_gram(torch.eye(3), torch.ones(3), 2), "one row per signal"),
        (lambda: omp_gram(torch.eye(3), torch.ones(1, 3), 2, tolerance=0.1), "squared_norms"),
    ],
)
def test_bad_input_is_named(call, sentence):
    with pytest.raises(InputError, match=sentence):
        call()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_accelerator_finds_what_the_processor_finds(dtype):
    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    atoms, signals = unit(gaussian(256, 128)), gaussian(40, 128, seed=1)
    expected = omp(signals, atoms, [8, 32])
    for device in devices:
        codes = omp(signals.to(device, dtype), atoms.to(device, dtype), [8, 32])
        assert codes.support.device.type == device
        assert torch.equal(codes.support.cpu(), expected.support)
        assert torch.allclose(codes.coefficients[1].cpu().double(), expected.coefficients[1], atol=1e-4, rtol=0)
