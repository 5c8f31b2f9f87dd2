"""Bytes: weights by element type, traffic, intensity, key-value caches."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from wua_onnx.cost import count
from wua_onnx.model import load

from .weightless import FLOAT, Shape, X, counted, model, node, value, weight

# Weights ---------------------------------------------------------------------------------------------------------

# Element type -> bytes of 7 × 11 elements, by hand.
BYTES_OF_77 = {
    "FLOAT": 308, "DOUBLE": 616, "FLOAT16": 154, "BFLOAT16": 154, "INT8": 77, "UINT8": 77, "INT16": 154, "INT32": 308,
    "FLOAT8E4M3FN": 77, "FLOAT8E4M3FNUZ": 77, "FLOAT8E5M2": 77, "FLOAT8E5M2FNUZ": 77, "FLOAT8E8M0": 77,
    "INT4": 39, "UINT4": 39, "FLOAT4E2M1": 39, "INT2": 20, "UINT2": 20,
}  # fmt: skip


@pytest.mark.parametrize("name", BYTES_OF_77)
def test_weight_bytes_by_element_type(name: str) -> None:
    dtype = getattr(TensorProto, name)
    report = counted([node("Identity", ["w"], ["y"])], [], [value("y", None, dtype)], [weight("w", 7, 11, dtype=dtype)])
    assert dict(report.weight_bytes_by_dtype) == {name: BYTES_OF_77[name]}
    assert (report.params, report.weight_bytes) == (77, BYTES_OF_77[name])


def test_weights_of_several_types_add_up() -> None:
    nodes = [
        node("Cast", ["h"], ["f"], to=FLOAT),
        node("MatMul", ["x", "f"], ["a"]),
        node("MatMul", ["a", "g"], ["y"]),
    ]
    halves = weight("h", 3, 5, dtype=TensorProto.FLOAT16)
    report = counted(nodes, [value("x", [2, 3])], [value("y")], [halves, weight("g", 5, 7)])
    assert dict(report.weight_bytes_by_dtype) == {"FLOAT": 140, "FLOAT16": 30}
    assert report.weight_bytes == 170


@pytest.mark.parametrize("dtype", [np.int64, np.int32])
def test_indices_flags_and_unread_initializers_are_no_parameters(dtype: Any) -> None:
    index = numpy_helper.from_array(np.array([2, 0], dtype), "index")
    nodes = [node("Gather", ["w", "index"], ["y"])]
    report = counted(nodes, [], [value("y")], [weight("w", 3, 5), index, weight("unread", 7, 11)])
    assert (report.params, dict(report.weight_bytes_by_dtype)) == (15, {"FLOAT": 60})


@pytest.mark.parametrize(("to", "parameters"), [(TensorProto.INT64, 2), (FLOAT, 5)], ids=["sizes", "weights"])
def test_whole_numbers_that_become_the_sizes_of_a_shape_are_no_parameters(to: int, parameters: int) -> None:
    """TensorFlow's shapes are int32, some of their sizes fixed; what is made real numbers may be a quantized weight."""
    nodes = [
        node("Concat", ["fixed", "other"], ["sizes"], axis=0),
        node("Cast", ["sizes"], ["cast"], to=to),
        node("Add", ["cast", "cast"], ["y"]),
        node("Add", ["x", "w"], ["z"]),
    ]
    weights = [weight("fixed", 3, dtype=TensorProto.INT32), weight("w", 2)]
    inputs = [value("other", (1,), TensorProto.INT32), value("x", (2,))]
    report = counted(nodes, inputs, [value("y", None, to), value("z", None)], weights)
    assert report.params == parameters


def test_a_table_of_whole_numbers_that_others_look_up_is_parameters() -> None:
    index = numpy_helper.from_array(np.array([2, 0], np.int32), "index")
    table = weight("table", 3, 5, dtype=TensorProto.INT32)
    report = counted(
        [node("Gather", ["table", "index"], ["y"])], [], [value("y", None, TensorProto.INT32)], [table, index]
    )
    assert report.params == 15


