"""Names of layers: the author's own where there are any, unique and stable always."""

from __future__ import annotations

from typing import Any

import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wua_onnx.layers import find_layers
from wua_onnx.layers.naming import unique
from wua_onnx.model import load
from wua_onnx.model.scopes import TORCH_SCOPES

from .graphs import rand


def names(
    *weights: str, nodes: tuple[str, ...] = (), scopes: str | None = None, recorded: dict[str, str] | None = None
) -> list[str]:
    """Return the names of a chain of dense layers with initializers called `weights`."""
    made, value = [], "x"
    for i, weight in enumerate(weights):
        made.append(
            onnx.helper.make_node("MatMul", [value, weight], [f"h{i}"], name=nodes[i] if nodes else f"MatMul_{i}")
        )
        value = f"h{i}"
    if scopes is not None:
        made[0].metadata_props.add(key=TORCH_SCOPES, value=scopes)
    info = onnx.helper.make_tensor_value_info
    float32 = onnx.TensorProto.FLOAT
    initializers = [onnx.numpy_helper.from_array(rand(5, 5), weight) for weight in dict.fromkeys(weights)]
    graph = onnx.helper.make_graph(
        made, "g", [info("x", float32, ["N", 5])], [info(value, float32, None)], initializers
    )
    model = load(onnx.helper.make_model(graph, ir_version=10, opset_imports=[onnx.helper.make_opsetid("", 21)]))
    model.layer_names = recorded or {}
    return list(find_layers(model).by_name)


TORCH = "['', 'encoder', 'encoder.layers.0', 'encoder.layers.0.linear1', 'linear']"


@pytest.mark.parametrize(
    ("weight", "options", "expected"),
    [
        ("fc1.weight", {}, "fc1"),
        ("l1.weight", {"scopes": TORCH}, "l1"),
        ("c.parametrizations.weight.original1", {}, "c"),
        ("conv.weight_v", {}, "conv"),
        ("encoder.layers.0.linear1.weight", {"scopes": TORCH}, "encoder.layers.0.linear1"),
        ("encoder.layers.0.in_proj_weight", {"scopes": TORCH}, "encoder.layers.0.in_proj_weight"),
        ("val_3", {"scopes": TORCH}, "encoder.layers.0.linear1"),
        ("onnx::MatMul_12", {"scopes": TORCH}, "encoder.layers.0.linear1"),
        ("onnx::MatMul_12", {"nodes": ("/layer1/layer1.0/fc/MatMul",)}, "layer1.0.fc"),
        ("onnx::MatMul_12", {"nodes": ("block1/dense/MatMul",)}, "block1/dense"),
        ("onnx::MatMul_12", {"nodes": ("MatMul_7",)}, "MatMul_7"),
        ("val_3", {"nodes": ("",)}, "h0"),
        ("dense/kernel:0", {}, "dense"),
        ("model/dense/MatMul/ReadVariableOp:0", {"nodes": ("MatMul_0",)}, "model/dense"),
        ("const_fold_opt__17", {"nodes": ("head/MatMul",)}, "head"),
        ("Parameter193", {}, "Parameter193"),
        ("val_3", {"recorded": {"val_3": "classifier"}}, "classifier"),
        ("fc1.weight", {"recorded": {"MatMul_0": "sequential/dense"}}, "sequential/dense"),
        ("w\n\x1b[31m\u202eevil", {}, "w\\u000a\\u001b[31m\\u202eevil"),
        ("<script>alert(1)</script>", {}, "<script>alert(1)</script>"),
    ],
)
def test_the_best_name_that_was_left(weight: str, options: dict[str, Any], expected: str) -> None:
    assert names(weight, **options) == [expected]


def test_a_long_name_is_shortened_and_says_so() -> None:
    (name,) = names("a" * 500)
    assert len(name) < 250
    assert name.startswith("aaa")
    assert name.endswith("(500 characters)")


def test_equal_names_are_numbered_in_the_order_of_the_file() -> None:
    assert names("val_1", "val_2", "val_3", nodes=("a/b/MatMul", "a/b/MatMul_1", "a/b/MatMul_2")) == [
        "a/b",
        "a/b#2",
        "a/b#3",
    ]
    assert names("fc.weight", "fc/kernel", "fc#2") == ["fc", "fc#2", "fc#2#2"]


def test_a_name_does_not_depend_on_the_other_layers() -> None:
    assert names("a.weight", "b.weight", "c.weight")[1:] == names("b.weight", "c.weight")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["a", "a#2", "a#3", "b", ""]), max_size=12))
def test_numbered_names_are_unique_and_keep_their_beginning(given_names: list[str]) -> None:
    made = unique(given_names)
    assert len(set(made)) == len(made)
    assert all(new.startswith(old) for new, old in zip(made, given_names, strict=True))
    firsts = {name: given_names.index(name) for name in given_names}
    assert given_names.count("a") == 0 or made[firsts["a"]] in ("a", "a#2", "a#3")
    assert made == unique(given_names)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=9),
        min_size=1,
        max_size=4,
        unique=True,
    )
)
def test_any_name_is_shown_as_one_visible_line(weights: list[str]) -> None:
    weights = [f"w{i}{weight}" for i, weight in enumerate(weights)]
    found = names(*weights)
    assert len(found) == len(weights)
    assert all(name.isprintable() and name for name in found)
