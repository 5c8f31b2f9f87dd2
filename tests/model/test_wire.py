"""Opening a file without its weights: the skeleton is the model, and damaged bytes are refused."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from wua_onnx.cost import count
from wua_onnx.errors import ModelError, NotOnnxError, WuaError
from wua_onnx.model import load, wire


def model_of(tensors: list[TensorProto]) -> onnx.ModelProto:
    nodes = [helper.make_node("Identity", [t.name], [f"y_{t.name}"]) for t in tensors]
    outputs = [helper.make_tensor_value_info(f"y_{t.name}", t.data_type, list(t.dims)) for t in tensors]
    graph = helper.make_graph(nodes, "tensors", [], outputs, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def written(model: onnx.ModelProto, folder: Path) -> Path:
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


@st.composite
def tensors(draw: st.DrawFn) -> list[TensorProto]:
    result = []
    for index in range(draw(st.integers(1, 4))):
        dtype = draw(st.sampled_from([np.float32, np.float64, np.int64, np.uint8, np.float16]))
        shape = tuple(draw(st.lists(st.integers(0, 19), max_size=3)))
        array = np.arange(int(np.prod(shape)), dtype=np.int64).reshape(shape).astype(dtype)
        result.append(numpy_helper.from_array(array, f"w{index}"))
    return result


@settings(deadline=None, max_examples=40)
@given(tensors=tensors())
def test_every_weight_is_the_one_onnx_loads(
    tensors: list[TensorProto], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = written(model_of(tensors), tmp_path_factory.mktemp("wire"))
    expected = {t.name: numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer}
    model = load(path)
    found = {name: model.weight(value) for name, value in model.ir_model.graph.initializers.items()}
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize("field", ["raw_data", "float_data", "double_data"])
def test_big_payloads_stay_in_the_file_in_each_of_their_forms(field: str, tmp_path: Path) -> None:
    values = np.linspace(-1, 1, 37 * 11)
    dtype = TensorProto.DOUBLE if field == "double_data" else TensorProto.FLOAT
    array: npt.NDArray[np.floating] = values.astype(np.float64 if field == "double_data" else np.float32)
    raw = field == "raw_data"
    tensor = helper.make_tensor("w", dtype, (37, 11), array.tobytes() if raw else array.tolist(), raw=raw)
    path = written(model_of([tensor]), tmp_path)
    data = path.read_bytes()
    skeleton = onnx.ModelProto.FromString(wire.skeleton(memoryview(data), path.name))
    (lazy,) = skeleton.graph.initializer
    assert lazy.data_location == TensorProto.EXTERNAL
    assert lazy.ByteSize() < 200
    np.testing.assert_array_equal(load(path).weight(load(path).ir_model.graph.initializers["w"]).ravel(), array)


def test_a_skeleton_without_big_weights_is_the_model_itself(tmp_path: Path) -> None:
    model = model_of([numpy_helper.from_array(np.arange(7.0), "w")])
    data = model.SerializeToString()
    assert onnx.ModelProto.FromString(wire.skeleton(memoryview(data), "model.onnx")) == model


@pytest.fixture(scope="module")
def small() -> bytes:
    weight = numpy_helper.from_array(np.ones((7, 300), np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("Relu", ["h"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 7])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 300])],
        [weight],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    return bytes(model.SerializeToString())


def test_every_truncation_is_refused_or_another_model(small: bytes, tmp_path: Path) -> None:
    path = tmp_path / "cut.onnx"
    refused = 0
    for end in range(1, len(small), 97):
        path.write_bytes(small[:end])
        try:
            count(load(path))
        except NotOnnxError:
            refused += 1
        except ModelError:
            pass
    assert refused > len(range(1, len(small), 97)) * 0.9


@pytest.mark.filterwarnings("ignore")  # onnx_ir warns of what the mutations do to names
def test_mutated_bytes_give_errors_of_our_own(small: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path, chance = tmp_path / "mutated.onnx", random.Random(11)
    refused = 0
    for _ in range(400):
        data = bytearray(small)
        for _ in range(chance.choice([1, 1, 2, 5])):
            data[chance.choice([chance.randrange(len(data)), chance.randrange(40), -1 - chance.randrange(120)])] = (
                chance.randrange(256)
            )
        path.write_bytes(data)
        try:
            count(load(path)).to_dict()
        except WuaError:
            refused += 1
    assert 0 < refused < 400


@given(st.binary(max_size=80))
def test_random_bytes_are_no_model(data: bytes) -> None:
    try:
        list(wire.fields(memoryview(data), 0, len(data)))
    except (ValueError, IndexError):
        return
    # What does parse as fields covers the bytes without a gap.
    spans = [(begin, end) for _, _, begin, _, end in wire.fields(memoryview(data), 0, len(data))]
    assert [begin for begin, _ in spans] == [0, *(end for _, end in spans)][: len(spans)]


@pytest.mark.parametrize(("elements", "inside"), [(300, True), (3000, False)])
def test_a_small_node_keeps_its_tensor_and_a_large_one_leaves_it_in_the_file(
    elements: int, inside: bool, tmp_path: Path
) -> None:
    array = np.arange(elements, dtype=np.float32)
    made = helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(array, "c"))
    output = helper.make_tensor_value_info("c", TensorProto.FLOAT, [elements])
    graph = helper.make_graph([made], "constant", [], [output])
    path = written(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), tmp_path)
    skeleton = wire.skeleton(path.read_bytes(), path.name)
    assert (len(skeleton) > array.nbytes) == inside
    (node,) = load(path).nodes
    np.testing.assert_array_equal(node.node.attributes["value"].as_tensor().numpy(), array)
