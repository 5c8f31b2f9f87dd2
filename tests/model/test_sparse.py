"""Sparse initializers and constants are read as the dense ones that they stand for."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from wua_onnx.errors import LimitError, ModelError
from wua_onnx.layers import find_layers
from wua_onnx.model import load
from wua_onnx.recording import Recorder

from ..layers.graphs import rand, session  # noqa: TID252 - tests are not installed

DENSE = np.zeros((5, 3), np.float32)
DENSE[[0, 2, 4], [0, 1, 2]] = 1, 2, 3


def sparse(indices: Any, dims: tuple[int, ...] = (5, 3)) -> onnx.SparseTensorProto:
    values = numpy_helper.from_array(np.array([1, 2, 3], np.float32), "w")
    places = numpy_helper.from_array(np.array(indices, np.int64), "w_places")
    return helper.make_sparse_tensor(values, places, dims)


def network(tensor: onnx.SparseTensorProto, *, constant: bool = False) -> onnx.ModelProto:
    nodes = [helper.make_node("Constant", [], ["w"], sparse_value=tensor)] if constant else []
    graph = helper.make_graph(
        [*nodes, helper.make_node("MatMul", ["x", "w"], ["a"]), helper.make_node("Relu", ["a"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 5])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        sparse_initializer=[] if constant else [tensor],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


@pytest.mark.parametrize("constant", [False, True])
@pytest.mark.parametrize("indices", [[0, 7, 14], [[0, 0], [2, 1], [4, 2]]])
def test_weights_and_outputs(constant: bool, indices: Any) -> None:
    proto, x = network(sparse(indices), constant=constant), rand(7, 5)
    before = proto.SerializeToString()
    found = find_layers(load(proto))
    (layer,) = found.by_name.values()
    np.testing.assert_array_equal(layer.weight(), DENSE)
    assert (found.parameters, layer.stored) == (15, 15)
    recorder = Recorder(proto, keep_outputs=True)
    recorder.update(x)
    result = recorder.result()
    np.testing.assert_allclose(result.outputs["y"], session(proto).run(None, {"x": x})[0], atol=1e-6)
    ((statistics,),) = result.layers.values()
    np.testing.assert_allclose(statistics.mean, np.maximum(x @ DENSE, 0).mean(0), rtol=1e-5)
    assert proto.SerializeToString() == before  # the model that was given stays as it is


@pytest.mark.parametrize(
    ("indices", "dims", "error", "message"),
    [
        ([0, 7, 15], (5, 3), ModelError, "an index beyond"),
        ([-1, 7, 14], (5, 3), ModelError, "an index beyond"),
        ([0, 7], (5, 3), ModelError, "expected values and as many indices"),
        ([0, 7, 14], (2**20, 2**20), LimitError, "elements written out"),
        ([0, 7, 14], (-5, 3), ModelError, "sizes of at least 0"),
    ],
)
def test_malformed_ones_are_refused(
    indices: list[int], dims: tuple[int, ...], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        load(network(sparse(indices, dims)))
