"""The module a node came from, as PyTorch's exporters and TensorFlow write it."""

from __future__ import annotations

import onnx_ir as ir
import pytest

from wua_onnx.model.scopes import TORCH_SCOPES, module_name, module_path


def node(name: str, scopes: str | None = None) -> ir.Node:
    return ir.node("Relu", [ir.Value(name="x")], name=name, metadata_props={TORCH_SCOPES: scopes} if scopes else None)


@pytest.mark.parametrize(
    ("name", "scopes", "path", "shown"),
    [
        (
            "n1",
            "['', 'enc', 'enc.layers.0', 'enc.layers.0.linear1', 'relu_3']",
            "enc layers 0 linear1",
            "enc.layers.0.linear1",
        ),
        ("n1", "['', 'linear']", "", ""),
        ("n1", "['', 'fc', 'addmm']", "fc", "fc"),
        ("/layer1/layer1.0/conv1/Conv", None, "layer1 0 conv1", "layer1.0.conv1"),
        ("/Relu", None, "", ""),
        ("block1/conv/Conv2D", None, "block1 conv", "block1/conv"),
        ("plain", None, "", ""),
        ("n1", "no list at all", "", ""),
        ("n1", "__import__('os').system('true')", "", ""),
        ("n1", "[" * 5000, "", ""),
        ("n1", "['a']" + " " * 30_000, "", ""),
    ],
)
def test_paths(name: str, scopes: str | None, path: str, shown: str) -> None:
    made = node(name, scopes)
    assert " ".join(module_path(made)) == path
    assert module_name(module_path(made), made) == shown


def test_hostile_scopes_are_cleaned() -> None:
    (part, other) = module_path(node("n", "['', 'a\\u202eb.c\\n', 'x']"))
    assert "\u202e" not in part
    assert "\n" not in other
