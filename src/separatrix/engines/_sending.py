"""Objects as bytes for another process of this machine or this cluster, classes and functions of the user's own files included.

These bytes are a pickle. They go from one process of a computation to another of the same, and are never read from a file that somebody
else could have written.
"""

from __future__ import annotations

import pickle
import sys
import sysconfig
from importlib.machinery import PathFinder
from typing import Any

from separatrix.errors import InputError, first_line


def sent(value: Any) -> bytes:
    """Return the bytes that :func:`pickle.loads` makes the value of, in a process with the same import path.

    Raises:
        InputError: it cannot be sent.

    >>> pickle.loads(sent(lambda x: x + 1))(1)
    2
    """
    import cloudpickle  # with the first worker, not with the library

    strangers = [module for name, module in sorted(sys.modules.items()) if _is_a_stranger(name, module)]
    for module in strangers:
        cloudpickle.register_pickle_by_value(module)
    try:
        content: bytes = cloudpickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
    # What cannot be pickled says so by any exception.
    except Exception as error:
        raise InputError(
            f"The model cannot be sent to other processes ({first_line(error)}); build it of modules and functions that can be "
            "pickled, or compute in this process (no workers)."
        ) from error
    finally:
        for module in strangers:
            cloudpickle.unregister_pickle_by_value(module)
    return content


def _is_a_stranger(name: str, module: Any) -> bool:
    """Was this module made from a file that no other process would find by its name?"""
    file = getattr(module, "__file__", None)
    if not file or name == "__main__" or file.startswith(_INSTALLED):
        return False
    return PathFinder.find_spec(name.partition(".")[0]) is None


_INSTALLED = tuple({sysconfig.get_paths()[place] for place in ("stdlib", "platstdlib", "purelib", "platlib")})
