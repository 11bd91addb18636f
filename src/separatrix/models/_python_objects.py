"""Models from Python: ``package.module:factory`` and ``path/to/file.py:factory``.

The factory is called without arguments and returns a LatentField, a pair (encode, decode), or a module with
the methods encode and decode. This runs the user's own code, as ``python -m`` would; files from strangers
never come here.
"""

from __future__ import annotations

import copy
import difflib
import hashlib
import importlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from separatrix.errors import InputError, first_line
from separatrix.field import LatentField
from separatrix.field._given import declared_shape, halves
from separatrix.models._base import ReferenceAutoencoder
from separatrix.models._outputs import Unwrapping, is_plain_module
from separatrix.models._registry import Family, LoadRequest
from separatrix.models._weights import fill, read_weights

_RETURNS = "a LatentField, a pair (encode, decode) or an nn.Module with the methods encode and decode"


def _load_python(request: LoadRequest) -> LatentField:
    if request.decoder is not None:
        raise InputError(
            f"{request.spec} returns encoder and decoder together, so decoder= does not apply; leave it out."
        )
    return _field(object_from(request.spec, self_map_of=request.latent_shape), request)


def object_from(spec: str, *, self_map_of: tuple[int, ...] | None = None) -> Any:
    """Return what the factory of a spec returns.

    Args:
        spec: ``package.module:factory`` or ``path/to/file.py:factory``.
        self_map_of: if given, a function of one argument is taken as a self-map of latents of this shape.

    Raises:
        InputError: it cannot be found, imported or called.
    """
    place, _, name = spec.rpartition(":")
    if not place or not name:
        raise InputError(f"{spec!r} lacks the factory; give package.module:factory or path/to/file.py:factory.")
    if not all(part.isidentifier() for part in name.split(".")):
        raise InputError(
            f"{name!r} in {spec!r} is no name of a factory; "
            f"no family of models has the scheme {place!r}, so give package.module:factory."
        )
    path = Path(place)
    is_file = path.suffix == ".py"
    with _importable(path.resolve().parent if is_file else Path.cwd()):
        found = _attribute(_module_from_file(path) if is_file else _module(place), name, spec)
        if self_map_of is not None and inspect.isfunction(found) and len(_required(found)) == 1:
            return LatentField.from_map(found, self_map_of, name=spec)
        return _called(found, spec)


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """The folder leads the import path while the module is imported and its factory runs, not longer."""
    entry = str(folder)
    sys.path.insert(0, entry)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        # The user's code may have changed the list; only our own entry goes.
        if entry in sys.path:
            sys.path.remove(entry)


def _module(name: str) -> ModuleType:
    if not all(part.isidentifier() for part in name.split(".")):
        raise InputError(
            f"{name!r} is no module name; give package.module:factory, or path/to/file.py:factory with the suffix .py."
        )
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            raise InputError(
                f"No module {error.name!r} is installed or lies in {Path.cwd()}; "
                "check the spelling, install it, or give path/to/file.py:factory."
            ) from error
        raise _import_failed(name, error) from error
    except (Exception, SystemExit) as error:
        raise _import_failed(name, error) from error


def _module_from_file(path: Path) -> ModuleType:
    if not os.path.isfile(path):
        raise InputError(f"{path} does not exist; check the path (the current directory is {Path.cwd()}).")
    # Its own name in sys.modules, where dataclasses and pickle look classes up, and no clash with another
    # model.py.
    name = f"{path.stem}_{hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:12]}"
    specification = importlib.util.spec_from_file_location(name, path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module
    try:
        specification.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, (Exception, SystemExit)):
            raise _import_failed(str(path), error) from error
        raise
    return module


def _import_failed(name: str, error: BaseException) -> InputError:
    return InputError(
        f"Importing {name} raised {type(error).__name__}: {first_line(error)}; "
        "make it importable in plain Python first."
    )


def _attribute(module: ModuleType, name: str, spec: str) -> Any:
    """The object called ``name`` in the module; dots lead into classes."""
    value: Any = module
    for part in name.split("."):
        if not hasattr(value, part):
            close = difflib.get_close_matches(part, _own(value), n=3, cutoff=0.5)
            hint = f"did you mean {' or '.join(close)}?" if close else "check the name after the colon."
            raise InputError(f"{spec.rpartition(':')[0]} has no {name!r}; {hint}")
        value = getattr(value, part)
    return value


