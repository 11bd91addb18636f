"""The mutation run: what counts as another program, which lines a mutant is looked for on, and how its page counts."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

BEFORE = """
def f(x: int | None) -> int:
    y = x + (
        1
    )
    return y
"""


def test_a_change_in_an_annotation_is_no_other_program(script: Callable[[str], ModuleType]) -> None:
    program = script("benchmarks/mutants").program
    assert program(BEFORE.replace("int |", "float |")) == program(BEFORE)
    assert program(BEFORE.replace("x + (", "x - (")) != program(BEFORE)
    assert program(BEFORE.replace("return", "retur n")) is None


def test_a_mutant_is_looked_for_on_the_lines_of_its_statement(script: Callable[[str], ModuleType]) -> None:
    statement_of = script("benchmarks/mutation").statement_of
    assert statement_of(BEFORE, 4) == {3, 4, 5}
    assert statement_of(BEFORE, 2) == set()  # runs with the import, whatever test reaches it


def test_equivalent_mutants_are_not_counted_and_survivors_are_listed(script: Callable[[str], ModuleType]) -> None:
    one = {"file": "numerics/_a.py", "line": 1, "was": "a | b", "became": "a & b", "word": ""}
    mutants = [
        {**one, "first": "killed", "now": "killed"},
        {**one, "first": "survived", "now": "killed", "word": "a test was added"},
        {**one, "first": "survived", "now": "survived", "word": "equivalent: a block's size"},
        {**one, "first": "survived", "now": "survived", "word": "not worth a test"},
    ]
    text = script("benchmarks/mutation").page({"commit": "0" * 40, "seed": 0, "mutants": mutants})
    assert "| numerics | 4 | 1 | 2 | 1 | 67 % |" in text
    assert text.count("| numerics/_a.py:1 | `` a \\| b `` |") == 3
