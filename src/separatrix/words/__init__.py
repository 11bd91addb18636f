"""Numbers and statements as people read them."""

from separatrix.words._numbers import counted, percent

__all__ = ["counted", "percent"]
