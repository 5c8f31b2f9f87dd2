"""PyTorch's Triton is kept out where TensorFlow makes importing it end the process."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from wua_onnx.converters import to_onnx

TENSORFLOWS = "tensorflow.python.pywrap_dlopen_global_flags"


class Importing(torch.nn.Module):
    """A module that tries to import Triton, as much of PyTorch does."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = torch.nn.Linear(7, 5)
        self.found: set[str | None] = set()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        try:
            self.found.add(importlib.import_module("triton").__file__)
        except ImportError:
            self.found.add(None)
        return torch.as_tensor(self.inner(x))


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Install a Triton that has not been imported; return its file."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "triton"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, TENSORFLOWS, raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    file = tmp_path / "triton.py"
    file.write_text("__version__ = '3.7.1'\n", encoding="utf-8")
    return str(file)


def converted(folder: Path) -> set[str | None]:
    """Convert the module; return what it found."""
    module = Importing()
    to_onnx(module, folder / "model.onnx", torch.randn(3, 7))
    return module.found


def test_it_is_not_imported_after_tensorflow(installed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, TENSORFLOWS, ModuleType(TENSORFLOWS))
    assert converted(tmp_path) == {None}
    assert "triton" not in sys.modules, "it can be imported again"


def test_it_stays_where_it_was_imported_first(installed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    importlib.import_module("triton")
    monkeypatch.setitem(sys.modules, TENSORFLOWS, ModuleType(TENSORFLOWS))
    assert converted(tmp_path) == {installed}
    assert "triton" in sys.modules


def test_without_tensorflow_it_is_imported(installed: str, tmp_path: Path) -> None:
    assert converted(tmp_path) == {installed}
