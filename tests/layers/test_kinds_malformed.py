"""Operators that hold weights, with inputs and attributes that make no sense: declined with a reason, or refused."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from wua_onnx.errors import WuaError
from wua_onnx.layers import find_layers, registry
from wua_onnx.model import load

from .graphs import MICROSOFT, model, rand

WHOLE = ("transA", "transB", "group", "axis", "K", "N", "bits", "block_size", "quant_type", "gather_axis")
MORE = ("quantize_axis", "layout", "channels_last", "k", "expert_weight_bits", "num_heads", "transBatchA")
TEXTS = ("", "Relu", "Clip", "nonsense", "ij,jk->ik", "ab,ab", "...a,a...->a", "aab,bc->ac", ",->", "i,j,k")
SHAPES: tuple[tuple[int, ...], ...] = (
    (),
    (1,),
    (5,),
    (5, 3),
    (3, 5),
    (2, 5, 3),
    (3, 1, 8),
    (0, 3),
    (5, 3, 2, 2),
    (16,),
)
TYPES: tuple[Any, ...] = (np.float32, np.int8, np.uint8, np.float16, np.int64)


def operators() -> list[tuple[str, str]]:
    registry._load()
    return sorted(registry._KINDS)


def attributes(rng: random.Random) -> dict[str, Any]:
    found: dict[str, Any] = {name: rng.choice([-7, -1, 0, 1, 2, 4, 8, 10**12]) for name in rng.sample(WHOLE + MORE, 4)}
    return found | {name: rng.choice(TEXTS) for name in rng.sample(("equation", "activation", "direction"), 2)}


def network(op: str, domain: str, rng: random.Random) -> onnx.ModelProto:
    names: list[str] = []
    inputs, weights = [], []
    for index in range(rng.randint(0, 13)):
        kind = rng.choice(["none", "data", "data", "weight", "weight", "weight"])
        names.append("" if kind == "none" else f"{kind}{index}")
        if kind == "data":
            shape: Any = rng.choice([None, ["N", 5], [1, 2, 5], ["N", 3, 4, 4], []])
            dtype = rng.choice([TensorProto.FLOAT, TensorProto.UINT8, TensorProto.INT64])
            inputs.append(helper.make_tensor_value_info(names[-1], dtype, shape))
        elif kind == "weight":
            numbers = np.arange(900) % 9
            shape_of_it = rng.choice(SHAPES)
            size = int(np.prod(shape_of_it, dtype=np.int64))
            array = numbers[:size].reshape(shape_of_it).astype(rng.choice(TYPES))
            weights.append(numpy_helper.from_array(array, names[-1]))
    node = helper.make_node(op, names, ["y"], domain=domain, **attributes(rng))
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph([node], "g", inputs, [output], weights)
    imports = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=imports, ir_version=10)


@pytest.mark.parametrize(("domain", "op"), operators(), ids=lambda part: part or "onnx")
def test_nothing_crashes_and_the_account_is_complete(domain: str, op: str) -> None:
    rng = random.Random(f"{domain} {op}")
    for _ in range(60):
        proto = network(op, domain, rng)
        try:
            loaded = load(proto)
        except WuaError:
            continue
        found = find_layers(loaded, normalization=True)
        stored = sum(layer.stored for layer in found.by_name.values())
        assert stored + sum(item.elements for item in found.declined) == found.parameters
        assert all(item.reason for item in found.declined)
        for layer in found.by_name.values():
            assert layer.weight().shape == layer.shape


BYTES = np.zeros((3, 1, 8), np.uint8)
# nodes, weights, the reason for w
UNFIT: dict[str, tuple[str, dict[str, Any], str]] = {
    "no scale": (
        "q = Cast<to = 2>(x) y = com.microsoft.QGemm(q, one, , w, , )",
        {"w": np.ones((5, 3), np.int8), "one": np.float32(1)},
        "QGemm: its scale is missing",
    ),
    "scales of another size": (
        "y = com.microsoft.DynamicQuantizeMatMul(x, w, s)",
        {"w": np.ones((5, 3), np.int8), "s": rand(7)},
        "DynamicQuantizeMatMul: expected scales for a weight of shape [5, 3], got [7]",
    ),
    "computed scales": (
        "s = Softmax(r) y = com.microsoft.DynamicQuantizeMatMul(x, w, s)",
        {"w": np.ones((5, 3), np.int8), "r": rand(3)},
        "DynamicQuantizeMatMul: its scales are not constant (computed from constants by Softmax)",
    ),
    "packed for another size": (
        "y = com.microsoft.MatMulNBits<K = 5, N = 4, bits = 4, block_size = 16>(x, w, s)",
        {"w": BYTES, "s": rand(4, 1)},
        "MatMulNBits: expected packed weights for 4 x 5, got [3, 1, 8]",
    ),
    "blocks without a scale": (
        "y = com.microsoft.MatMulNBits<K = 5, N = 3, bits = 4, block_size = 16>(x, w, s)",
        {"w": BYTES, "s": rand(2, 1)},
        "MatMulNBits: scales or zero points of another size than its blocks",
    ),
    "an order of its own": (
        "y = com.microsoft.MatMulNBits<K = 5, N = 3, bits = 4, block_size = 16>(x, w, s, , g)",
        {"w": BYTES, "s": rand(3, 1), "g": np.zeros(5, np.int32)},
        "MatMulNBits: weights that are reordered",
    ),
    "groups that do not divide": (
        "y = ConvTranspose<group = 2>(i, w)",
        {"w": rand(5, 3, 1)},
        "ConvTranspose: expected filters in groups, got a weight of shape [5, 3, 1]",
    ),
}


@pytest.mark.parametrize("case", UNFIT)
def test_weights_whose_scales_do_not_fit_are_declined(case: str) -> None:
    nodes, weights, reason = UNFIT[case]
    text = f"(float[N, 5] x, float[N, 5, 7] i) => (float[] y) {{ {nodes} }}"
    found = find_layers(load(model(text, weights, also=MICROSOFT)))
    assert not found.by_name
    assert {item.name: item.reason for item in found.declined}["w"].startswith(reason)
