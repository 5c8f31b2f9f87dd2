"""Opening models: what is refused, and what it says."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from wua_onnx.cost import count
from wua_onnx.errors import ExternalDataError, LimitError, ModelError, NotOnnxError, ShapeError
from wua_onnx.model import load


def zipped() -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("data.pkl", b"x")
    return target.getvalue()


NOT_ONNX = {
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n", "Git LFS pointer.*git lfs pull"),
    "html": (b"<!DOCTYPE html><html></html>", "HTML page"),
    "html after space": (b"\n\n  <html>", "HTML page"),
    "pickle": (pickle.dumps({"a": 1}), "pickle.*never opened"),
    "zip": (zipped(), "zip archive"),
    "gzip": (b"\x1f\x8b\x08\x00", "gzip data"),
    "npy": (b"\x93NUMPY\x01\x00", "NumPy array"),
    "hdf5": (b"\x89HDF\r\n\x1a\n", "HDF5 file"),
    "json": (b'{"a": 1}', "JSON text"),
    "empty": (b"", "empty file"),
    "noise": (b"\xff" * 50, "damaged or other data"),
    "no graph": (onnx.ModelProto(ir_version=10).SerializeToString(), "no graph"),
}


@pytest.mark.parametrize("kind", NOT_ONNX)
def test_what_a_file_is_instead(kind: str, tmp_path: Path) -> None:
    data, message = NOT_ONNX[kind]
    path = tmp_path / "model.onnx"
    path.write_bytes(data)
    with pytest.raises(NotOnnxError, match=rf"model\.onnx: expected an ONNX model.*, got (.*){message}"):
        load(path)


PATHS = {
    "elsewhere.onnx": "expected a file, got none$",
    "modle.onnx": r"expected a file, got none; did you mean model\.onnx\?$",
    "model": r"expected a file, got none; did you mean model\.onnx\?$",
    "missing/model.onnx": "expected a file, got none: .*missing is no folder that can be read$",
    ".": r"expected an \.onnx file or a SavedModel folder, got a folder that holds model\.onnx$",
    "data": r"got a folder with neither saved_model\.pb nor an \.onnx file in it$",
}


@pytest.mark.parametrize("given", PATHS)
def test_paths_that_are_no_files(given: str, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").touch()
    (tmp_path / "data").mkdir()
    with pytest.raises(ModelError, match=PATHS[given]):
        load(tmp_path / given)


def test_a_folder_of_many_models_names_some(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / f"{number}.onnx").touch()
    with pytest.raises(ModelError, match=r"got a folder that holds 0\.onnx, 1\.onnx, 2\.onnx, …$"):
        load(tmp_path)


class InferenceSession:
    """Of the name of onnxruntime's."""


OTHERS: dict[str, tuple[Any, str]] = {
    "number": (7, "int$"),
    "class": (InferenceSession, "the class InferenceSession: give an object of it$"),
    "weights": ({"w": np.zeros(3)}, "dict: give the model itself, with these weights loaded$"),
    "bytes": (b"x", "bytes: give onnx.load_model_from_string of them, or the path of the file$"),
    "session": (InferenceSession(), "InferenceSession: give the path of its file$"),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_other_objects_are_refused(kind: str) -> None:
    given, message = OTHERS[kind]
    with pytest.raises(ModelError, match=rf"expected a path, an onnx\.ModelProto, .* or TensorFlow, got {message}"):
        load(given)


def external_model(location: str, *, elements: int = 7 * 11, length: int | None = None) -> onnx.ModelProto:
    weight = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[7, 11], data_location=TensorProto.EXTERNAL)
    for key, value in (("location", location), ("offset", "0"), ("length", str(length or elements * 4))):
        weight.external_data.add(key=key, value=value)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "external",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 7])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 11])],
        [weight],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def saved(model: onnx.ModelProto, folder: Path) -> Path:
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def read_weight(path: Path) -> Any:
    model = load(path)
    return model.weight(model.ir_model.graph.initializers["w"])


def test_counting_works_without_the_external_data(tmp_path: Path) -> None:
    report = count(load(saved(external_model("absent.bin"), tmp_path), dims={"batch": 3}))
    assert (report.macs, report.params) == (3 * 7 * 11, 77)


def test_reading_weights_needs_the_external_data(tmp_path: Path) -> None:
    path = saved(external_model("w.bin"), tmp_path)
    with pytest.raises(ExternalDataError, match=r"'w': .*expected the file beside the model, got none"):
        read_weight(path)
    (tmp_path / "w.bin").write_bytes(b"\0" * 100)
    with pytest.raises(ExternalDataError, match=r"expected bytes 0 to 308, got a file of 100 bytes"):
        read_weight(path)
    values = np.arange(77, dtype=np.float32)
    (tmp_path / "w.bin").write_bytes(values.tobytes())
    np.testing.assert_array_equal(read_weight(path).ravel(), values)


