"""This file tells which tensor of a file is which of a module: wrappers of training put words before the names, and tied weights come once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set

from torch import Tensor, nn

_WRAPPERS = ("module", "_orig_mod")  # of DataParallel and torch.compile, wherever in a model they stand


def assigned(module: nn.Module, tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], str | None]:
    """The tensors under the module's own names, and what was done to the names, in words; as they are if no rule makes them fit.

    A prefix that all names share (``module.``, ``_orig_mod.``, ``model.`` or any other) is left out, and so are the wrappers
    that DataParallel and torch.compile add inside. A name that is missing because its tensor is tied to another one gets that.

    >>> names, words = assigned(nn.Linear(2, 1), {"model.weight": nn.Linear(2, 1).weight, "model.bias": nn.Linear(2, 1).bias})
    >>> sorted(names), words
    (['bias', 'weight'], "the prefix 'model.'")
    """
    wanted = set(module.state_dict())
    tied = dict(_tied(module))
    for words, renamed in _readings(wanted, tensors):
        missing = wanted - renamed.keys()
        if not renamed.keys() - wanted and all(tied.get(name, set()) & renamed.keys() for name in missing):
            sources = {name: min(tied[name] & renamed.keys()) for name in missing}
            return {**renamed, **{name: renamed[source] for name, source in sources.items()}}, words
    return dict(tensors), None


def _readings(wanted: Set[str], tensors: Mapping[str, Tensor]) -> Iterator[tuple[str | None, dict[str, Tensor]]]:
    """Ways to read the names, the plainest first."""
    yield None, dict(tensors)
    for prefix in _common_prefixes(tensors):
        yield f"the prefix {prefix!r}", {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    # A module may be wrapped here, too: then the names in the file are the bare ones.
    own = {_bare(name): name for name in wanted}
    renamed = {own.get(_bare(name), name): tensor for name, tensor in tensors.items()}
    if len(own) == len(wanted) and len(renamed) == len(tensors):
        yield f"what {' and '.join(f'{wrapper}.' for wrapper in _WRAPPERS)} add", renamed


def _common_prefixes(names: Mapping[str, Tensor]) -> Iterator[str]:
    """Prefixes with a dot at their end that all names have, the shortest first."""
    if not names:
        return
    first, *others = (name.split(".")[:-1] for name in names)
    for length in range(1, len(first) + 1):
        if not all(other[:length] == first[:length] for other in others):
            return
        yield ".".join(first[:length]) + "."


def _bare(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in _WRAPPERS)


def _tied(module: nn.Module) -> Iterator[tuple[str, set[str]]]:
    """Each name whose tensor has other names as well, with these."""
    groups: dict[int, set[str]] = {}
    for name, tensor in (
        *module.named_parameters(remove_duplicate=False),
        *module.named_buffers(remove_duplicate=False),
    ):
        groups.setdefault(id(tensor), set()).add(name)
    for group in groups.values():
        for name in group:
            if len(group) > 1:
                yield name, group - {name}