def test_a_shared_parameter_counts_once_and_is_named() -> None:
    nodes = [
        node("MatMul", ["x", "tied"], ["a"]),
        node("MatMul", ["a", "own"], ["b"]),
        node("MatMul", ["b", "tied"], ["y"]),
    ]
    report = counted(nodes, [value("x", [2, 3])], [value("y")], [weight("tied", 3, 5), weight("own", 5, 3)])
    assert report.params == 30
    assert dict(report.shared_parameters) == {"tied": 2}
    assert [n.params for n in report.by_node] == [15, 15, 0]


def test_a_parameter_belongs_to_the_node_that_reads_it_at_run_time() -> None:
    """A transposition at load is a way there, and a graph inside a node lies in that node."""
    branch = helper.make_graph(
        [node("MatMul", ["x", "inner"], ["b"])], "branch", [], [value("b", [2, 3])], [weight("inner", 3, 3)]
    )
    nodes = [
        node("Transpose", ["w"], ["t"], perm=[1, 0]),
        node("MatMul", ["x", "t"], ["a"]),
        node("If", ["flag"], ["c"], then_branch=branch, else_branch=branch),
        node("Add", ["a", "c"], ["y"]),
    ]
    inputs = [value("x", [2, 3]), value("flag", [], TensorProto.BOOL)]
    report = counted(nodes, inputs, [value("y")], [weight("w", 3, 3)])
    assert [n.params for n in report.by_node] == [0, 9, 18, 0]
    assert report.params == 27


# Traffic ---------------------------------------------------------------------------------------------------------

TRAFFIC: dict[str, tuple[list[onnx.NodeProto], list[onnx.ValueInfoProto], list[TensorProto], tuple[int, int]]] = {
    "elementwise reads and writes": ([node("Relu", ["x"], ["y"])], [X], [], (60, 60)),
    "weights are read": ([node("MatMul", ["x", "w"], ["y"])], [X], [weight("w", 5, 7)], (60 + 140, 84)),
    "one value read twice is read once": ([node("Mul", ["x", "x"], ["y"])], [X], [], (60, 60)),
    "packed weights": (
        [node("DequantizeLinear", ["w", "s"], ["y"])],
        [value("s", [])],
        [weight("w", 7, 11, dtype=TensorProto.INT4)],
        (39 + 4, 308),
    ),
    "a view moves nothing": ([node("Flatten", ["x"], ["y"])], [X], [], (0, 0)),
    "a transposition moves": ([node("Transpose", ["x"], ["y"])], [X], [], (60, 60)),
    "a shape does not read": ([node("Shape", ["x"], ["y"])], [X], [], (0, 16)),
    "a gather reads its rows": (
        [node("Gather", ["w", "i"], ["y"])],
        [value("i", [2], TensorProto.INT64)],
        [weight("w", 1009, 13)],
        (2 * 13 * 4 + 16, 2 * 13 * 4),
    ),
    "outputs left out": ([node("LSTM", ["q", "W", "R"], ["", "y"], hidden_size=3)],
        [value("q", [7, 2, 5])], [weight("W", 1, 12, 5), weight("R", 1, 12, 3)], (280 + 240 + 144, 24)),
    "a narrower result": ([node("Cast", ["x"], ["y"], to=TensorProto.FLOAT16)], [X], [], (60, 30)),
}  # fmt: skip


@pytest.mark.parametrize("case", TRAFFIC)
def test_bytes_read_and_written(case: str) -> None:
    nodes, inputs, weights, expected = TRAFFIC[case]
    dtype = {"Shape": TensorProto.INT64, "Cast": TensorProto.FLOAT16}.get(nodes[0].op_type, FLOAT)
    (found,) = counted(nodes, inputs, [value("y", None, dtype)], weights).by_node
    assert (found.bytes_read, found.bytes_written) == expected


def test_intensity_per_node_and_whole() -> None:
    nodes = [node("MatMul", ["x", "w"], ["a"]), node("Relu", ["a"], ["b"]), node("Flatten", ["b"], ["y"])]
    report = counted(nodes, [X], [value("y")], [weight("w", 5, 7)])
    product, relu, view = report.by_node
    assert product.intensity == pytest.approx(2 * 3 * 5 * 7 / (60 + 140 + 84))
    assert (relu.intensity, view.intensity) == (21 / 168, None)
    assert report.intensity == pytest.approx((210 + 21) / (284 + 168))
    assert report.by_operator["Relu"].intensity == 21 / 168


