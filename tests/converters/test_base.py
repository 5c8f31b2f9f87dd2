"""The file appears whole or not at all, and what it computes is compared with the framework."""

from __future__ import annotations

import dataclasses
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import helper, numpy_helper

from wua_onnx.converters import Converted, _base, is_convertible, to_onnx
from wua_onnx.converters._base import Draft, Example, finish, staged
from wua_onnx.converters._quiet import converting, step, telling
from wua_onnx.errors import ConversionError, OutputError

WEIGHT = np.random.default_rng(0).standard_normal((7, 3)).astype(np.float32)
X = np.random.default_rng(1).standard_normal((5, 7)).astype(np.float32)


def draft(*, op: str = "MatMul", outputs: tuple[np.ndarray, ...] | None = None) -> Draft:
    graph = helper.make_graph(
        [helper.make_node(op, ["x", "w"], ["y"])],
        "one",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["batch", 7])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["batch", 3])],
        [numpy_helper.from_array(WEIGHT, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    return Draft(
        model=ir.from_proto(model),
        framework="none",
        framework_version="0",
        layer_names={"w": "dense"},
        example=Example(feeds={"x": X}, outputs=outputs or (X @ WEIGHT,)),
    )


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_result_says_what_was_done(tmp_path: Path) -> None:
    converted = finish(draft(), "it", tmp_path / "m.onnx")
    assert isinstance(converted, Converted)
    assert converted.path == tmp_path / "m.onnx"
    assert converted.layer_names == {"w": "dense"}
    assert converted.max_difference is not None
    assert converted.max_difference < 1e-5
    assert names_in(tmp_path) == ["m.onnx"]


def test_difference_is_the_largest_absolute_one(tmp_path: Path) -> None:
    shifted = X @ WEIGHT
    shifted[2, 1] += 4e-4
    converted = finish(draft(outputs=(shifted,)), "it", tmp_path / "m.onnx")
    assert converted.max_difference == pytest.approx(4e-4, abs=1e-6)


def test_other_values_are_refused_with_both_numbers(tmp_path: Path) -> None:
    largest = np.abs(X @ WEIGHT).max()
    wrong = X @ WEIGHT
    wrong[0, 0] += 0.5
    with pytest.raises(ConversionError, match=rf"'y'.*largest {largest:.5g}.*difference of 0\.5"):
        finish(draft(outputs=(wrong,)), "it", tmp_path / "m.onnx")
    assert names_in(tmp_path) == []


def test_nan_on_one_side_is_a_difference(tmp_path: Path) -> None:
    wrong = X @ WEIGHT
    wrong[0, 0] = np.nan
    with pytest.raises(ConversionError, match="difference of inf"):
        finish(draft(outputs=(wrong,)), "it", tmp_path / "m.onnx")


def test_other_shapes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match=r"expected outputs of shapes \[\[5, 2\]\].*got \[\[5, 3\]\]"):
        finish(draft(outputs=(np.zeros((5, 2), np.float32),)), "it", tmp_path / "m.onnx")


def test_model_that_does_not_run_leaves_the_old_file_alone(tmp_path: Path) -> None:
    target = tmp_path / "m.onnx"
    target.write_text("old")
    with pytest.raises(ConversionError, match="expected a converted model that runs"):
        finish(draft(op="NoSuchOperator"), "it", target)
    assert target.read_text() == "old"
    assert names_in(tmp_path) == ["m.onnx"]


def test_big_weights_go_beside_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_base, "EXTERNAL_ABOVE", WEIGHT.nbytes - 1)
    monkeypatch.setattr(ir, "save", lambda *a, save=ir.save, **k: save(*a, **k, size_threshold_bytes=16))
    finish(draft(), "it", tmp_path / "m.onnx")
    assert names_in(tmp_path) == ["m.onnx", "m.onnx.data"]
    loaded = onnx.load(tmp_path / "m.onnx")
    np.testing.assert_array_equal(numpy_helper.to_array(loaded.graph.initializer[0]), WEIGHT)


