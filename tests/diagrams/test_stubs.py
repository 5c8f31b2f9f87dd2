from __future__ import annotations

from itertools import pairwise

import pygraphviz
import pytest

from wua_onnx.diagrams import dot, draw
from wua_onnx.diagrams.stubs import MOST_RANKS, Stub, long_edges

CHAIN = list(pairwise(range(20)))


@pytest.mark.parametrize(("span", "long"), [(MOST_RANKS, False), (MOST_RANKS + 1, True)])
def test_an_edge_is_long_from_so_many_ranks_on(span: int, long: bool) -> None:
    expected = (Stub(mark=1, source=2, edges=(len(CHAIN),)),) if long else ()
    assert long_edges(20, [*CHAIN, (2, 2 + span)]) == expected


def test_edges_of_one_box_share_their_mark() -> None:
    stubs = long_edges(20, [*CHAIN, (0, 15), (3, 19), (0, 17)])
    assert [(stub.mark, stub.source, stub.edges) for stub in stubs] == [(1, 0, (19, 21)), (2, 3, (20,))]


def test_what_nothing_feeds_stands_beside_its_first_reader() -> None:
    mask = 20
    assert long_edges(21, [*((a + 1, b + 1) for a, b in CHAIN), (0, 15)]) == ()
    assert [stub.source for stub in long_edges(21, [*CHAIN, (mask - 20, 15)])] == [0]


def test_backward_edges_and_loops_are_never_long() -> None:
    assert long_edges(20, [*CHAIN, (19, 0), (7, 7)]) == ()


def test_a_long_edge_becomes_two_labelled_ends() -> None:
    boxes = [{"id": str(i), "label": f"box{i}"} for i in range(20)]
    edges = [{"from": str(a), "to": str(b), "label": ""} for a, b in [*CHAIN, (1, 16), (2, 17), (2, 18)]]
    for edge in edges[-3:]:
        edge["label"] = "batch × 11"
    diagram = dot.graph({"boxes": boxes, "edges": edges})
    graph = pygraphviz.AGraph(string=diagram.source)
    texts = {str(node): node.attr["label"] for node in graph.nodes() if not str(node).startswith("b")}
    assert texts == {
        "o1": "[1] to box16", "i1_16": "[1] from box1",
        "o2": "[2] to 2 boxes", "i2_17": "[2] from box2", "i2_18": "[2] from box2",
    }  # fmt: skip
    assert not graph.has_edge("b1", "b16")
    assert {("b1", "o1"), ("i1_16", "b16"), ("b2", "o2"), ("i2_17", "b17"), ("i2_18", "b18")} <= set(graph.edges())
    assert graph.get_edge("i1_16", "b16").attr["label"].strip() == "batch × 11"
    assert draw.to_svg(diagram).reason is None
