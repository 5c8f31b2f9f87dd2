"""What bad input gets, a line each, from Python and from the command line: where, what was expected, what is there."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import pytest
from onnx import TensorProto, helper, numpy_helper

import wua_onnx as wua
from tests.steps import steps
from wua_onnx.cli import main
from wua_onnx.errors import LimitError, ModelError, ShapeError, WuaError

F = TensorProto.FLOAT


def text(graph: str) -> onnx.ModelProto:
    return onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 18, "com.acme" : 1]>\ng {graph}')


def two(op: str, a: str = "2,3", b: str = "5,7") -> onnx.ModelProto:
    return text(f"(float[{a}] a, float[{b}] b) => (float[] y) {{ y = {op} }}")


def sized(size: int) -> onnx.ModelProto:
    model = text("(float[2,3] a) => (float[] y) { y = Relu(a) }")
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = size
    return model


def weighted(*dims: int) -> onnx.ModelProto:
    model = text("(float[2,3] a) => (float[] y) { y = MatMul(a, w) }")
    model.graph.initializer.append(TensorProto(name="w", data_type=F, dims=dims))
    return model


def calls(bodies: Mapping[str, Sequence[str]], *, in_branch: bool = False) -> onnx.ModelProto:
    """Return a model that calls "F0"; names in `bodies` are functions, others are operators of ai.onnx."""
    imports = [helper.make_opsetid("", 18), helper.make_opsetid("f", 1)]
    functions = []
    for name, body in bodies.items():
        names = ["a", *(f"t{i}" for i in range(1, len(body))), "b"]
        nodes = [
            helper.make_node(op, [names[i]], [names[i + 1]], domain="f" if op in bodies else "")
            for i, op in enumerate(body)
        ]
        if in_branch:
            graph = helper.make_graph(nodes, "inner", [], [helper.make_tensor_value_info("b", F, None)])
            flag = helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(np.array(True)))
            nodes = [flag, helper.make_node("If", ["c"], ["out"], then_branch=graph, else_branch=graph)]
        functions.append(helper.make_function("f", name, ["a"], ["out" if in_branch else "b"], nodes, imports))
    graph = helper.make_graph(
        [helper.make_node("F0", ["x"], ["y"], domain="f")],
        "calls",
        [helper.make_tensor_value_info("x", F, [2, 3])],
        [helper.make_tensor_value_info("y", F, None)],
    )
    return helper.make_model(graph, functions=functions, opset_imports=imports, ir_version=10)


def doubled(depth: int) -> onnx.ModelProto:
    return calls({**{f"F{i}": [f"F{i + 1}"] * 2 for i in range(depth)}, f"F{depth}": ["Relu"]})


# What it is, the model, the kind of error, its text.
LINES: list[tuple[str, Callable[[], onnx.ModelProto], type[WuaError], str]] = [
    *[
        (f"shapes that contradict each other: {name}", make, ShapeError, expected)
        for name, make, expected in [
            ("MatMul", lambda: two("MatMul(a, b)"), "MatMul (node 'y'): inner dimensions: expected 3, got 5"),
            ("Gemm", lambda: two("Gemm(a, b)"), "Gemm (node 'y'): inner dimensions: expected 3, got 5"),
            (
                "Conv",
                lambda: two("Conv(a, b)", "1,3,8,8", "4,5,3,3"),
                "Conv (node 'y'): input channels per group: expected 5, got 3",
            ),
            (
                "Add",
                lambda: two("Add(a, b)"),
                "Add (node 'y'): operands: expected shapes that broadcast, got [2, 3] and [5, 7]",
            ),
            (
                "Where",
                lambda: text("(bool[2,3] c, float[5] a) => (float[] y) { y = Where(c, a, a) }"),
                "Where (node 'y'): operands: expected shapes that broadcast, got [2, 3] and [5] and [5]",
            ),
            (
                "Concat",
                lambda: two("Concat<axis = 0>(a, b)"),
                "inputs: expected shapes that differ along axis 0 only, got [2, 3] and [5, 7]",
            ),
            (
                "Reshape",
                lambda: text("(float[2,3] a) => (float[] y) { s = Constant<value_ints = [5, 7]>() y = Reshape(a, s) }"),
                "Reshape (node 'y'): elements: expected as many as [2, 3], got [5, 7]",
            ),
            (
                "what is declared",
                lambda: text("(float[2,3] a) => (float[5,7] y) { y = Relu(a) }"),
                "Relu (node 'y'): output: expected the shape that follows from [2, 3], got [5, 7]",
            ),
            (
                "BatchNormalization",
                lambda: two("BatchNormalization(a, b, b, b, b)", "2,3,4", "5"),
                "BatchNormalization (node 'y'): input 1: expected 3 channels, got 5",
            ),
            (
                "LayerNormalization",
                lambda: two("LayerNormalization(a, b)", "2,3", "5"),
                "scale: expected a shape that broadcasts to [2, 3], got [5]",
            ),
        ]
    ],
    (
        "a negative dimension of a weight",
        lambda: weighted(3, -7),
        ShapeError,
        "initializer 'w': expected sizes of at least 0, got shape [3, -7]",
    ),
    (
        "an overflowing dimension",
        lambda: sized(2**63 - 1),
        ShapeError,
        "input 'a': expected fewer than 2^63 elements, got [9223372036854775807, 3]",
    ),
    (
        "an overflowing weight",
        lambda: weighted(3, 2**62),
        ShapeError,
        "initializer 'w': expected fewer than 2^63 elements, got [3, 4611686018427387904]",
    ),
    *[
        (
            f"a missing attribute: {op}",
            lambda op=op: two(f"{op}(a, b)"),
            ModelError,
            f"{op} (node 'y'): expected {what}",
        )
        for op, what in [
            ("Concat", "the attribute 'axis', which it must have, got none"),
            ("Einsum", "the attribute 'equation', which it must have, got none"),
        ]
    ],
    (
        "a missing graph",
        lambda: text("(bool c) => (float[] y) { y = If(c) }"),
        ShapeError,
        "If (node 'y'): expected a graph as its attribute 'then_branch', got none",
    ),
    (
        "a function that calls itself",
        lambda: calls({"F0": ["Relu", "F0"]}),
        LimitError,
        "function 'F0': expected an acyclic call graph, got one that calls itself",
    ),
    (
        "functions that call each other",
        lambda: calls({"F0": ["F1"], "F1": ["Relu", "F0"]}),
        LimitError,
        "function 'F0': expected an acyclic call graph, got one that calls itself",
    ),
    (
        "a function that calls itself in a branch",
        lambda: calls({"F0": ["F1"], "F1": ["F0"]}, in_branch=True),
        LimitError,
        "function 'F0': expected an acyclic call graph, got one that calls itself",
    ),
    (
        "twenty levels of two calls each",
        lambda: doubled(20),
        LimitError,
        "function 'F3': expected at most 200,000 nodes in it, got 393,214",
    ),
]
NAMES = [name for name, *_ in LINES]


@pytest.mark.parametrize(("make", "kind", "expected"), [line[1:] for line in LINES], ids=NAMES)
def test_python_raises(make: Callable[[], onnx.ModelProto], kind: type[WuaError], expected: str) -> None:
    with pytest.raises(kind, match=re.escape(expected)):  # at once: to follow every call would take for ever
        wua.cost(make())


@pytest.mark.parametrize(("make", "expected"), [(make, expected) for _, make, _, expected in LINES], ids=NAMES)
def test_the_command_ends_with_3(
    make: Callable[[], onnx.ModelProto], expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    onnx.save(make(), tmp_path / "model.onnx")
    assert main(["cost", str(tmp_path / "model.onnx")]) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert expected in err
    assert "Traceback" not in err


def test_a_negative_dimension_of_an_input_is_a_free_one() -> None:
    """Old exporters write -1 for a dimension that they do not know."""
    report = wua.cost(sized(-1))
    assert [str(report.flops), report.symbols] == ["3*a[0]", ("a[0]",)]


def test_an_unknown_domain_gives_a_lower_bound(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = text("(float[2,3] a, float[3,5] w) => (float[] y) { h = MatMul(a, w)  y = com.acme.Foo(h) }")
    report = wua.cost(model)
    assert (report.macs, report.bound, report.unsupported) == (30, "lower", {"com.acme::Foo": 1})
    onnx.save(model, tmp_path / "model.onnx")
    assert main(["cost", str(tmp_path / "model.onnx")]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "com.acme::Foo" in out
    assert "lower" in out


def test_calls_that_make_many_nodes_take_a_time_that_grows_with_them() -> None:
    report = wua.cost(doubled(11))
    assert (len(report.by_node), report.flops) == (2**11, 2**11 * 6)
    few, many = (steps(partial(wua.cost, doubled(levels))) for levels in (7, 9))
    assert many < 6 * few  # four times the nodes; trying one name after another took minutes


def test_a_loop_that_never_ends_is_stopped_by_its_limit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = text("""(float[n,5] x) => (float[n,5] y) {
      y = Loop("", "", x) <body = b (int64 i, bool c, float[n,5] v) => (bool on, float[n,5] w) {
        on = Constant<value = bool {1}>()
        w = Add(v, x)
      }>
    }""")
    x = np.ones((1, 5), np.float32)
    report = wua.cost(model, x, observe=True, time_limit=1)
    assert report.observed is not None
    assert report.observed.error == "onnxruntime: expected an answer within 1 s, got none"
    onnx.save(model, tmp_path / "model.onnx")
    np.save(tmp_path / "x.npy", x)
    arguments: list[Any] = [tmp_path / "model.onnx", "--data", tmp_path / "x.npy", "--observe", "--time-limit", 1]
    assert main(["cost", *map(str, arguments)]) == 4
    assert "expected an answer within 1 s, got none" in " ".join(capsys.readouterr().out.split())