def test_data_is_in_place_before_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    replace = _base.os.replace

    def noted(source: Path, target: Path) -> None:
        order.append(target.name)
        replace(source, target)

    monkeypatch.setattr(_base.os, "replace", noted)
    with staged(tmp_path / "a.onnx") as path:
        path.write_text("model")
        path.with_name("a.onnx.data").write_text("data")
    assert order == ["a.onnx.data", "a.onnx"]


def test_interrupted_writing_leaves_nothing(tmp_path: Path) -> None:
    def interrupted() -> None:
        with staged(tmp_path / "m.onnx") as path:
            path.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("name", ["no/such/folder/m.onnx", "."])
def test_target_that_cannot_be_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(OutputError, match=r"expected .* got"):
        finish(draft(), "it", tmp_path / name)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (7, "got builtins.int"),
        ("model.txt", "got the path model.txt"),
        (Path(__file__).parent, "without saved_model.pb"),
        ("none.pt2", r"none.pt2: expected a .pt2 file, got no such file"),
    ],
)
def test_what_is_no_model_is_refused(tmp_path: Path, model: object, message: str) -> None:
    with pytest.raises(ConversionError, match=message):
        to_onnx(model, tmp_path / "m.onnx")
    assert names_in(tmp_path) == []


@pytest.mark.parametrize(
    ("model", "expected"),
    [("a.keras", True), ("A.KERAS", True), ("a.h5", True), ("a.pt2", True), ("a.onnx", False), (7, False)],
)
def test_is_convertible(model: object, expected: bool) -> None:
    assert is_convertible(model) is expected


def test_onnx_models_are_not_convertible() -> None:
    assert not is_convertible(draft().model)
    assert not is_convertible(ir.to_proto(draft().model))


def test_whole_numbers_must_be_the_same(tmp_path: Path) -> None:
    wanted = (X @ WEIGHT).argmax(1)
    model = draft(outputs=(wanted,))
    node = ir.node("ArgMax", [model.model.graph.outputs[0]], {"axis": 1, "keepdims": 0}, name="which")
    node.outputs[0].name = "which"
    model.model.graph.append(node)
    model.model.graph.outputs[0] = node.outputs[0]
    assert finish(model, "it", tmp_path / "m.onnx").max_difference == 0
    assert model.example is not None
    other = dataclasses.replace(model, example=Example(feeds={"x": X}, outputs=((wanted + 1) % 3,)))
    with pytest.raises(ConversionError, match="to within 0, got a difference of"):
        finish(other, "it", tmp_path / "m.onnx")


def test_checker_advises(tmp_path: Path) -> None:
    model = draft()
    model.model.graph.node(0).attributes.add(ir.AttrInt64("unheard_of", 1))
    with pytest.raises(ConversionError, match="expected a converted model that runs"):
        finish(model, "it", tmp_path / "m.onnx")
    unchecked = dataclasses.replace(model, example=None)
    (warning,) = finish(unchecked, "it", tmp_path / "m.onnx").warnings
    assert warning.startswith("onnx's checker objects")
    assert "unheard_of" in warning


@pytest.mark.parametrize("verbose", [False, True])
def test_what_frameworks_print_is_shown_on_request(verbose: bool, capsys: pytest.CaptureFixture[str]) -> None:
    steps: list[str] = []
    with telling(steps.append, verbose):
        step("exporting")
        with converting("it", "a model"):
            print("chatter")
            warnings.warn("take care", FutureWarning, stacklevel=1)
    assert steps == ["exporting"]
    told = capsys.readouterr()
    assert told.out == ""
    assert ("chatter" in told.err) == ("take care" in told.err) == verbose


def test_what_frameworks_print_is_shown_where_they_fail() -> None:
    def fail() -> None:
        with converting("it", "a model"):
            print("chatter")
            raise ValueError("no such thing")

    with pytest.raises(ConversionError, match=r"(?s)got ValueError: no such thing.*printed:.*chatter"):
        fail()
