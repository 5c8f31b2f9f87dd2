"""Initializers that a graph cuts into parts: each a layer of its own, and the account of them complete."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from wua_onnx.layers import Layers, find_layers
from wua_onnx.layers.chunks import read_slab, slabs
from wua_onnx.model import load

from .graphs import Array, jacobian, model, rand
from .test_coverage import assert_complete

TALL, WIDE, BYTES = rand(7, 5), rand(5, 7), np.arange(-17, 18, dtype=np.int8).reshape(7, 5)
SCALES = np.array([0.5, 0.25, 2, 1, 3, 0.125, 0.75], np.float32)


def ints(*values: int) -> Array:
    return np.array(values, np.int64)


# opset, nodes from x of 5 features to a and b, initializers, names of the layers; 7 columns together
CASES: dict[str, tuple[int, str, dict[str, Any], list[str]]] = {
    "Split, sizes": (
        21,
        "p, q = Split(w, s) t = Transpose(p) a = MatMul(x, t) b = Gemm<transB = 1>(x, q)",
        {"w": TALL, "s": ints(3, 4)},
        ["w[0:3]", "w[3:7]"],
    ),
    "Split, sizes as an attribute": (
        11,
        "p, q = Split<axis = 1, split = [2, 5]>(w) a = MatMul(x, p) b = MatMul(x, q)",
        {"w": WIDE},
        ["w[:, 0:2]", "w[:, 2:7]"],
    ),
    "Split, equal parts but the last": (
        21,
        "p, q = Split<axis = -1, num_outputs = 2>(w) a = MatMul(x, p) b = MatMul(x, q)",
        {"w": WIDE},
        ["w[:, 0:4]", "w[:, 4:7]"],
    ),
    "Split of what is transposed": (
        21,
        "t = Transpose(w) p, q = Split<axis = 1>(t, s) a = MatMul(x, p) b = MatMul(x, q)",
        {"w": TALL, "s": ints(6, 1)},
        ["w[0:6]", "w[6:7]"],
    ),
    "Split of a part": (
        21,
        "p, q = Split<axis = 1>(w, s) u, v = Split<axis = 1>(p, r) a = MatMul(x, u) c = MatMul(x, v) d = MatMul(x, q) "
        "b = Concat<axis = 1>(c, d)",
        {"w": WIDE, "s": ints(5, 2), "r": ints(2, 3)},
        ["w[:, 0:2]", "w[:, 2:5]", "w[:, 5:7]"],
    ),
    "Slice": (
        21,
        "p = Slice(w, zero, three) q = Slice(w, three, far, zero) a = Gemm<transB = 1>(x, p) "
        "b = Gemm<transB = 1>(x, q)",
        {"w": TALL, "zero": ints(0), "three": ints(3), "far": ints(2**63 - 1)},
        ["w[0:3]", "w[3:7]"],
    ),
    "Slice, as attributes": (
        9,
        "p = Slice<starts = [0], ends = [-4], axes = [1]>(w) q = Slice<starts = [-4], ends = [99], axes = [1]>(w) "
        "a = MatMul(x, p) b = MatMul(x, q)",
        {"w": WIDE},
        ["w[:, 0:3]", "w[:, 3:7]"],
    ),
    "Slice, every second one": (
        21,
        "p = Slice(w, zero, far, one, two) q = Slice(w, one, far, one, two) a = MatMul(x, p) b = MatMul(x, q)",
        {"w": WIDE, "zero": ints(0), "one": ints(1), "two": ints(2), "far": ints(99)},
        ["w[:, 0:7:2]", "w[:, 1:6:2]"],
    ),
    "Slice, backwards": (
        21,
        "p = Slice(w, two, low, one, back) q = Slice(w, last, two, one, back) a = MatMul(x, p) b = MatMul(x, q)",
        {"w": WIDE, "one": ints(1), "two": ints(2), "last": ints(-1), "low": ints(-99), "back": ints(-1)},
        ["w[:, 2::-1]", "w[:, 6:2:-1]"],
    ),
    "Dequantize, Split": (
        21,
        "d = DequantizeLinear<axis = 0>(w, c) p, q = Split(d, s) a = Gemm<transB = 1>(x, p) b = Gemm<transB = 1>(x, q)",
        {"w": BYTES, "c": SCALES, "s": ints(3, 4)},
        ["w[0:3]", "w[3:7]"],
    ),
    "Split, Dequantize, the scales split, too": (
        21,
        "p, q = Split(w, s) c, d = Split(scales, s) u = DequantizeLinear<axis = 0>(p, c) "
        "v = DequantizeLinear<axis = 0>(q, d) a = Gemm<transB = 1>(x, u) b = Gemm<transB = 1>(x, v)",
        {"w": BYTES, "scales": SCALES, "s": ints(3, 4)},
        ["w[0:3]", "w[3:7]"],
    ),
    "Split, Cast, Reshape": (
        21,
        "p, q = Split<axis = 1>(w, s) c = Cast<to = 1>(p) d = Cast<to = 1>(q) u = Reshape(c, m) v = Reshape(d, n) "
        "a = MatMul(x, u) b = MatMul(x, v)",
        {"w": rand(1, 35, dtype=np.float16), "s": ints(15, 20), "m": ints(5, 3), "n": ints(5, 4)},
        ["w[:, 0:15]", "w[:, 15:35]"],
    ),
}


def found_in(case: str) -> tuple[Any, Layers]:
    opset, nodes, weights, _ = CASES[case]
    proto = model(f"(float[1, 5] x) => (float[] y) {{ {nodes} y = Concat<axis = 1>(a, b) }}", weights, opset=opset)
    return proto, find_layers(load(proto))


@pytest.mark.parametrize("case", CASES)
def test_parts_are_layers_with_the_weights_that_the_operators_apply(case: str) -> None:
    proto, found = found_in(case)
    assert list(found.by_name) == CASES[case][3]
    layers = found.by_name.values()
    np.testing.assert_allclose(np.hstack([layer.weight() for layer in layers]), jacobian(proto, (1, 5)), atol=2e-6)
    assert sum(layer.stored for layer in layers) == 35
    assert not [item for item in found.declined if item.name.startswith("w")]
    assert_complete(found)


@pytest.mark.parametrize("case", CASES)
def test_positions_are_those_of_the_whole_initializer(case: str) -> None:
    _, found = found_in(case)
    where = [layer.uses[0].positions(layer.model).ravel() for layer in found.by_name.values()]
    assert sorted(np.concatenate(where).tolist()) == list(range(35))


@pytest.mark.parametrize("case", [case for case in CASES if "Dequantize" not in case])
def test_slabs_of_a_part_are_read_from_the_file(case: str) -> None:
    _, found = found_in(case)
    for layer in found.by_name.values():
        pieces = slabs(layer, 4)
        assert pieces is not None
        read = [read_slab(layer, 0, piece)[0] for piece in pieces]
        np.testing.assert_array_equal(np.concatenate(read, pieces[0].axis), layer.weight())


def test_parts_are_named_by_the_module() -> None:
    nodes = "p, q = Split<axis = 1>(w, s) a = MatMul(x, p) b = MatMul(x, q) y = Concat<axis = 1>(a, b)"
    proto = model(f"(float[1, 5] x) => (float[] y) {{ {nodes} }}", {"w": WIDE, "s": ints(3, 4)})
    proto.graph.initializer[0].name = proto.graph.node[0].input[0] = "attention.in_proj.weight"
    found = find_layers(load(proto))
    assert list(found.by_name) == ["attention.in_proj[:, 0:3]", "attention.in_proj[:, 3:7]"]
    assert [layer.weight_name for layer in found.by_name.values()] == [
        "attention.in_proj.weight[:, 0:3]",
        "attention.in_proj.weight[:, 3:7]",
    ]


def test_one_part_used_twice_is_one_layer() -> None:
    """By the Split and by a Slice, and transposed: scored together, element by element."""
    proto = model(
        "(float[1, 5] x) => (float[] y) { p, q = Split<axis = 1>(w, s) u = Slice(w, two, far, one) t = Transpose(u) "
        "a = MatMul(x, q) b = MatMul(a, t) y = MatMul(b, u) }",
        {"w": WIDE, "s": ints(2, 5), "one": ints(1), "two": ints(2), "far": ints(99)},
    )
    found = find_layers(load(proto))
    (layer,) = found.by_name.values()
    assert (layer.name, layer.shape, len(layer.uses)) == ("w[:, 2:7]", (5, 5), 3)
    for index in range(3):
        np.testing.assert_array_equal(layer.aligned(layer.weight(index), index), WIDE[:, 2:])
    (rest,) = (item for item in found.declined if item.name.startswith("w"))
    assert (rest.name, rest.elements, rest.reason) == ("w (the rest)", 10, "no layer uses this part of it")
    assert_complete(found)


@pytest.mark.parametrize(
    ("nodes", "reason"),
    [
        ("p = Slice(w, zero, four, one) a = MatMul(x, p) q = Slice(w, two, far, one) b = MatMul(x, q)",
         "its parts [:, 0:4] and [:, 2:7] overlap"),
        ("p = Slice(w, zero, four, one) a = MatMul(x, p) b = MatMul(x, w)", "it is used both whole and in parts"),
        ("t = Reshape(w, turned) p, q = Split(t, s) a = Gemm<transB = 1>(x, p) b = Gemm<transB = 1>(x, q)",
         "Gemm: cut into parts behind Reshape (node 't')"),
        ("m = ReduceMax(w) c = Cast<to = 7>(m) z = Unsqueeze(c, zero) p = Slice(w, zero, z, one) a = MatMul(x, p) "
         "b = MatMul(x, p)",
         "MatMul: its shape is unknown"),
        ("p = Slice(w, far, far, one) a = MatMul(x, p) b = Relu(x)", "MatMul: a part without elements"),
    ],
)  # fmt: skip
def test_parts_that_cannot_be_layers_are_declined_with_the_reason(nodes: str, reason: str) -> None:
    constants = {"zero": ints(0), "one": ints(1), "two": ints(2), "four": ints(4), "far": ints(99), "s": ints(3, 4)}
    proto = model(
        f"(float[1, 5] x) => (float[] y) {{ {nodes} y = Concat<axis = 1>(a, b) }}",
        {"w": WIDE, "turned": ints(7, 5), **constants},
    )
    found = find_layers(load(proto))
    assert not found.by_name
    assert [(item.elements, item.reason) for item in found.declined if item.name == "w"] == [(35, reason)]
    assert_complete(found)
