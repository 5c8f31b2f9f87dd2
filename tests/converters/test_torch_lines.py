"""Lines of source in a converted file: files are named as they are imported, wherever their author keeps them."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

import wua_onnx as wua
from wua_onnx.converters._torch_lines import shorten_lines
from wua_onnx.model.scopes import TORCH_TRACE, source_line

CODE = """import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = torch.nn.Linear(5, 3)
        torch.nn.init.ones_(self.fc.weight)
        torch.nn.init.zeros_(self.fc.bias)

    def forward(self, x):
        return torch.relu(self.fc(x))
"""


def converted_from(folder: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """Write the module's code into `folder`, import it from there, convert it; return the file."""
    (folder / "kept").mkdir(parents=True)
    (folder / "kept" / "net.py").write_text(CODE, encoding="utf-8")
    with monkeypatch.context() as patch:
        patch.syspath_prepend(folder)
        for name in ("kept", "kept.net"):
            patch.delitem(sys.modules, name, raising=False)
        net = importlib.import_module("kept.net").Net()
        wua.convert(net, folder / "net.onnx", np.ones((4, 5), np.float32))
        for name in ("kept", "kept.net"):
            patch.delitem(sys.modules, name)
    return (folder / "net.onnx").read_bytes()


def test_a_file_does_not_tell_where_its_author_keeps_the_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    short, long = tmp_path / "a", tmp_path / "much" / "deeper"
    one, other = converted_from(short, monkeypatch), converted_from(long, monkeypatch)
    assert one == other
    assert str(tmp_path).encode() not in one
    lines = {source_line(node) for node in ir.load(short / "net.onnx").graph}
    assert lines == {"kept/net.py:11"}


@pytest.mark.parametrize(
    ("file", "short"),
    [
        ("{root}/pkg/net.py", "pkg/net.py"),
        ("{root}/inner/net.py", "net.py"),
        ("/nowhere/lib/python3/site-packages/torch/nn/modules/linear.py", "torch/nn/modules/linear.py"),
        ("/home/ada/net.py", "net.py"),
        ("pkg/net.py", "pkg/net.py"),
        ("<eval_with_key>.7", "<eval_with_key>.7"),
    ],
)
def test_files_are_named_as_they_are_imported(
    file: str, short: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in (tmp_path, tmp_path / "inner"):
        monkeypatch.syspath_prepend(folder)
    node = ir.Node("", "Relu", [None])
    node.metadata_props[TORCH_TRACE] = f'File "{file.format(root=tmp_path)}", line 7, in forward\n    "{tmp_path}"'
    shorten_lines(ir.Model(ir.Graph([], [], nodes=[node]), ir_version=10))
    assert node.metadata_props[TORCH_TRACE] == f'File "{short}", line 7, in forward\n    "{tmp_path}"'
