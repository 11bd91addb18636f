"""Shipped for your own tests: maps with known answers, and the contract every latent field must keep.

- :mod:`separatrix.testing.oracles`: latent maps whose limit sets, multipliers and basins are known in closed
  form.
- :mod:`separatrix.testing._questions`: how often a piece of work makes an accelerator wait, counted on a CPU.
- :mod:`separatrix.testing._contracts`: :func:`assert_is_latent_field`, to be run on any adapter you write.
"""

from separatrix.testing._contracts import assert_is_latent_field, assert_model_untouched

__all__ = ["assert_is_latent_field", "assert_model_untouched"]
