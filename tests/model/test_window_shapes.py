"""Shapes of pooling and resizing at free sizes, bound afterwards, against what onnxruntime returns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from wua_onnx.model import load

from .test_computed_shapes import at, ran

SIZES = [{"h": h, "w": w} for h, w in ((4, 5), (7, 8), (9, 6), (10, 11))]


def one(op: str, *constants: np.ndarray[Any, Any] | None, opset: int = 20, **attributes: Any) -> onnx.ModelProto:
    """Return a model of one node over an image of free size; the constants are its other inputs."""
    names = ["" if array is None else f"c{index}" for index, array in enumerate(constants)]
    graph = helper.make_graph(
        [helper.make_node(op, ["x", *names], ["y"], **attributes)],
        "one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3, "h", "w"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, f"c{i}") for i, array in enumerate(constants) if array is not None],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9 if opset > 9 else 3)


POOLING: dict[str, dict[str, Any]] = {
    "same, upper": {"kernel_shape": [3, 2], "strides": [2, 2], "auto_pad": "SAME_UPPER"},
    "same, lower": {"kernel_shape": [3, 3], "strides": [2, 1], "auto_pad": "SAME_LOWER"},
    "windows that may start in the padding": {"kernel_shape": [2, 2], "strides": [2, 2], "pads": [1, 1, 1, 1]},
    "steps longer than the window": {"kernel_shape": [1, 2], "strides": [2, 3]},
    "as SqueezeNet": {"kernel_shape": [3, 3], "strides": [2, 2]},
    "dilated": {"kernel_shape": [2, 2], "strides": [3, 2], "dilations": [2, 2], "pads": [1, 0, 1, 1]},
}


@pytest.mark.parametrize("op", ["MaxPool", "AveragePool", "LpPool"])
@pytest.mark.parametrize("case", POOLING)
def test_pooling(case: str, op: str) -> None:
    ceil = {} if "auto_pad" in POOLING[case] else {"ceil_mode": 1}
    proto = one(op, **POOLING[case], **ceil)
    for sizes in SIZES:
        assert at(load(proto), sizes) == ran(proto, sizes)


def test_windows_that_cannot_start_behind_all_elements_have_the_plain_form() -> None:
    loaded = load(one("MaxPool", **POOLING["as SqueezeNet"], ceil_mode=1))
    shape = loaded.shape(loaded.ir_model.graph.outputs[0])
    assert shape is not None
    assert not [dim for dim in map(loaded.text, shape) if "Min" in dim]


def test_the_places_of_the_largest_have_the_shape_of_the_largest() -> None:
    proto = one("MaxPool", **POOLING["same, upper"])
    proto.graph.node[0].output.append("places")
    proto.graph.output.append(helper.make_tensor_value_info("places", TensorProto.INT64, None))
    loaded = load(proto)
    largest, places = (loaded.shape(value) for value in loaded.ir_model.graph.outputs)
    assert largest == places


def test_malformed_pooling_is_left_alone() -> None:
    loaded = load(one("MaxPool", kernel_shape=[3, 3], strides=[2], auto_pad="SAME_UPPER"))
    shape = loaded.shape(loaded.ir_model.graph.outputs[0])
    assert shape is None or not {loaded.text(dim) for dim in shape[2:]} & {"h", "w"}


# As many numbers as they have digits: 1.3 of 10 is 13, though the nearest number in 32 bits lies below 1.3.
SCALES = [(1.3, 2.0), (0.7, 0.1), (2.5, 1.1), (1 / 3, 5 / 7), (1.7, 0.3)]


def scaled(scales: Sequence[float]) -> np.ndarray[Any, Any]:
    return np.array([1, 1, *scales], np.float32)


@pytest.mark.parametrize("scales", SCALES)
def test_scales_are_the_fractions_that_were_meant(scales: Sequence[float]) -> None:
    proto = one("Resize", None, scaled(scales), mode="nearest")
    for sizes in SIZES:
        assert at(load(proto), sizes) == ran(proto, sizes)
        bound = load(proto, dims=sizes)
        assert bound.shape(bound.ir_model.graph.outputs[0]) == ran(proto, sizes)


OLD: dict[str, onnx.ModelProto] = {
    "Resize-10": one("Resize", scaled((2, 3)), opset=10),
    "Upsample-9": one("Upsample", scaled((2, 3)), opset=9),
    "Upsample-7": one("Upsample", opset=7, scales=[1.0, 1.0, 2.0, 3.0]),
    "Resize of some axes": one("Resize", None, np.array([2, 3], np.float32), axes=[2, -1]),
}


@pytest.mark.parametrize("case", OLD)
def test_scales_wherever_they_stand(case: str) -> None:
    loaded = load(OLD[case])
    for sizes in SIZES:
        assert at(loaded, sizes) == (2, 3, 2 * sizes["h"], 3 * sizes["w"]) == ran(OLD[case], sizes)


@pytest.mark.parametrize("policy", ["not_larger", "not_smaller"])
@pytest.mark.parametrize("wanted", [(3, 7), (8, 5), (20, 1)])
def test_one_scale_for_all_axes(policy: str, wanted: tuple[int, int]) -> None:
    sizes = np.array([2, 3, *wanted], np.int64)
    proto = one("Resize", None, None, sizes[2:], axes=[2, 3], keep_aspect_ratio_policy=policy, mode="nearest")
    for image in SIZES:
        loaded = load(proto, dims=image)
        assert loaded.shape(loaded.ir_model.graph.outputs[0]) == ran(proto, image)
    free = load(proto)
    shape = free.shape(free.ir_model.graph.outputs[0])
    assert shape is not None
    assert not any(isinstance(dim, int) for dim in shape[2:]), "sizes that depend on the image"


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_unique_along_an_axis_keeps_the_others(axis: int) -> None:
    loaded = load(one("Unique", axis=axis))
    data, result = (loaded.shape(value) for value in (loaded.inputs[0], loaded.ir_model.graph.outputs[0]))
    assert data is not None
    assert result is not None
    assert len(result) == 4
    assert [i for i in range(4) if result[i] != data[i]] == [axis % 4]