def _own(owner: Any) -> list[str]:
    """Public names in a module or class that may be factories or models, without what it imported or inherited."""
    home = owner.__name__ if inspect.ismodule(owner) else getattr(owner, "__module__", "")
    package = home.partition(".")[0]
    names = []
    for name in dir(owner):
        value = inspect.getattr_static(owner, name, None)  # runs no code, such as a module's lazy imports
        # Of a ready-made model only the class is known to come from elsewhere.
        made = isinstance(value, (LatentField, nn.Module, tuple, partial))
        defined = (inspect.isclass(value) or inspect.isroutine(value)) and (
            str(getattr(value, "__module__", "")).partition(".")[0] == package
        )
        if not name.startswith("_") and (made or defined):
            names.append(name)
    return names


def _called(factory: Any, spec: str) -> Any:
    """Return what the factory returns; a ready-made model in its place is taken as it is."""
    if isinstance(factory, (LatentField, nn.Module, tuple)):
        return factory
    if not callable(factory):
        raise InputError(
            f"{spec} is no function but of type {type(factory).__name__}; name a function that returns {_RETURNS}."
        )
    if required := _required(factory):
        raise InputError(
            f"{spec} cannot be called without arguments (it needs {', '.join(required)}); write a function without "
            "arguments that makes the model, and name that; for a self-map Z→Z give latent_shape=(…)."
        )
    try:
        return factory()
    except (Exception, SystemExit) as error:
        raise InputError(
            f"The factory {spec} raised {type(error).__name__}: {first_line(error)}; "
            "call it in plain Python to see where."
        ) from error


def _required(factory: Callable[..., Any]) -> list[str]:
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (ValueError, TypeError):  # some built-in callables have no signature; the call itself will tell
        return []
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [p.name for p in parameters if p.default is p.empty and p.kind not in variadic]


def _field(model: Any, request: LoadRequest) -> LatentField:
    if isinstance(model, ReferenceAutoencoder):
        model = model.field(family=PYTHON.name)
    if isinstance(model, LatentField):
        field = model
        if request.latent_shape not in (None, field.latent_shape):
            raise InputError(
                f"{request.spec} has latents of shape {field.latent_shape}, not {request.latent_shape}; "
                "leave latent_shape out."
            )
    else:
        encode, decode = (
            function if is_plain_module(function) else Unwrapping(function, role)
            for function, role in zip(_pair(model, request.spec), ("encode", "decode"), strict=True)
        )
        field = LatentField(encode, decode, latent_shape=_latent_shape(model, request), name=request.spec)
    if request.weights is not None:
        _fill_modules(field, request)
    return _with_details(field)


def _with_details(field: LatentField) -> LatentField:
    """The field with its family and class, unless it says more itself, as one that ``sx.load`` made does."""
    if "family" in field.details:
        return field
    classes = dict.fromkeys(type(module).__name__ for module in field.modules)
    # A copy, since the factory may return the same field again and nobody expects it to have changed.
    described = copy.copy(field)
    described.details = {
        "family": PYTHON.name,
        "class": " + ".join(classes) or "plain functions",
        **field.details,
    }
    return described


def _pair(model: Any, spec: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    if isinstance(model, tuple) and len(model) == 2 and all(map(callable, model)):
        return model
    if isinstance(model, nn.Module):
        return halves(model, spec)
    raise InputError(f"{spec} returned a {type(model).__name__}; it must return {_RETURNS}.")


def _latent_shape(model: Any, request: LoadRequest) -> tuple[int, ...]:
    if request.latent_shape is not None:
        return request.latent_shape
    if (declared := declared_shape(model)) is not None:
        return declared
    raise InputError(
        f"{request.spec} does not say how its latents are shaped; give latent_shape=(…), "
        "or let the factory return a LatentField or a module with the attribute latent_shape or latent_dim."
    )


def _fill_modules(field: LatentField, request: LoadRequest) -> None:
    """Loads into the one module behind the field; if there are two, as ``encoder.…`` and ``decoder.…``."""
    assert request.weights is not None
    if len(field.modules) == 1:
        target = field.modules[0]
    elif len(field.modules) == 2:
        target = nn.ModuleDict(dict(zip(("encoder", "decoder"), field.modules, strict=True)))
    else:
        raise InputError(
            f"{request.spec} uses {len(field.modules)} modules, so {request.weights.name} cannot be assigned "
            "to them; let the factory return one nn.Module, or load the weights itself."
        )
    fill(target, read_weights(request.weights), source=request.weights, model=request.spec)
    field.forget()  # what the factory may have looked at is no longer true


PYTHON = Family(
    name="Python factory",
    form="package.module:factory or path/to/file.py:factory",
    load=_load_python,
    schemes=("",),
    suffixes=(".py",),
    verified="autoencoders in every usual form of output, in the tests",
)
