"""Lines of source in what PyTorch's exporter writes, without the folders in which their author keeps them."""

from __future__ import annotations

import re
import sys
from functools import lru_cache
from pathlib import Path

import onnx_ir as ir

from wua_onnx.model.scopes import TORCH_TRACE

_FILE = re.compile(r'(?<=File ")[^"\n]+(?=", line )')


def shorten_lines(model: ir.Model) -> None:
    """Name each file of a stack trace as Python imports it (`torch/nn/modules/linear.py`, `mypkg/models.py`).

    The exporter writes whole paths, which tell where people keep their code, and make the bytes and the size of the
    file depend on it.
    """
    folders = {Path(entry).absolute() for entry in ["", *sys.path]}
    roots = tuple(sorted((str(folder) for folder in folders if folder.name), key=len))
    for node in model.graph.all_nodes():
        trace = node.metadata_props.get(TORCH_TRACE)
        if trace is not None:
            node.metadata_props[TORCH_TRACE] = _FILE.sub(lambda found: _importable(found[0], roots), trace)


@lru_cache(maxsize=4096)
def _importable(file: str, roots: tuple[str, ...]) -> str:
    """Return `file` from the innermost of `roots` that holds it, from its `site-packages`, or else its name alone."""
    path = Path(file)
    if not path.is_absolute():
        return file
    root = next((root for root in reversed(roots) if path.is_relative_to(root)), None)
    if root is not None:
        return path.relative_to(root).as_posix()
    return path.as_posix().rpartition("/site-packages/")[2] if "/site-packages/" in path.as_posix() else path.name
