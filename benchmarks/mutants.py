"""The sample of mutants that mutation.py judges: where, what, and what it becomes."""

from __future__ import annotations

import ast
import random
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

SOURCE = Path("src/separatrix")
MUTATED = ("numerics/*.py", "orbits/*.py", "limitsets/*.py", "ood/_decisions.py")
SEED, MUTANTS = 0, 160
SWAPS = {"any": "all", "all": "any", "min": "max", "max": "min", "amin": "amax", "amax": "amin", "argmin": "argmax", "argmax": "argmin"}  # fmt: skip


def swap_of_names() -> Any:
    """The one operator that cosmic-ray lacks: an ``any`` where ``all`` was meant, a ``min`` for a ``max``."""
    from cosmic_ray.operators.operator import Operator

    class SwapName(Operator):
        def mutation_positions(self, node: Any) -> Iterator[Any]:
            if node.type == "name" and node.value in SWAPS:
                yield node.start_pos, node.end_pos

        def mutate(self, node: Any, index: int) -> Any:  # noqa: ARG002 — an interface
            node.value = SWAPS[node.value]
            return node

        @classmethod
        def examples(cls) -> tuple[()]:
            return ()

    return SwapName


@cache
def operators() -> dict[str, Any]:
    """Name → an operator that needs no arguments."""
    from cosmic_ray.plugins import get_operator, operator_names

    found = {name.partition("/")[2]: get_operator(name) for name in operator_names()}
    return {name: kind() for name, kind in [*found.items(), ("SwapName", swap_of_names())] if not kind.arguments()}


class Bare(ast.NodeTransformer):
    """A program without its annotations."""

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        node.annotation = ast.Constant(None)
        return self.generic_visit(node)


def program(text: str) -> str | None:
    """What a text does, to be compared; None where it is no Python."""
    try:
        return ast.dump(Bare().visit(ast.parse(text)))
    except SyntaxError:
        return None


def sites(text: str) -> dict[tuple[int, int], list[tuple[str, int]]]:
    """Line and column → the changes possible there, each an operator and its occurrence."""
    from cosmic_ray.ast import ast_nodes, get_ast

    found: dict[tuple[int, int], list[tuple[str, int]]] = {}
    nodes = list(ast_nodes(get_ast(text)))
    for name, operator in operators().items():
        places = [(place[0], node.parent) for node in nodes for place in operator.mutation_positions(node)]
        for occurrence, (place, within) in enumerate(places):
            # The * of f(*, name) is no operator, though it looks like one.
            if within is None or within.type != "parameters":
                found.setdefault(place, []).append((name, occurrence))
    return found


def drawn(tree: Path) -> list[dict[str, Any]]:
    """The sample: mutants of every file in proportion to its sites, at least one where there is a site."""
    from cosmic_ray.mutating import mutate_code

    files = [path for pattern in MUTATED for path in sorted((tree / SOURCE).glob(pattern))]
    possible = {path: sites(path.read_text(encoding="utf-8")) for path in files}
    total, sample = sum(map(len, possible.values())), []
    for path, places in possible.items():
        text, name = path.read_text(encoding="utf-8"), str(path.relative_to(tree / SOURCE))
        dice, before = random.Random(f"{SEED} {name}"), program(text)
        wanted = max(1, round(MUTANTS * len(places) / total))
        for line, column in dice.sample(sorted(places), len(places)):
            if not wanted:
                break
            operator, occurrence = dice.choice(places[line, column])
            after = mutate_code(text, operators()[operator], occurrence)
            if after is not None and program(after) not in (None, before):
                wanted -= 1
                old, new = text.splitlines()[line - 1].strip(), after.splitlines()[line - 1].strip()
                sample.append({"file": name, "line": line, "operator": operator, "occurrence": occurrence, "was": old, "became": new})  # fmt: skip
    return sample
