"""The house: imports run one way, from the rooms above to those below, and no file waits for one that waits for it.

The order is that of docs/design.md; imports inside functions count as well.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import separatrix

ROOT = Path(separatrix.__file__).parent
ROOMS = [
    "errors",
    "arguments",
    "protocol",
    "cost",
    "words",
    "numerics",
    "work",
    "storage",
    "engines",
    "field",
    "data",
    "models",
    "starts",
    "orbits",
    "limitsets",
    "studies",
    "ood",
    "monitoring",
    "plots",
    "report",
    "explorer",
    "runs",
    "cli",
    "testing",
    "pytest_plugin",
    "__init__",
    "__main__",
]
FILES = {
    ".".join((path.parent if path.name == "__init__.py" else path.with_suffix("")).relative_to(ROOT.parent).parts): path
    for path in sorted(ROOT.rglob("*.py"))
}
ANNOUNCED_IN_TYPES_ONLY = "TYPE_CHECKING"


def imports_of(path: Path) -> Iterator[str]:
    """The modules of this library that a file names, wherever it does; those that only its types name are left out."""
    for node in _outside_of_types(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in FILES)
        elif isinstance(node, ast.ImportFrom) and node.module in FILES:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in FILES else node.module


def offered_by(room: str) -> set[str]:
    """The names that the face of a room hands on."""
    face = FILES.get(f"separatrix.{room}")
    statements = [] if face is None else ast.parse(face.read_text()).body
    lists = [
        one.value for one in statements if isinstance(one, ast.Assign) and ast.unparse(one.targets[0]) == "__all__"
    ]
    return {name for names in lists for name in ast.literal_eval(names)}


def _outside_of_types(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ANNOUNCED_IN_TYPES_ONLY in ast.unparse(node.test):
            continue
        yield node
        yield from _outside_of_types(node)


def room_of(module: str) -> str:
    return module.split(".")[1] if "." in module else "__init__"


@pytest.mark.parametrize("module", FILES)
def test_no_import_runs_upwards(module: str) -> None:
    own = ROOMS.index(room_of(module))
    above = {target for target in imports_of(FILES[module]) if ROOMS.index(room_of(target)) > own}
    assert not above, f"{module} is in {ROOMS[own]} and imports {', '.join(sorted(above))}"


def test_what_a_room_hands_on_is_taken_from_its_face() -> None:
    """Imports for types only count too. Names that no face has are for the rooms that know the file."""
    offered = {room: offered_by(room) for room in ROOMS}
    around = [
        f"{module} takes {alias.name} from {node.module}"
        for module, path in FILES.items()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module in FILES and node.module.count(".") > 1
        for alias in node.names
        if room_of(node.module) != room_of(module) and alias.name in offered[room_of(node.module)]
    ]
    assert not around


def test_every_file_is_in_a_room() -> None:
    alone = {path.stem for path in ROOT.glob("*.py")}
    assert alone == {"__init__", "__main__", "arguments", "errors", "cost", "pytest_plugin"}


def test_no_file_waits_for_one_that_waits_for_it() -> None:
    graph = {module: set(imports_of(path)) - {module} for module, path in FILES.items()}
    # The face of a package is made of its files; whoever takes a name from the face of another room waits for all of that room.
    faces = {module for module, path in FILES.items() if path.name == "__init__.py"}
    waiting = {module: targets - faces for module, targets in graph.items() if module not in faces}
    while free := {module for module, targets in waiting.items() if not targets & waiting.keys()}:
        waiting = {module: targets for module, targets in waiting.items() if module not in free}
    circle = {module: sorted(targets & waiting.keys()) for module, targets in waiting.items()}
    assert not circle


def test_what_a_room_does_not_hand_on_has_an_underscore() -> None:
    public = {
        str(path.relative_to(ROOT))
        for path in ROOT.glob("*/*.py")
        if not path.name.startswith("_") and path.parent.name != "testing"
    }
    assert public == {"numerics/counter_random.py"}


NO_SENTENCE = r"(As|From|How|In|Of|Such as|To|What|When|Where|Whether|Which|Whose|Who)\b[^?]*$"


@pytest.mark.parametrize("module", FILES)
def test_docstrings_begin_with_a_sentence_or_a_question(module: str) -> None:
    """A part of what a reader may expect: no clause of which the rest is missing."""
    places = (ast.Module, ast.ClassDef, ast.FunctionDef)
    told = [
        ast.get_docstring(node) for node in ast.walk(ast.parse(FILES[module].read_text())) if isinstance(node, places)
    ]
    first = [re.split(r"(?<=[.?!])\s", text.replace("\n", " "))[0] for text in told if text]
    assert not [sentence for sentence in first if re.match(NO_SENTENCE, sentence)]
