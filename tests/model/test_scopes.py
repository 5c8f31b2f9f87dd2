"""The module a node came from, as PyTorch's exporters and TensorFlow write it."""

from __future__ import annotations

import ast

import onnx_ir as ir
import pytest

from wua_onnx.model.scopes import (
    TORCH_CLASSES,
    TORCH_SCOPES,
    module_classes,
    module_name,
    module_path,
    source_line,
    string_list,
)


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
        ("n1", "['_empty_nn_module_stack_from_metadata_hook', 'getitem']", "", ""),
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


def test_classes_stand_beside_their_scopes() -> None:
    made = node("n", "['', 'enc', 'enc.fc', 'linear_3']")
    made.metadata_props[TORCH_CLASSES] = "['app.Net', 'app.Encoder', 'torch.nn.Linear', 'aten.linear.default']"
    assert module_classes(made) == {"": "app.Net", "enc": "app.Encoder", "enc.fc": "torch.nn.Linear"}
    made.metadata_props[TORCH_CLASSES] = "no list"
    assert module_classes(made) == {}


TRACE = """File "/home/me/net.py", line 17, in forward
    return self.enc(x)
  File "/home/me/enc.py", line 23, in forward
    y = self.fc(x)
  File "/opt/python/site-packages/torch/nn/modules/linear.py", line 125, in forward
    return F.linear(input)"""


@pytest.mark.parametrize(
    ("trace", "line"),
    [
        (TRACE, "/home/me/enc.py:23"),
        (TRACE.replace("/home/me/", r"C:\me" + "\\"), r"C:\me\enc.py:23"),
        (TRACE.splitlines()[-2], None),
        ("no trace", None),
        ('File "a.py", line ' + "9" * 5000, "a.py:" + "9" * 9),
        (TRACE + " " * 30_000, None),
        ('File "a\u202eb.py", line 7', "a\\u202eb.py:7"),
    ],
)
def test_the_line_is_the_authors_innermost(trace: str, line: str | None) -> None:
    made = node("n")
    made.metadata_props["pkg.torch.onnx.stack_trace"] = trace
    assert source_line(made) == line


LISTS = [
    [],
    [""],
    ["", "enc.layers.0", "relu_3"],
    ["it's", 'a"b', "c, d"],
    ["', '"],
    ["\\n", "\n", "\0"],
    ["ü", "\u202e"],
]


@pytest.mark.parametrize("strings", LISTS)
def test_lists_of_strings_are_read_as_python_writes_them(strings: list[str]) -> None:
    assert string_list(repr(strings)) == strings == ast.literal_eval(repr(strings))


@pytest.mark.parametrize(
    "text", ["['a\nb']", "['a', b]", "['a' 'b'", "['a'] + ['b']", "[__import__('os')]", "'a'", "[1", None]
)
def test_what_is_no_list_of_strings_is_empty(text: str | None) -> None:
    assert string_list(text) == []
