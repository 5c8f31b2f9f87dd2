"""Sizes that a caller gives: integers of any kind, names that leave a dimension free, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import wua_onnx as wua
from wua_onnx.errors import ShapeError
from wua_onnx.model import load


def relu(shape: list[Any] | None) -> onnx.ModelProto:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in "xy")
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "relu", [x], [y])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


GIVEN: dict[str, tuple[Any, int]] = {
    "a number": ({"batch": 7}, 7 * 11 * 13),
    "a number of NumPy": ({"batch": np.int64(7)}, 7 * 11 * 13),
    "a shape": ({"x": (7, 11, 13)}, 7 * 11 * 13),
    "a shape as a list, of NumPy's numbers": ({"x": [*np.array([7, 11, 13])]}, 7 * 11 * 13),
    "a shape that leaves a dimension free, then its size": ({"x": (7, 11, "n"), "seq": 17}, 7 * 11 * 17),
}


@pytest.mark.parametrize("case", GIVEN)
def test_sizes_in_every_form(case: str) -> None:
    dims, elements = GIVEN[case]
    report = wua.cost(relu(["batch", 11, "seq"]), dims=dims).at({} if "seq" in dims or "x" in dims else {"seq": 13})
    assert report.flops == elements
    assert all(type(size) is int for size in report.dims.values())


def test_a_shape_for_an_input_that_declares_none() -> None:
    shape: tuple[Any, ...] = (np.int32(7), 11)
    assert load(relu(None), dims={"x": shape}).inputs[0].shape == (7, 11)


REFUSED: dict[str, tuple[Any, str]] = {
    "no mapping": ([7], r"dims: expected sizes by name, \{'batch': 1\}, got list"),
    "text": ({"batch": "7"}, r"dims\['batch'\]: expected a whole number, got '7'"),
    "a fraction": ({"batch": 7.0}, r"dims\['batch'\]: expected a whole number, got 7\.0"),
    "less than nothing": ({"batch": -1}, r"dims\['batch'\]: expected a size of at least 0, got -1"),
    "no dimension": ({"N": 7}, r"dims: expected one of the model's dimensions \(batch, seq\), got 'N'"),
    "a number for an input": ({"x": 7}, r"dims\['x'\]: expected the shape of that input as a tuple, got 7"),
    "a shape for no input": ({"batch": (7, 11)}, "dims: expected a shape for one of the inputs x, got 'batch'"),
    "another rank": ({"x": (7, 11)}, r"input 'x': expected 3 dimensions, got shape \(7, 11\)"),
    "another size": ({"x": (7, 3, 13)}, "input 'x': expected 11 at axis 1, got 3"),
    "a name for a fixed size": ({"x": (7, "n", 13)}, "input 'x': expected 11 at axis 1, got 'n'"),
    "a fraction in a shape": ({"x": (7.5, 11, 13)}, r"input 'x' axis 0: expected a whole number, got 7\.5"),
    "two sizes": ({"batch": 7, "x": (5, 11, 13)}, "input 'x' axis 0: expected 7 as given elsewhere, got 5"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case: str) -> None:
    dims, message = REFUSED[case]
    with pytest.raises(ShapeError, match=message):
        wua.cost(relu(["batch", 11, "seq"]), dims=dims)
