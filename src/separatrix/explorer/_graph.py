"""A model as a short list of operations, which a page can run without Python: what `torch.export` sees, in 16 kinds of step.

Nothing is translated by hand for a family of models. Each half of a field is traced on one row, parts that depend on no input are computed
now, and what is left is written down in operations on flat arrays of float32. `separatrix.explorer._evaluate` runs such a list in Python, so
that a page is compared with the model before it is written.
"""

from __future__ import annotations

import operator
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from separatrix.errors import first_line
from separatrix.explorer._lowering import Graph, Lowering, NotExportable, Value
from separatrix.explorer._operations import OPERATIONS, REARRANGEMENTS
from separatrix.field import LatentField


def exported_halves(latent_field: LatentField) -> tuple[Graph, Graph]:
    """Decoder and encoder of a field, as lists of operations.

    Raises:
        NotExportable: `torch.export` cannot follow the model, or it uses an operation that pages do not know.

    Cost: one map evaluation, and a second or two for tracing.
    """
    z = torch.zeros(1, *latent_field.latent_shape, dtype=latent_field.dtype, device=latent_field.device)
    with latent_field.guest():
        x = latent_field.decode(z)
        encode, decode = (half.function for half in latent_field.halves)
        modules = latent_field.modules
        return _exported(decode, modules, z, "d"), _exported(encode, modules, x, "e")


class _Half(nn.Module):
    """A function as a module, with the modules whose weights it uses."""

    def __init__(self, function: Callable[[Tensor], Tensor], modules: Sequence[nn.Module]) -> None:
        super().__init__()
        self.parts, self.function = nn.ModuleList(modules), function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def _exported(
    function: Callable[[Tensor], Tensor], modules: Sequence[nn.Module], example: Tensor, prefix: str
) -> Graph:
    half = _Half(function, modules)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch's own making
            program = torch.export.export(half, (example,), strict=False).run_decompositions()
    except Exception as error:  # tracing a stranger's code can fail in any way; each of them means the same here
        raise NotExportable(
            f"The model cannot be put into a page ({first_line(error)}); the page shows what was computed beforehand."
        ) from error
    lowering = Lowering(prefix, tuple(example.shape))
    given = {**program.state_dict, **program.constants}
    by_name = {spec.arg.name: spec.target for spec in program.graph_signature.input_specs if spec.target is not None}
    known: dict[Any, Any] = {}
    for node in program.graph.nodes:
        if node.op == "placeholder":
            known[node] = given[by_name[node.name]].detach().cpu() if node.name in by_name else lowering.input
        elif node.op == "call_function":
            args = torch.fx.node.map_arg(node.args, lambda n: known[n])
            kwargs = torch.fx.node.map_arg(node.kwargs, lambda n: known[n])
            known[node] = _run(lowering, node.target, args, kwargs)
        elif node.op == "output":
            answer = known[node.args[0][0]]
            if not isinstance(answer, Value):
                raise NotExportable(
                    "The model's answer does not depend on its input; there is nothing to run in a page."
                )
            return lowering.graph(answer)
        else:
            raise NotExportable(f"A page knows no {node.op} in a model's graph; it shows what was computed beforehand.")
    raise AssertionError("every exported graph has an output")


def _run(low: Lowering, target: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Evaluate what depends on no input, and write down what does."""
    if target is operator.getitem:
        return args[0][args[1]]
    if not any(isinstance(one, Value) for one in _leaves((args, dict(kwargs)))):
        return target(*args, **kwargs)
    name = str(target).removeprefix("aten.").split(".")[0]
    if name in REARRANGEMENTS:
        return _moved(low, target, args, kwargs)
    if name not in OPERATIONS:
        raise NotExportable(f"A page knows no operation {name}; it shows what was computed beforehand.")
    return OPERATIONS[name](low, *args, **kwargs)


def _moved(low: Lowering, target: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    value = next(one for one in _leaves(args) if isinstance(one, Value))
    arguments = [value.places if one is value else one for one in args]
    kept = {key: one for key, one in kwargs.items() if key not in ("dtype", "device", "memory_format", "layout")}
    result = target(*arguments, **({} if "_to_copy" in str(target) else kept))
    if isinstance(result, Tensor):
        return low.rearranged(value, result)
    return [low.rearranged(value, one) for one in result]


def _leaves(tree: Any) -> list[Any]:
    if isinstance(tree, Mapping):
        return [leaf for part in tree.values() for leaf in _leaves(part)]
    if isinstance(tree, (list, tuple)):
        return [leaf for part in tree for leaf in _leaves(part)]
    return [tree]