def test_intensity_stays_symbolic_while_dimensions_are_free() -> None:
    report = counted([node("MatMul", ["x", "w"], ["y"])], [value("x", ["n", 5])], [value("y")], [weight("w", 5, 7)])
    intensity: Any = report.intensity
    assert float(intensity.subs(dict.fromkeys(intensity.free_symbols, 3))) == report.at(n=3).intensity


def test_unknown_sizes_are_named() -> None:
    nodes = [node("Acme", ["x"], ["strange"], domain="com.acme"), node("Relu", ["strange"], ["y"])]
    report = counted(nodes, [X], [value("y")])
    assert report.unsized == ("strange", "y")
    assert report.peak_activation_bytes == 60


# Key-value caches ------------------------------------------------------------------------------------------------


def decoder(layers: int, heads: int, size: int, names: tuple[str, str]) -> onnx.ModelProto:
    """Return a decoder whose caches grow by what is concatenated to them."""
    nodes, inputs, outputs = [], [value("new", ["batch", heads, "seq", size])], []
    for index in range(layers):
        for part in ("key", "value"):
            past, present = (name.format(index=index, part=part) for name in names)
            nodes.append(node("Concat", [past, "new"], [present], axis=2))
            inputs.append(value(past, ["batch", heads, "past_len", size]))
            outputs.append(value(present, ["batch", heads, "past_len + seq", size]))
    return model(nodes, inputs, outputs)


@pytest.mark.parametrize(
    "names",
    [
        ("past_key_values.{index}.{part}", "present.{index}.{part}"),
        ("past_{part}_{index}", "present_{part}_{index}"),
        ("cache_{part}{index}_in", "cache_{part}{index}_out"),
    ],
)
def test_bytes_per_token_of_caches_by_name(names: tuple[str, str]) -> None:
    report = count(load(decoder(layers=3, heads=5, size=7, names=names)))
    assert report.kv_cache_bytes_per_token == 2 * 3 * 5 * 7 * 4
    assert report.at(batch=2, seq=11, past_len=13).kv_cache_bytes_per_token == 840


def test_both_halves_of_a_cache_in_one_tensor() -> None:
    graph = model(
        [node("Concat", ["past_0", "new"], ["present_0"], axis=3)],
        [
            value("past_0", [2, "batch", 5, "past", 7], TensorProto.FLOAT16),
            value("new", [2, "batch", 5, 1, 7], TensorProto.FLOAT16),
        ],
        [value("present_0", [2, "batch", 5, "total", 7], TensorProto.FLOAT16)],
    )
    assert count(load(graph)).kv_cache_bytes_per_token == 2 * 5 * 7 * 2


def test_caches_of_attention_operators_whatever_they_are_called() -> None:
    attention = node(
        "GroupQueryAttention", ["q", "k", "v", "a", "b", "lengths", "longest"], ["y", "c", "d"],
        domain="com.microsoft", num_heads=6, kv_num_heads=3,
    )  # fmt: skip
    inputs = [value("q", ["batch", 1, 42]), value("k", ["batch", 1, 21]), value("v", ["batch", 1, 21])]
    inputs += [value(name, ["batch", 3, 128, 7]) for name in "ab"]
    inputs += [value("lengths", ["batch"], TensorProto.INT32), value("longest", [], TensorProto.INT32)]
    outputs = [value("y", ["batch", 1, 42]), *(value(name, ["batch", 3, 128, 7]) for name in "cd")]
    assert counted([attention], inputs, outputs).kv_cache_bytes_per_token == 2 * 3 * 7 * 4


def test_models_without_caches_have_none() -> None:
    assert counted([node("Relu", ["x"], ["y"])], [X], [value("y")]).kv_cache_bytes_per_token is None


def test_a_state_that_does_not_grow_is_no_cache() -> None:
    shape: Shape = ["batch", 3, 5, 7]
    report = counted(
        [node("Relu", ["past_state"], ["present_state"])], [value("past_state", shape)], [value("present_state", shape)]
    )
    assert report.kv_cache_bytes_per_token is None