def test_a_length_shorter_than_the_shape_is_refused(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(b"\0" * 400)
    with pytest.raises(ExternalDataError, match="expected 308 bytes for its shape, got a length of 40"):
        read_weight(saved(external_model("w.bin", length=40), tmp_path))


def test_a_folder_as_external_data_is_refused(tmp_path: Path) -> None:
    (tmp_path / "w.bin").mkdir()
    with pytest.raises(ExternalDataError, match="expected a regular file"):
        read_weight(saved(external_model("w.bin"), tmp_path))


@pytest.mark.parametrize("location", ["/etc/passwd", "../w.bin", "a/../../w.bin", "..", "a\\w.bin", ""])
def test_external_data_outside_the_folder_is_refused_on_opening(location: str, tmp_path: Path) -> None:
    with pytest.raises(ExternalDataError, match="expected a file inside the model's folder"):
        load(saved(external_model(location), tmp_path))


def test_a_link_out_of_the_folder_is_refused_and_one_within_is_not(tmp_path: Path) -> None:
    folder, outside = tmp_path / "model", tmp_path / "outside.bin"
    folder.mkdir()
    values = np.arange(77, dtype=np.float32)
    outside.write_bytes(values.tobytes())
    (folder / "w.bin").symlink_to(outside)
    with pytest.raises(ExternalDataError, match="got a link out of it"):
        load(saved(external_model("w.bin"), folder))
    os.replace(outside, folder / "real.bin")
    (folder / "w.bin").unlink()
    (folder / "w.bin").symlink_to("real.bin")
    np.testing.assert_array_equal(read_weight(saved(external_model("w.bin"), folder)).ravel(), values)


def test_links_of_the_hugging_face_cache_are_allowed(tmp_path: Path) -> None:
    blobs, snapshot = tmp_path / "repo" / "blobs", tmp_path / "repo" / "snapshots" / "abc"
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    values = np.arange(77, dtype=np.float32)
    (blobs / "00ff").write_bytes(values.tobytes())
    (snapshot / "w.bin").symlink_to("../../blobs/00ff")
    np.testing.assert_array_equal(read_weight(saved(external_model("w.bin"), snapshot)).ravel(), values)
    (tmp_path / "secret").write_bytes(values.tobytes())
    (snapshot / "w.bin").unlink()
    (snapshot / "w.bin").symlink_to(tmp_path / "secret")
    with pytest.raises(ExternalDataError, match="got a link out of it"):
        load(snapshot / "model.onnx")


def function_model(bodies: dict[str, list[str]], called: str) -> onnx.ModelProto:
    """Return a model that calls the function `called`; `bodies` says which operators each function is made of."""
    functions = []
    for name, calls in bodies.items():
        nodes, last = [], "a"
        for index, op in enumerate(calls):
            domain = "mine" if op in bodies else ""
            nodes.append(helper.make_node(op, [last], [f"t{index}"], domain=domain))
            last = f"t{index}"
        imports = [helper.make_opsetid("", 21), helper.make_opsetid("mine", 1)]
        functions.append(helper.make_function("mine", name, ["a"], [last], nodes, imports))
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 5])
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 5])
    graph = helper.make_graph([helper.make_node(called, ["x"], ["y"], domain="mine")], "calls", [value], [result])
    model = helper.make_model(graph, functions=functions, ir_version=10)
    del model.opset_import[:]
    model.opset_import.extend([helper.make_opsetid("", 21), helper.make_opsetid("mine", 1)])
    return model


def test_functions_are_counted_as_if_written_out() -> None:
    model = function_model({"Twice": ["Once", "Once"], "Once": ["Relu", "Neg"]}, "Twice")
    report = count(load(model, dims={"n": 3}))
    assert [node.op for node in report.by_node] == ["Relu", "Neg", "Relu", "Neg"]
    assert report.flops == 4 * 15


@pytest.mark.parametrize("bodies", [{"F": ["F"]}, {"F": ["G"], "G": ["Relu", "F"]}])
def test_functions_that_call_themselves_are_refused(bodies: dict[str, list[str]]) -> None:
    with pytest.raises(LimitError, match="expected an acyclic call graph, got one that calls itself"):
        load(function_model(bodies, "F"))


def test_functions_that_double_forty_times_are_refused_at_once() -> None:
    bodies = {f"F{i}": [f"F{i + 1}", f"F{i + 1}"] for i in range(40)} | {"F40": ["Relu"]}
    with pytest.raises(LimitError, match="expected at most 200,000 nodes in it"):
        load(function_model(bodies, "F0"))


def test_a_long_chain_of_functions_is_refused() -> None:
    bodies = {f"F{i}": [f"F{i + 1}"] for i in range(200)} | {"F200": ["Relu"]}
    with pytest.raises(LimitError, match="expected calls at most 64 deep"):
        load(function_model(bodies, "F0"))


