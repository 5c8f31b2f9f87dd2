"""The rooms of the code depend on each other in one direction (CONTRIBUTING.md draws it)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# Each room may import the rooms above it. What stands directly in wua_onnx/ and is not named here comes last.
ORDER = [
    *("errors", "_text", "_files", "_frames"),
    "model",
    *("running", "observe"),
    *("cost", "layers", "recording", "importance"),
    *("findings", "diagrams", "report"),
    *("budget", "comparison"),
]
SOURCES = sorted((ROOT / "wua_onnx").rglob("*.py"))


def room_of(file: Path) -> str:
    return file.relative_to(ROOT / "wua_onnx").parts[0].removesuffix(".py")


def nodes_that_run(tree: ast.AST) -> Iterator[ast.AST]:
    """Walk the tree, leaving out what only the type checker reads."""
    yield tree
    if not (isinstance(tree, ast.If) and ast.unparse(tree.test) == "TYPE_CHECKING"):
        for child in ast.iter_child_nodes(tree):
            yield from nodes_that_run(child)


def imported(tree: ast.AST) -> Iterator[str]:
    """Yield every name that is imported from the package, `wua_onnx.cost.value.Cost` for instance."""
    for node in nodes_that_run(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("wua_onnx"))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "wua_onnx":
            module = node.module or ""
            yield from (f"{module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("file", [f for f in SOURCES if room_of(f) in ORDER], ids=lambda f: str(f.relative_to(ROOT)))
def test_room_imports_only_rooms_above_it(file: Path) -> None:
    room = room_of(file)
    above = {*ORDER[: ORDER.index(room)], room}
    names = set(imported(ast.parse(file.read_text(encoding="utf-8"))))
    assert {name for name in names if name.split(".")[1] not in above | {"templates"}} == set()


@pytest.mark.parametrize("file", SOURCES, ids=lambda f: str(f.relative_to(ROOT)))
def test_core_reaches_converters_only_inside_functions(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    outside = [node for node in tree.body if not isinstance(node, ast.FunctionDef | ast.ClassDef)]
    names = {name for node in outside for name in imported(node)}
    assert {name for name in names if name.startswith("wua_onnx.converters")} == set()


def test_imports_are_absolute() -> None:
    """A relative import would escape the two tests above."""
    nodes = ((file, node) for file in SOURCES for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
    relative = [f"{file}:{node.lineno}" for file, node in nodes if isinstance(node, ast.ImportFrom) and node.level]
    assert relative == []
