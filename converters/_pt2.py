"""Loading .pt2 files without running what is in them.

`torch.export.load` unpickles constants, and hands the text of symbolic expressions to SymPy, which evaluates it.
Both can run code; a file that needs either is refused.
"""

from __future__ import annotations

import ast
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wua_onnx.errors import ConversionError

from ._quiet import converting, environment

if TYPE_CHECKING:
    from torch.export import ExportedProgram

# Members of the archive that hold pickled objects other than tensors (torch.export.pt2_archive.constants).
_OBJECTS = re.compile(r"(custom_obj|opaque_obj)")
# SymPy writes expressions as nested constructors: Add(Symbol('s31', positive=True), Integer(1)).
_CONSTRUCTOR = re.compile(r"[A-Z][A-Za-z]*")
_TEXT = re.compile(r"(?!.*__)[\w.+-]*")
_PLAIN = (ast.Expression, ast.Name, ast.Load, ast.keyword, ast.BinOp, ast.UnaryOp, ast.operator, ast.unaryop)
_LONGEST = 10_000  # characters of an expression


def load_program(path: Path) -> ExportedProgram:
    """Return the program in a .pt2 file.

    Raises:
        ConversionError: the file is no .pt2 archive, is damaged, or can only be loaded by running code from it.
    """
    import torch

    _refuse_code(path)
    # PyTorch's own switch: torch.load then accepts nothing but tensors, whatever its caller asks for.
    with environment(TORCH_FORCE_WEIGHTS_ONLY_LOAD="1"), converting(str(path), "an exported program"):
        return torch.export.load(path)


def _refuse_code(path: Path) -> None:
    if not zipfile.is_zipfile(path):
        raise ConversionError(f"{path}: expected the zip archive that torch.export.save writes, got something else")
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if _OBJECTS.search(Path(name).name):
                raise ConversionError(
                    f"{path}: expected tensors and a graph, got {name!r}, an object whose loading runs code. "
                    "If you trust the file, load it with torch.export.load and pass the program"
                )
            if name.endswith(".json"):
                _check_expressions(path, json.loads(archive.read(name) or b"null"))


def _check_expressions(path: Path, document: Any) -> None:
    for text in _expressions(document):
        try:
            harmless = len(text) < _LONGEST and all(map(_is_harmless, ast.walk(ast.parse(text, mode="eval"))))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            harmless = False
        if not harmless:
            raise ConversionError(f"{path}: expected sizes as expressions of symbols, got {text[:80]!r}")


def _is_harmless(node: ast.AST) -> bool:
    """Return whether a part of an expression is a constructor, a symbol, a number or arithmetic.

    Refused: attributes, functions of Python's own (their names begin with a small letter), text beyond a name.
    """
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and bool(_CONSTRUCTOR.fullmatch(node.func.id))
    if isinstance(node, ast.Constant):
        return isinstance(node.value, int | float) or bool(_TEXT.fullmatch(str(node.value)))
    return isinstance(node, _PLAIN)


def _expressions(document: Any) -> Iterator[str]:
    """Yield the text of every symbolic expression in the parsed JSON."""
    pending = [document]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            yield from (v for k, v in item.items() if k == "expr_str" and isinstance(v, str))
            pending.extend(item.values())
        elif isinstance(item, list):
            pending.extend(item)