def linear(shape: list[int | str | None]) -> onnx.ModelProto:
    weight = numpy_helper.from_array(np.ones((7, 11), np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [weight],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


@pytest.mark.parametrize("dims", [{"batch": 3}, {"x": (3, 7)}])
def test_dims_bind_by_name_and_by_shape(dims: dict[str, Any]) -> None:
    model = load(linear(["batch", 7]), dims=dims)
    assert model.bound == {"batch": 3}
    assert count(model).macs == 3 * 7 * 11


@pytest.mark.parametrize(
    ("dims", "message"),
    [
        ({"seq": 3}, r"expected one of the model's dimensions \(batch\), got 'seq'"),
        ({"z": (3, 7)}, "expected a shape for one of the inputs"),
        ({"x": (3, 8)}, r"expected 7 at axis 1, got 8"),
        ({"x": (3,)}, "expected 2 dimensions, got shape"),
        ({"batch": -1}, "expected a size of at least 0, got -1"),
        ({"batch": 3, "x": (4, 7)}, "expected 3 as given elsewhere, got 4"),
    ],
)
def test_dims_that_do_not_fit(dims: dict[str, Any], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        load(linear(["batch", 7]), dims=dims)


@pytest.mark.parametrize(
    "name", ["9**9**9", "a b", "batch-size", "__import__('os')", "x" * 10_000, "\u202ebatch", "2*batch"]
)
def test_hostile_dimension_names_are_symbols(name: str) -> None:
    model = load(linear([name, 7]))
    report = count(model)
    (shown,) = report.symbols
    assert "\u202e" not in shown
    assert len(shown) < 300
    assert report.at({shown: 3}).macs == 3 * 77


def test_unnamed_and_negative_dimensions_get_a_name() -> None:
    assert count(load(linear([None, 7]))).symbols == ("x[0]",)
    assert count(load(linear([-1, 7]))).symbols == ("x[0]",)


def test_the_object_given_is_not_modified() -> None:
    proto = linear(["batch", 7])
    before = proto.SerializeToString()
    load(proto, dims={"batch": 3})
    assert proto.SerializeToString() == before
    intermediate = ir.from_proto(proto)
    load(intermediate, dims={"batch": 3})
    assert str(intermediate.graph.inputs[0].shape) == "[batch,7]"


def test_an_element_type_onnx_does_not_have() -> None:
    proto = linear(["batch", 7])
    proto.graph.initializer[0].data_type = 60
    with pytest.raises(ModelError):
        load(proto)


def test_names_that_are_no_utf8_are_shown(tmp_path: Path) -> None:
    data = linear(["batch", 7]).SerializeToString().replace(b"MatMul", b"Mat\xfful")
    path = tmp_path / "model.onnx"
    path.write_bytes(data)
    report = count(load(path))
    assert report.bound == "lower"
    assert list(report.unsupported.values()) == [1]


def test_names_that_are_no_utf8_become_text_and_stay_apart(tmp_path: Path) -> None:
    chain = [("x", "mid_1"), ("mid_1", "mid_2"), ("mid_2", "y")]
    nodes = [helper.make_node("Relu", [source], [target], name="node") for source, target in chain]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 7]) for name in ("x", "y")]
    proto = helper.make_model(helper.make_graph(nodes, "g", ends[:1], ends[1:]))
    data = proto.SerializeToString().replace(b"node", b"nod\xff").replace(b"mid_", b"mid\xff")
    (tmp_path / "model.onnx").write_bytes(data)
    found = load(tmp_path / "model.onnx").nodes
    assert all(isinstance(node.node.name, str) for node in found)
    names = [node.node.outputs[0].name for node in found]
    assert all(isinstance(name, str) for name in names)
    assert len(set(names)) == 3


def test_weights_are_read_through_a_link_to_the_model_and_from_a_hard_linked_file(tmp_path: Path) -> None:
    """Download caches keep `model.onnx` as a link; package installers make hard links."""
    (tmp_path / "blobs").mkdir()
    (tmp_path / "view").mkdir()
    weight = np.arange(70 * 11, dtype=np.float32).reshape(70, 11)
    model = linear(["batch", 70])
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(weight, "w"))
    (tmp_path / "blobs" / "00ff").write_bytes(model.SerializeToString())
    (tmp_path / "view" / "model.onnx").symlink_to(tmp_path / "blobs" / "00ff")
    np.testing.assert_array_equal(read_weight(tmp_path / "view" / "model.onnx"), weight)
    os.link(tmp_path / "blobs" / "00ff", tmp_path / "hard.onnx")
    np.testing.assert_array_equal(read_weight(tmp_path / "hard.onnx"), weight)
