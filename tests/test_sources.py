"""How often a model is opened, and how long a converted file lives."""

from __future__ import annotations

import gc
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import wua_onnx as wua
from wua_onnx import _sources
from wua_onnx.errors import ShapeError
from wua_onnx.model import Model, load


@pytest.fixture
def path(tmp_path: Path) -> Path:
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "product",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", "t", 5])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", "t", 7])],
        [numpy_helper.from_array(np.ones((5, 7), np.float32), "w")],
    )
    path = tmp_path / "product.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), path)
    return path


@pytest.mark.parametrize(
    ("arguments", "times", "macs"),
    [
        ({"dims": {"n": 2, "t": 3}}, 1, "210"),
        ({"dims": {"n": 2}}, 1, "70*t"),
        ({}, 1, "35*n*t"),
        ({"X": np.ones((11, 3, 5), np.float32)}, 2, "105"),  # with symbols, to see how the data fits, and with sizes
    ],
)
def test_a_model_is_opened_once_where_its_sizes_are_given(
    path: Path, arguments: dict[str, Any], times: int, macs: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Any] = []

    def counted(given: Any, **rest: Any) -> Model:
        opened.append(given)
        return load(given, **rest)

    monkeypatch.setattr(_sources, "load", counted)
    assert str(wua.cost(path, **arguments).macs) == macs
    assert opened == [path] * times


def test_a_converted_file_lives_as_long_as_what_was_made_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    X = np.ones((3, 5), np.float32)

    def folders() -> list[str]:
        gc.collect()
        return [folder.name for folder in tmp_path.glob("wua_onnx_*")]

    module = torch.nn.Linear(5, 7)
    assert wua.cost(module, X).macs == 35
    assert folders() == []
    audit = wua.analyze(module, X)
    assert len(folders()) == 1
    del audit
    assert folders() == []
    with pytest.raises(ShapeError), _sources.opened(module, X, None) as source:
        source.cost({"nothing": 1}, None, 0)
    assert folders() == []
