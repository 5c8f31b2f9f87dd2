from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wua_onnx.diagrams.overview import Edge, Node, Overview, fold

STEPS = (("ln", "LayerNorm"), ("attn.q", "MatMul"), ("attn", "Softmax"), ("attn.o", "MatMul"), ("", "Add"))


def chain(paths: Sequence[tuple[str, ...]], ops: Sequence[str]) -> tuple[list[Node], list[Edge]]:
    nodes = [Node(id=f"n{i}", path=path, op=op, label=op) for i, (path, op) in enumerate(zip(paths, ops, strict=True))]
    return nodes, [Edge(source=f"n{i}", target=f"n{i + 1}", label=f"s{i}") for i in range(len(nodes) - 1)]


def transformer(blocks: int, scoped: bool = True) -> tuple[list[Node], list[Edge]]:
    paths: list[tuple[str, ...]] = [()]
    ops = ["Gather"]
    for block in range(blocks):
        for scope, op in STEPS:
            paths.append(("h", str(block), *filter(None, scope.split("."))) if scoped else ())
            ops.append(op)
    return chain([*paths, ()], [*ops, "Gemm"])


def shape_of(overview: Overview) -> list[tuple[str, int, int]]:
    return [(box.label, box.count, len(box.nodes)) for box in overview.boxes]


def test_a_graph_that_fits_keeps_every_node() -> None:
    nodes, edges = transformer(3)
    overview = fold(nodes, edges, limit=17)
    assert [box.label for box in overview.boxes] == [node.label for node in nodes]
    assert (len(overview.edges), overview.folded, overview.inside, overview.left_out) == (16, 0, 0, 0)


@pytest.mark.parametrize("scoped", [True, False])
def test_repeated_blocks_become_one_box_after_the_first_is_shown(scoped: bool) -> None:
    overview = fold(*transformer(13, scoped), limit=20)
    label = "h.[1 … 12]" if scoped else "LayerNorm … Add"
    assert len(overview.boxes) == 8
    assert shape_of(overview)[-2:] == [(label, 12, 60), ("Gemm", 1, 1)]
    assert (overview.folded, overview.inside, len(overview.edges)) == (60, 59, 7)


def test_blocks_that_do_not_fit_twice_are_folded_whole() -> None:
    overview = fold(*transformer(13), limit=7)
    assert shape_of(overview) == [("Gather", 1, 1), ("h.[0 … 12]", 13, 65), ("Gemm", 1, 1)]


