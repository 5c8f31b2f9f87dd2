"""Bytes: weights by element type, traffic, lifetimes against a run with real buffers, key-value caches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from wua_onnx.cost import CostReport, count
from wua_onnx.errors import ShapeError
from wua_onnx.model import load

FLOAT = TensorProto.FLOAT
Shape = Sequence[int | str]


def value(name: str, shape: Shape | None = None, dtype: int = FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, dtype, shape)


def weight(name: str, *shape: int, dtype: int = FLOAT) -> TensorProto:
    """Return an initializer without elements: a count never reads them."""
    tensor = TensorProto(name=name, data_type=dtype, dims=shape, data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="absent.bin")
    return tensor


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    weights: Sequence[TensorProto] = (),
) -> onnx.ModelProto:
    graph = helper.make_graph(nodes, "memory", inputs, outputs, weights)
    opsets = [helper.make_opsetid("", 23), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=11)


def counted(*arguments: Any) -> CostReport:
    return count(load(model(*arguments)))


node = helper.make_node


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


def test_indices_flags_and_unread_initializers_are_no_parameters() -> None:
    index = numpy_helper.from_array(np.array([2, 0], np.int64), "index")
    nodes = [node("Gather", ["w", "index"], ["y"])]
    report = counted(nodes, [], [value("y")], [weight("w", 3, 5), index, weight("unread", 7, 11)])
    assert (report.params, dict(report.weight_bytes_by_dtype)) == (15, {"FLOAT": 60})


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

X = value("x", [3, 5])
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


# Lifetimes -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """One operator of a random graph: what it is, and which earlier values it reads."""

    op: str
    reads: tuple[str, ...]
    name: str


@dataclass(frozen=True)
class Program:
    """A graph over one-dimensional values."""

    inputs: dict[str, int]
    steps: tuple[Step, ...]
    outputs: tuple[str, ...]


@st.composite
def programs(draw: st.DrawFn) -> Program:
    lengths = {f"x{i}": draw(st.sampled_from([2, 3, 5, 7])) for i in range(draw(st.integers(1, 3)))}
    inputs, steps = dict(lengths), []
    for index in range(draw(st.integers(1, 9))):
        op = draw(st.sampled_from(["Relu", "Add", "Concat", "Identity", "Reshape", "Split"]))
        first = draw(st.sampled_from(sorted(lengths)))
        same = sorted(name for name, length in lengths.items() if length == lengths[first])
        others = {"Add": same, "Concat": sorted(lengths)}.get(op)
        reads = (first,) if others is None else (first, draw(st.sampled_from(others)))
        lengths[f"v{index}"] = sum(lengths[name] for name in reads) if op == "Concat" else lengths[first]
        steps.append(Step(op, reads, f"v{index}"))
    names = [step.name for step in steps]
    outputs = draw(st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True))
    return Program(inputs, tuple(steps), tuple(outputs))


def as_model(program: Program, factor: str | None = None) -> onnx.ModelProto:
    """Return `program` in ONNX; with `factor`, a free dimension, every value has that many rows."""
    rows: list[int | str] = [] if factor is None else [factor]
    last = numpy_helper.from_array(np.array([0] * len(rows) + [-1], np.int64), "same")
    nodes = []
    for step in program.steps:
        attributes: dict[str, Any] = {"Concat": {"axis": -1}, "Split": {"axis": -1, "num_outputs": 1}}.get(step.op, {})
        extra = ["same"] if step.op == "Reshape" else []
        nodes.append(node(step.op, [*step.reads, *extra], [step.name], **attributes))
    inputs = [value(name, [*rows, length]) for name, length in program.inputs.items()]
    return model(nodes, inputs, [value(name) for name in program.outputs], [last])


COMPUTE: dict[str, Callable[..., npt.NDArray[np.float32]]] = {
    "Relu": lambda x: np.maximum(x, 0),
    "Add": lambda a, b: a + b,
    "Concat": lambda a, b: np.concatenate([a, b]),
    "Identity": lambda x: x[:],
    "Reshape": lambda x: x.reshape(-1),
    "Split": lambda x: x.copy(),
}


def run_with_buffers(program: Program) -> tuple[int, int, set[int]]:
    """Run `program` on arrays; return (bytes allocated in all, most bytes held at once, sizes held then).

    Values are dropped when nothing further on reads them; a view holds the buffer that it looks into.
    """
    needed = set(program.outputs)
    for step in reversed(program.steps):
        needed |= set(step.reads) if step.name in needed else set()
    steps = [step for step in program.steps if step.name in needed]
    values = {name: np.ones(n, np.float32) for name, n in program.inputs.items() if name in needed}

    def buffers() -> dict[int, int]:
        owners = {
            id(a if a.base is None else a.base): (a if a.base is None else a.base).nbytes for a in values.values()
        }
        return owners

    ever = dict(buffers())
    most, held = sum(ever.values()), sorted(ever.values())
    kept = list(values.values())  # no address is used twice
    for index, step in enumerate(steps):
        values[step.name] = COMPUTE[step.op](*(values[name] for name in step.reads))
        kept.append(values[step.name])
        now = buffers()
        ever |= now
        if sum(now.values()) > most:
            most, held = sum(now.values()), sorted(now.values())
        later = {name for other in steps[index + 1 :] for name in other.reads} | set(program.outputs)
        values = {name: array for name, array in values.items() if name in later}
    return sum(ever.values()), most, set(held)


@settings(deadline=None, max_examples=150)
@given(program=programs())
def test_lifetimes_are_those_of_a_run(program: Program) -> None:
    report = count(load(as_model(program)))
    total, most, held = run_with_buffers(program)
    assert report.activation_bytes == total
    assert report.peak_activation_bytes == most
    assert sum(size for _, size in report.alive_at_peak) == most
    assert {size for _, size in report.alive_at_peak} == held


@settings(deadline=None, max_examples=60)
@given(program=programs(), rows=st.integers(1, 6))
def test_a_symbolic_peak_holds_for_every_size(program: Program, rows: int) -> None:
    report = count(load(as_model(program, "n")))
    total, most, _ = run_with_buffers(program)
    figures: list[Any] = [report.activation_bytes, report.peak_activation_bytes]
    values = [f if isinstance(f, int) else f.subs(dict.fromkeys(f.free_symbols, rows)) for f in figures]
    assert values == [total * rows, most * rows]
    assert report.at(n=rows).peak_activation_bytes == most * rows


def test_the_peak_over_two_dimensions_is_the_larger_of_two_moments() -> None:
    """First 3·a values and their copy are alive, then 5·b and theirs."""
    nodes = [
        node("Relu", ["x"], ["x1"]), node("ReduceSum", ["x1"], ["sx"], keepdims=0),
        node("Relu", ["z"], ["z1"]), node("Relu", ["z1"], ["z2"]), node("ReduceSum", ["z2"], ["sz"], keepdims=0),
        node("Add", ["sx", "sz"], ["y"]),
    ]  # fmt: skip
    report = counted(nodes, [value("x", ["a", 3]), value("z", ["b", 5])], [value("y")])
    for a, b in ((100, 1), (1, 100), (17, 19), (0, 7), (7, 0), (0, 0)):
        first, second = 24 * a + 20 * b, 4 + 40 * b
        start, end = 12 * a + 20 * b, 4 + 4 + 4
        after = 12 * a + 20 * b + 4
        assert report.at(a=a, b=b).peak == max(first, second, start, after, 4 + 20 * b + 4, end)


def test_what_is_alive_at_the_peak_has_names() -> None:
    nodes = [
        node("Relu", ["x"], ["wide"]),
        node("Concat", ["wide", "wide"], ["widest"], axis=0),
        node("ReduceMax", ["widest"], ["y"], keepdims=0),
    ]
    report = counted(nodes, [value("x", ["n", 7])], [value("y")])
    with pytest.raises(ShapeError, match="n"):
        _ = report.alive_at_peak
    assert report.at(n=3).alive_at_peak == (("widest", 168), ("wide", 84))
    assert report.at(n=3).peak_activation_bytes == 252


def test_constants_and_work_that_reaches_no_output_hold_no_activations() -> None:
    nodes = [node("Relu", ["w"], ["c"]), node("Add", ["x", "c"], ["y"]), node("Neg", ["x"], ["lost"])]
    report = counted(nodes, [X], [value("y")], [weight("w", 3, 5)])
    assert report.activation_bytes == report.peak_activation_bytes == 120


def test_a_value_lives_while_a_graph_inside_a_later_node_reads_it() -> None:
    body = helper.make_graph([node("Add", ["early", "x"], ["b"])], "body", [], [value("b", [3, 5])])
    nodes = [
        node("Relu", ["x"], ["early"]),
        node("Concat", ["x", "x"], ["big"], axis=0),
        node("ReduceMax", ["big"], ["small"], keepdims=0),
        node("If", ["flag"], ["y"], then_branch=body, else_branch=body),
    ]
    inputs = [X, value("flag", [], TensorProto.BOOL)]
    report = counted(nodes, inputs, [value("y", [3, 5]), value("small", [])])
    # At the ReduceMax. At the If, the result of the branch is its output, not a copy of it.
    assert dict(report.alive_at_peak) == {"big": 120, "x": 60, "early": 60, "small": 4, "flag": 1}
    assert report.activation_bytes == 60 + 1 + 60 + 120 + 4 + 60


def test_a_pass_through_the_body_of_a_loop_counts_once() -> None:
    body = helper.make_graph(
        [node("Identity", ["go"], ["again"]), node("Concat", ["state", "state"], ["twice"], axis=0),
         node("ReduceMax", ["twice", "rows"], ["next"], keepdims=1)],
        "body",
        [value("i", [], TensorProto.INT64), value("go", [], TensorProto.BOOL), value("state", [1, 5])],
        [value("again", [], TensorProto.BOOL), value("next", [1, 5])],
    )  # fmt: skip
    rows = numpy_helper.from_array(np.array([0], np.int64), "rows")
    trips = numpy_helper.from_array(np.array(11, np.int64), "trips")
    loop = node("Loop", ["trips", "", "start"], ["y"], body=body)
    report = counted([loop], [value("start", [1, 5])], [value("y", [1, 5])], [rows, trips])
    sizes = dict(report.alive_at_peak)
    assert {"state": 20, "twice": 40}.items() <= sizes.items()
    assert report.peak_activation_bytes == sum(sizes.values()) < 160


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
