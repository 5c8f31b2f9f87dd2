"""Shapes that a model computes while it runs, against what onnxruntime returns."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from wua_onnx.cost import count
from wua_onnx.model import load
from wua_onnx.model.dims import substitute
from wua_onnx.model.graph import Model

node = helper.make_node
SIZES = ({"batch": 2, "seq": 7}, {"batch": 5, "seq": 3}, {"batch": 1, "seq": 1})


def model(nodes: list[onnx.NodeProto], shapes: Mapping[str, list[int | str]], **constants: object) -> onnx.ModelProto:
    tensors = [numpy_helper.from_array(np.array(values), name) for name, values in constants.items()]
    graph = helper.make_graph(
        nodes,
        "computed",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        tensors,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def ran(proto: onnx.ModelProto, sizes: Mapping[str, int]) -> tuple[int, ...]:
    """Return the shape of the result when onnxruntime runs the model at `sizes`."""
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    feeds = {
        given.name: np.zeros([dim if isinstance(dim, int) else sizes[dim] for dim in given.shape], np.float32)
        for given in session.get_inputs()
    }
    return tuple(session.run(["y"], feeds)[0].shape)


def at(loaded: Model, sizes: Mapping[str, int]) -> tuple[object, ...]:
    shape = loaded.shape(loaded.ir_model.graph.outputs[0])
    assert shape is not None
    generated = {symbol: sizes[name] for symbol, name in loaded.shown.items()}
    return tuple(substitute(dim, generated) for dim in shape)


def constant_of(name: str, values: list[int], dims: list[int]) -> onnx.NodeProto:
    return node("Constant", [], [name], value=helper.make_tensor(name, TensorProto.INT64, dims, values))


def expanded_as_torchscript_does(*, measured: bool) -> onnx.ModelProto:
    """Return `token.expand(x.shape[0], -1, -1)`; the length of the sizes a constant, or computed, too."""
    fill = helper.make_tensor("fill", TensorProto.INT64, [1], [1])
    length = [node("Shape", ["sizes"], ["length"])] if measured else [constant_of("length", [3], [1])]
    nodes = [
        node("Shape", ["x"], ["all"]),
        constant_of("first", [0], []),
        node("Gather", ["all", "first"], ["batch"], axis=0),
        constant_of("zero", [0], [1]),
        node("Unsqueeze", ["batch", "zero"], ["row"]),
        constant_of("same", [-1], [1]),
        node("Concat", ["row", "same", "same"], ["sizes"], axis=0),
        *length,
        node("ConstantOfShape", ["length"], ["ones"], value=fill),
        constant_of("minus", [-1], []),
        node("Mul", ["ones", "minus"], ["kept"]),
        node("Equal", ["sizes", "kept"], ["is_kept"]),
        node("Where", ["is_kept", "ones", "sizes"], ["target"]),
        node("Expand", ["token", "target"], ["tokens"]),
        node("Concat", ["tokens", "x"], ["joined"], axis=1),
        node("MatMul", ["joined", "weight"], ["y"]),
    ]
    zeros = {"token": np.zeros([1, 1, 11], np.float32), "weight": np.zeros([11, 13], np.float32)}
    return model(nodes, {"x": ["batch", "seq", 11]}, **zeros)


@pytest.mark.parametrize("measured", [False, True])
def test_an_expanded_class_token_is_followed(measured: bool) -> None:
    proto = expanded_as_torchscript_does(measured=measured)
    loaded = load(proto)
    report = count(loaded)
    for sizes in SIZES:
        assert at(loaded, sizes) == ran(proto, sizes) == (sizes["batch"], sizes["seq"] + 1, 13)
    assert report.symbols == ("batch", "seq")
    assert report.is_exact
    assert report.at(batch=2, seq=7).macs == 2 * 8 * 11 * 13


# What is cut, and along which axes; the other axes stay as they are.
FAR = 2**63 - 1
SLICES: list[tuple[list[int], list[int], list[int], list[int]]] = [
    ([-1], [FAR], [1], [1]),
    ([-1], [2**31 - 1], [1], [1]),
    ([-2], [-1], [1], [1]),
    ([-3], [FAR], [1], [1]),
    ([-5], [FAR], [1], [2]),
    ([-FAR], [FAR], [1], [1]),
    ([0], [FAR], [1], [3]),
    ([-1], [-FAR], [1], [-1]),
    ([FAR], [-FAR], [1], [-2]),
    ([-1, 2], [FAR, 9], [1, 2], [1, 3]),
    ([0, -1], [FAR, FAR], [0, -2], [1, 1]),
    ([0], [10**9], [1], [1]),
    ([0, 2], [10**9, 10**9], [0, 1], [1, 3]),
]


@pytest.mark.parametrize(("starts", "ends", "axes", "steps"), SLICES)
def test_slices_from_the_end(starts: list[int], ends: list[int], axes: list[int], steps: list[int]) -> None:
    proto = model(
        [node("Slice", ["x", "starts", "ends", "axes", "steps"], ["y"])],
        {"x": ["batch", "seq", 11]},
        starts=starts,
        ends=ends,
        axes=axes,
        steps=steps,
    )
    loaded = load(proto)
    assert not loaded.problems
    for sizes in SIZES:
        if starts != [-2] or sizes["seq"] > 1:  # the second last of one
            assert at(loaded, sizes) == ran(proto, sizes)


# Between numbers, on an axis that may be shorter.
SHORTER = [(0, 5, 1), (2, 5, 1), (1, 100, 1), (0, 6, 4), (3, 6, 2), (0, 1, 1)]


@pytest.mark.parametrize(("start", "end", "step"), SHORTER)
def test_a_slice_that_may_reach_beyond_the_axis(start: int, end: int, step: int) -> None:
    slicing = node("Slice", ["x", "starts", "ends", "axes", "steps"], ["y"])
    proto = model([slicing], {"x": ["batch", "seq", 8]}, starts=[start], ends=[end], axes=[1], steps=[step])
    for sizes in SIZES:
        assert at(load(proto), sizes) == ran(proto, sizes)


def test_a_slice_of_one_element_and_of_sizes_that_nothing_tells_is_taken_to_be_there() -> None:
    """A model without its first token has no meaning; and a symbol that nobody can bind would say less than 5."""
    first = node("Slice", ["x", "zero", "one", "one"], ["y"])
    loaded = load(model([first], {"x": ["batch", "seq", 8]}, zero=[0], one=[1]))
    assert loaded.shape(loaded.ir_model.graph.outputs[0])[1] == 1  # type: ignore[index] # a shape there is
    nodes = [node("NonZero", ["x"], ["found"]), node("Slice", ["found", "zero", "five", "one"], ["y"])]
    loaded = load(model(nodes, {"x": ["batch", "seq"]}, zero=[0], five=[5], one=[1]))
    assert loaded.shape(loaded.ir_model.graph.outputs[0]) == (2, 5)


def test_the_end_of_an_axis_of_which_nothing_is_known_is_no_size() -> None:
    """10**9 is how tf2onnx writes the end: not an axis that long."""
    nodes = [node("NonZero", ["x"], ["found"]), node("Slice", ["found", "starts", "ends"], ["y"])]
    loaded = load(model(nodes, {"x": ["batch", "seq"]}, starts=[0, 0], ends=[10**9, 10**9]))
    first, second = loaded.shape(loaded.ir_model.graph.outputs[0]) or ()
    assert first == 2
    assert not isinstance(second, int)


def test_an_axis_that_is_counted_by_a_remainder() -> None:
    """`unflatten` as TorchScript writes it: the axes before the last by `(2 + 3) % 3`."""
    nodes = [
        constant_of("five", [5], [1]),
        constant_of("three", [3], [1]),
        node("Mod", ["five", "three"], ["last"]),
        node("Shape", ["x"], ["all"]),
        constant_of("zero", [0], [1]),
        node("Slice", ["all", "zero", "last"], ["before"]),
        constant_of("split", [3, -1], [2]),
        node("Concat", ["before", "split"], ["sizes"], axis=0),
        node("Reshape", ["x", "sizes"], ["y"]),
    ]
    proto = model(nodes, {"x": ["batch", "seq", 33]})
    loaded = load(proto)
    for sizes in SIZES:
        assert at(loaded, sizes) == ran(proto, sizes) == (sizes["batch"], sizes["seq"], 3, 11)


def test_a_slice_between_two_lengths_is_their_difference() -> None:
    """The rows of a causal mask for new tokens, as GPT-2 cuts them."""
    nodes = [
        node("Shape", ["past"], ["a"], start=1, end=2),
        node("Shape", ["x"], ["b"], start=1, end=2),
        node("Add", ["a", "b"], ["sum"]),
        constant_of("axis", [1], [1]),
        node("Slice", ["mask", "a", "sum", "axis"], ["y"]),
    ]
    shapes: dict[str, list[int | str]] = {"past": ["batch", "old"], "x": ["batch", "seq"], "mask": [3, 97, 5]}
    proto = model(nodes, shapes)
    loaded = load(proto)
    for sizes in ({"batch": 2, "old": 11, "seq": 7}, {"batch": 2, "old": 0, "seq": 13}):
        assert at(loaded, sizes) == ran(proto, sizes) == (3, sizes["seq"], 5)


def test_a_slice_at_bounds_that_depend_on_the_data_keeps_the_other_axes() -> None:
    nodes = [
        node("ReduceMax", ["x"], ["most"], keepdims=0),
        node("Cast", ["most"], ["whole"], to=TensorProto.INT64),
        constant_of("zero", [0], [1]),
        node("Unsqueeze", ["whole", "zero"], ["start"]),
        constant_of("end", [5], [1]),
        constant_of("axis", [1], [1]),
        node("Slice", ["x", "start", "end", "axis"], ["y"]),
    ]
    loaded = load(model(nodes, {"x": ["batch", "seq", 11]}))
    shape = loaded.shape(loaded.ir_model.graph.outputs[0])
    assert shape is not None
    first, cut, last = map(loaded.text, shape)
    assert (first, last) == ("batch", "11")
    assert cut not in ("seq", "5")


def test_expanding_to_sizes_that_nothing_tells_keeps_the_rank_and_what_cannot_grow() -> None:
    nodes = [
        node("Cast", ["sizes"], ["target"], to=TensorProto.INT64),
        node("Expand", ["x", "target"], ["y"]),
    ]
    loaded = load(model(nodes, {"x": ["batch", 1, 11], "sizes": [4]}))
    shape = loaded.shape(loaded.ir_model.graph.outputs[0])
    assert shape is not None
    *open_dims, last = map(loaded.text, shape)
    assert last == "11"
    assert len({*open_dims, "1", "batch"}) == 5  # three sizes of their own


def test_sizes_that_may_be_below_zero_are_not_taken_for_sizes() -> None:
    """`seq - 5` may be -1, which stands for the axis as it is."""
    nodes = [
        node("Shape", ["x"], ["length"], start=1, end=2),
        constant_of("five", [5], [1]),
        node("Sub", ["length", "five"], ["size"]),
        constant_of("minus", [-1], [1]),
        constant_of("three", [3], [1]),
        node("Equal", ["size", "minus"], ["is_kept"]),
        node("Where", ["is_kept", "three", "size"], ["target"]),
        node("Expand", ["one", "target"], ["y"]),
    ]
    loaded = load(model(nodes, {"x": ["batch", "seq", 11]}, one=np.zeros([1], np.float32)))
    (size,) = loaded.shape(loaded.ir_model.graph.outputs[0]) or (None,)
    assert size is not None
    assert "seq" not in loaded.text(size)