def test_blocks_of_other_operators_are_not_repetitions() -> None:
    paths = [("a", str(i // 3)) for i in range(9)]
    nodes, edges = chain(paths, ["Conv", "Relu", "Add", "Conv", "Relu", "Mul", "Conv", "Relu", "Add"])
    assert shape_of(fold(nodes, edges, limit=3)) == [("a.0", 1, 3), ("a.1", 1, 3), ("a.2", 1, 3)]


def test_parallel_branches_are_not_repetitions() -> None:
    nodes, edges = chain([("m", name) for name in "qqkkvv"] + [()], ["MatMul", "Add"] * 3 + ["Concat"])
    edges = [edge for edge in edges if edge.source not in ("n1", "n3")]
    assert [box.label for box in fold(nodes, edges, limit=4).boxes] == ["m.q", "m.k", "m.v", "Concat"]


def test_a_module_used_in_two_places_makes_no_cycle() -> None:
    names = ["conv1", "relu", "conv2", "relu", "conv3", "relu"]
    nodes, edges = chain([(name,) for name in names for _ in range(2)], ["Conv", "Add", "Mul", "Max"] * 3)
    overview = fold(nodes, edges, limit=6)
    assert [box.label for box in overview.boxes] == names
    assert all(edge.source < edge.target for edge in overview.edges)


def test_a_node_that_lost_its_scope_does_not_cut_its_block() -> None:
    nodes, edges = transformer(13)
    nodes = [replace(node, path=()) if node.op == "Softmax" else node for node in nodes]
    assert shape_of(fold(nodes, edges, limit=7)) == [("Gather", 1, 1), ("h.[0 … 12]", 13, 65), ("Gemm", 1, 1)]


def test_free_nodes_in_a_row_are_one_box_unless_they_are_all_there_is() -> None:
    nodes, edges = chain(
        [()] * 9, ["MatMul", "Shape", "Slice", "Concat", "Reshape", "MatMul", "Cast", "Cast", "MatMul"]
    )
    free = [replace(node, cost=0 if node.op != "MatMul" else 77) for node in nodes]
    assert shape_of(fold(free, edges, limit=8))[:3] == [("MatMul", 1, 1), ("Shape … Reshape", 1, 4), ("MatMul", 1, 1)]
    nothing_else = [replace(node, cost=0) for node in nodes[1:5]]
    assert [len(box.nodes) for box in fold(nothing_else, edges, limit=3).boxes] == [1, 1, 2]


def test_a_box_of_one_node_has_the_name_of_the_node() -> None:
    nodes = [Node(id=str(i), path=("bn1",), op=op, label=label) for i, (op, label) in enumerate([("Conv", "conv1")])]
    nodes += [Node(id=f"r{i}", path=("relu",), op="Relu", label="Relu") for i in range(1)]
    nodes += [Node(id=f"x{i}", path=("x", str(i)), op=f"Op{i}", label=f"Op{i}") for i in range(5)]
    assert [box.label for box in fold(nodes, [], limit=6).boxes] == ["conv1", "relu", "x"]


def test_a_node_between_two_uses_of_one_module_is_not_in_it() -> None:
    nodes, edges = chain([("relu",), (), ("relu",), ("conv",), ("conv",)], ["Relu", "Add", "Relu", "Conv", "Mul"])
    assert [box.label for box in fold(nodes, edges, limit=4).boxes] == ["relu", "Add", "relu", "conv"]


@pytest.mark.parametrize(("inputs", "expected"), [(3, ["i0", "i1", "i2"]), (7, ["7 inputs"])])
def test_inputs_and_outputs_keep_their_own_boxes_unless_they_are_many(inputs: int, expected: list[str]) -> None:
    before = [Node(id=f"i{i}", path=(), op="input", label=f"i{i}", end=True) for i in range(inputs)]
    nodes, edges = transformer(13)
    overview = fold([*before, *nodes, Node(id="y", path=(), op="output", label="y", end=True)], edges, limit=17)
    assert [box.label for box in overview.boxes[: len(expected)]] == expected
    assert overview.boxes[-1].nodes == ("y",)
    assert "y" not in overview.boxes[-2].nodes


def test_edges_between_the_same_boxes_are_joined_and_counted() -> None:
    nodes, _ = chain([("a",), ("a",), ("b",), ("b",)], ["Conv", "Relu", "Split", "Add"])
    ends = (("n0", "n2", "7"), ("n1", "n3", "11"), ("n0", "n3", "7"))
    edges = [Edge(source=source, target=target, label=label) for source, target, label in ends]
    [edge] = fold(nodes, edges, limit=2).edges
    assert (edge.count, edge.label) == (3, "3 values")
    [edge] = fold(nodes, edges[::2], limit=2).edges
    assert (edge.count, edge.label) == (2, "7")


def test_edges_to_nowhere_and_backwards_are_counted_as_left_out() -> None:
    nodes, edges = transformer(1)
    strange = [Edge(source="n0", target="gone"), Edge(source="gone", target="n0"), Edge(source="n3", target="n1")]
    assert fold(nodes, [*edges, *strange]).left_out == 3


def test_ten_thousand_nodes_without_scopes_or_repetition() -> None:
    nodes, edges = chain([()] * 10_007, [f"Op{i * i % 1009}" for i in range(10_007)])
    overview = fold(nodes, edges)
    assert len(overview.boxes) <= 60
    assert sum(len(box.nodes) for box in overview.boxes) == 10_007


@pytest.mark.parametrize(("limit", "twice"), [(0, False), (5, True)])
def test_bad_arguments(limit: int, twice: bool) -> None:
    nodes, edges = transformer(1)
    with pytest.raises(ValueError, match="unique ids"):
        fold(nodes * (1 + twice), edges, limit)


PATHS = st.lists(st.sampled_from("ab01"), max_size=4).map(tuple)
GRAPHS = st.lists(st.tuples(PATHS, st.sampled_from(["Conv", "Relu", "Add"])), max_size=90)


@settings(max_examples=150, deadline=None)
@given(GRAPHS, st.lists(st.tuples(st.integers(0, 95), st.integers(0, 95)), max_size=150), st.integers(1, 25))
def test_nothing_is_lost(items: list[tuple[tuple[str, ...], str]], ends: list[tuple[int, int]], limit: int) -> None:
    nodes = [Node(id=str(i), path=path, op=op, label=op) for i, (path, op) in enumerate(items)]
    edges = [Edge(source=str(a), target=str(b)) for a, b in ends]
    overview = fold(nodes, edges, limit)
    assert len(overview.boxes) <= limit
    assert [node for box in overview.boxes for node in box.nodes] == [node.id for node in nodes]
    assert sum(edge.count for edge in overview.edges) + overview.inside + overview.left_out == len(edges)
    assert all(0 <= edge.source < edge.target < len(overview.boxes) for edge in overview.edges)
    assert all(len(box.nodes) % box.count == 0 for box in overview.boxes)
    assert overview.folded == len(nodes) - sum(len(box.nodes) == 1 for box in overview.boxes)
