"""Shipped for your own tests: maps with known answers, and the contract every latent field must keep.

- :mod:`separatrix.testing.oracles`: latent maps whose limit sets, multipliers and basins are known in closed
  form.
- :class:`Questions`: how often a piece of work makes an accelerator wait, counted on a CPU.
- :func:`plain_float64`: where plain iteration in float64 ends, and :func:`basin_fidelity`: how many labels agree with it.
- :func:`assert_is_latent_field` and :func:`assert_model_untouched`, to be run on any adapter you write.
"""

from separatrix.testing import oracles
from separatrix.testing._contracts import assert_is_latent_field, assert_model_untouched
from separatrix.testing._questions import Questions
from separatrix.testing._reference import Fidelity, PlainEnds, basin_fidelity, plain_float64

__all__ = [
    "Fidelity",
    "PlainEnds",
    "Questions",
    "assert_is_latent_field",
    "assert_model_untouched",
    "basin_fidelity",
    "oracles",
    "plain_float64",
]
