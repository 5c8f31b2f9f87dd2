"""Which nodes of a model each kernel of onnxruntime computes, on recorded profiles."""

from __future__ import annotations

import pytest

from wua_onnx.model.load import load
from wua_onnx.observe.attribution import CONSTANT, INSERTED, REMOVED
from wua_onnx.observe.marked import marked
from wua_onnx.observe.profile import Profile

from .models import convolutions, fusions
from .replay import MODELS, model_and_count, profile, replayed


def parts(found: Profile) -> dict[str, str]:
    """What was run for which nodes."""
    return {" ".join(part.nodes): " ".join(op.split("::")[-1] for op in part.kernels) for part in found.timed}


FUSED = {
    "convolutions": {
        "stem stem_relu": "Conv",
        "branch residual out_relu": "Conv",
        "last last_relu": "Conv",
        "turn": "ReorderOutput",
        "head": "MatMul",
    },
    "fusions": {
        "product shift": "Gemm",
        "gelu_div gelu_erf gelu_add gelu_mul gelu_half": "Gelu",
        "again": "Softmax",
        "join": "Concat",
        "swish": "HardSigmoid Mul",
        "unused": "Exp",
        "end": "Sub",
    },
    "loop": {"before": "Exp", "turns": "Loop", "after": "Sin"},
}


@pytest.mark.parametrize(("name", "expected"), FUSED.items())
def test_fused_kernels_are_given_all_their_nodes(name: str, expected: dict[str, str]) -> None:
    assert parts(profile(name)) == expected


@pytest.mark.parametrize("name", [name for name in MODELS if name.endswith("_unoptimised")])
def test_unoptimised_every_node_is_its_own(name: str) -> None:
    _, counted = model_and_count(name)
    found = profile(name)
    assert sorted(part.nodes for part in found.timed) == sorted((node.name,) for node in counted)
    assert not found.unattributed
    assert not found.absent


@pytest.mark.parametrize("with_graph", [True, False])
@pytest.mark.parametrize("name", MODELS)
def test_every_kernel_and_every_node_is_in_one_place(name: str, with_graph: bool) -> None:
    _, counted = model_and_count(name)
    found = profile(name, with_graph=with_graph)
    nodes = [node for part in found.timed for node in part.nodes] + [part.name for part in found.absent]
    assert sorted(nodes) == sorted(node.name for node in counted)
    kernels = replayed(name, with_graph=with_graph).kernels
    ran = [op for part in found.timed for op in part.kernels] + [part.op for part in found.unattributed]
    assert sorted(ran) == sorted(kernel.op for kernel in kernels)


def test_what_onnxruntime_inserts_is_listed() -> None:
    listed = [(part.op, part.reason) for part in profile("convolutions").unattributed]
    assert listed == [("com.microsoft.nchwc::ReorderInput", INSERTED)]


def test_nodes_without_a_kernel_are_listed_with_the_reason() -> None:
    listed = {part.name: part.reason for part in profile("fusions").absent}
    assert listed == {"folded": CONSTANT, "first": "the same work as node 'again': done once"}


def test_by_names_alone_what_they_tell_is_attributed_and_the_rest_listed() -> None:
    """Without the optimised graph: fused convolutions bear names of their outputs, `Gelu` bears none."""
    fused = parts(profile("convolutions", with_graph=False))
    assert fused["stem stem_relu"] == "Conv"
    assert fused["branch residual out_relu"] == "Conv"
    found = profile("fusions", with_graph=False)
    assert [part.op for part in found.unattributed] == ["Gelu", "HardSigmoid", "Mul"]
    assert parts(found)["product"] == "Gemm"
    removed = ["shift", "gelu_div", "gelu_erf", "gelu_add", "gelu_mul", "gelu_half", "swish"]
    assert [part.name for part in found.absent if part.reason == REMOVED] == removed


def test_marks_tell_the_node_however_it_was_called() -> None:
    model = convolutions()
    for node in model.graph.node:
        node.name = 'node7_" },'
    marks = marked(load(model))
    assert marks.nodes_in("node1_v0_nchwc") == {1}
    assert marks.nodes_in("node0_/MatMulAddFusion") == {0}
    assert marks.nodes_in("Gelu_token_3") == frozenset()
    assert b'" },' not in marks.model


def test_marks_are_told_from_names_that_look_like_one() -> None:
    model = fusions()
    for node in model.graph.node:
        for position, value in enumerate(node.input):
            node.input[position] = "node3_v0" if value == "bias" else value
    model.graph.initializer[1].name = "node3_v0"
    marks = marked(load(model))
    assert marks.nodes_in("node3_v0") == frozenset()
    assert marks.nodes_in(f"{marks.prefix}3_v0") == {3}
