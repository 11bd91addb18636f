"""Geometry of a dictionary on frames whose coherence and spectrum are known in closed form."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from separatrix.errors import InputError
from separatrix.numerics._frame_geometry import distinct_atoms, frame_geometry


def gaussian(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_an_orthonormal_basis_is_incoherent_and_of_full_rank():
    found = frame_geometry(torch.linalg.qr(gaussian(24, 24)).Q)
    assert (found.atoms, found.dimension, found.distinct) == (24, 24, 24)
    assert found.coherence == pytest.approx(0.0, abs=1e-13)
    assert found.effective_rank == pytest.approx(24.0, abs=1e-9)
    assert found.redundancy == pytest.approx(1.0, abs=1e-10)


def test_the_mercedes_frame():
    """Three unit vectors at 120° in the plane: coherence 1/2, a tight frame, so rank 2 and redundancy 3/2."""
    angles = torch.arange(3, dtype=torch.float64) * 2 * math.pi / 3
    found = frame_geometry(5 * torch.stack((angles.cos(), angles.sin()), dim=1))
    assert found.coherence == pytest.approx(0.5, abs=1e-14)
    assert found.effective_rank == pytest.approx(2.0, abs=1e-12)
    assert found.redundancy == pytest.approx(1.5, abs=1e-12)


def test_two_atoms_at_an_angle_have_the_entropy_of_their_eigenvalues():
    """The Gram matrix of two unit vectors with cosine c has eigenvalues 1 ± c."""
    c = 0.8
    found = frame_geometry(torch.tensor([[1.0, 0.0], [c, math.sqrt(1 - c * c)]], dtype=torch.float64))
    shares = ((1 + c) / 2, (1 - c) / 2)
    assert found.effective_rank == pytest.approx(math.exp(-sum(p * math.log(p) for p in shares)), abs=1e-12)


def test_gaussian_atoms_have_effective_rank_n_over_root_e():
    """Marchenko–Pastur at ratio 1: the mean of λ ln λ is 1/2."""
    n = 400
    assert frame_geometry(gaussian(n, n)).effective_rank == pytest.approx(n * math.exp(-0.5), rel=0.01)


def test_copies_mirror_images_and_zeros_are_not_distinct_but_near_ones_are():
    atom = torch.tensor([1.0, 2.0, 2.0], dtype=torch.float64)
    near = torch.tensor([1.0, 2.0, 2.1], dtype=torch.float64)
    found = frame_geometry(torch.stack((atom, -3 * atom, atom.float().double() * 0.1, near, 0 * atom)))
    assert (found.atoms, found.distinct) == (5, 2)
    assert found.coherence == pytest.approx(float(atom @ near / atom.norm() / near.norm()), abs=1e-12)
    # Copies count for the spectrum as often as they occur no more than once: it is that of the distinct atoms.
    assert found.effective_rank == pytest.approx(frame_geometry(torch.stack((atom, near))).effective_rank, abs=1e-12)


def test_a_chain_of_small_steps_is_thinned_not_swallowed():
    """Each of 200 atoms is parallel to the next by the rule, and the first to few: what is kept covers the arc."""
    angle = torch.linspace(0, 0.1, 200, dtype=torch.float64)
    kept = distinct_atoms(torch.stack((angle.cos(), angle.sin()), dim=1))
    apart = math.acos(1 - 1e-6)
    gaps = angle[kept].diff()
    assert float(gaps.min()) > apart
    assert float(gaps.max()) < apart + 2 * 0.1 / 199
    assert 0.1 - float(angle[kept[-1]]) <= apart


@pytest.mark.parametrize("length", [1e-200, 1e200])
def test_lengths_whose_squares_are_no_numbers_change_nothing(length):
    atoms = gaussian(7, 4)
    assert frame_geometry(length * atoms).effective_rank == pytest.approx(
        frame_geometry(atoms).effective_rank, rel=1e-12
    )
    assert distinct_atoms(length * torch.cat([atoms, -atoms])).tolist() == list(range(7))


def test_nothing_but_zeros_spans_nothing():
    found = frame_geometry(torch.zeros(4, 3))
    assert (found.distinct, found.effective_rank, found.coherence) == (0, 0.0, 0.0)
    assert math.isnan(found.redundancy)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 1000))
def test_rank_lies_between_one_and_the_smaller_side_and_does_not_see_length_or_rotation(n: int, d: int, seed: int):
    atoms = gaussian(n, d, seed=seed)
    found = frame_geometry(atoms)
    assert 1 - 1e-9 <= found.effective_rank <= min(n, d) + 1e-9
    assert 0 <= found.coherence <= 1
    turned = (atoms * torch.linspace(0.1, 7, n, dtype=torch.float64)[:, None]) @ torch.linalg.qr(
        gaussian(d, d, seed=1)
    ).Q
    again = frame_geometry(turned)
    assert again.effective_rank == pytest.approx(found.effective_rank, rel=1e-8)
    assert again.coherence == pytest.approx(found.coherence, abs=1e-10)


def test_atoms_that_are_not_finite_are_refused():
    with pytest.raises(InputError, match="finite"):
        frame_geometry(torch.tensor([[1.0, math.nan]]))
    with pytest.raises(InputError, match="matrix"):
        frame_geometry(torch.zeros(3))
