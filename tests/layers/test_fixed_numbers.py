"""Weights that are cut at places which the graph computes from shapes."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn

import wua_onnx as wua
from wua_onnx.layers import find_layers
from wua_onnx.model import load

from .graphs import model, rand, run

# The first third of w is cut out, at what Shape says of the features of x: axis 2 of 3.
CUT = """(float[N, T, 6] x) => (float[] y, float[] p, float[] z) {
    s = Shape(x) e = Gather(s, AXIS) b = Unsqueeze(e, zero)
    p = Slice(w, zero, b, zero) q = Slice(w, b, end, zero)
    t = Transpose(p) y = MatMul(x, t) u = Transpose(q) z = MatMul(x, u)
}"""
PLACES = {"axis": np.array(2), "batch": np.array(0), "zero": np.array([0]), "end": np.array([18])}


def cut_at(axis: str) -> onnx.ModelProto:
    weights = {name: value for name, value in PLACES.items() if name in (axis, "zero", "end")}
    return model(CUT.replace("AXIS", axis), {"w": rand(18, 6), **weights})


def test_parts_are_layers_of_their_own() -> None:
    found = find_layers(load(cut_at("axis"))).by_name
    x = rand(5, 3, 6, seed=1)
    y, p, _ = run(cut_at("axis"), {"x": x})
    np.testing.assert_array_equal(found["w[0:6]"].weight(), p.T)
    assert found["w[6:18]"].shape == (6, 12)
    audit = wua.analyze(cut_at("axis"), x)
    means = audit.layers["w[0:6]"].mean_activation
    assert means is not None
    np.testing.assert_allclose(means, np.abs(y).mean((0, 1)), rtol=1e-5)
    assert audit.coverage["analysed"] == 18 * 6


def test_a_place_that_depends_on_the_data_is_none() -> None:
    found = find_layers(load(cut_at("batch")))
    assert not found.by_name
    assert [(item.name, item.reason) for item in found.declined if item.elements == 18 * 6] == [
        ("w", "table of constants")
    ]


class Crossing(nn.Module):
    """Learned queries that attend to what comes in."""

    def __init__(self) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.randn(3, 6))
        self.attention = nn.MultiheadAttention(6, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.attention(self.queries.expand(x.shape[0], -1, -1), x, x, need_weights=False)[0]
        return result


def test_cross_attention_as_torchscript_writes_it(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network, x = Crossing().eval(), torch.randn(5, 4, 6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path, axes = tmp_path / "crossing.onnx", {"x": {0: "n"}}
        torch.onnx.export(network, (x,), path, dynamo=False, opset_version=17, input_names=["x"], dynamic_axes=axes)
    audit = wua.analyze(path, x.numpy())
    (block,) = audit.attention
    assert (block.heads, block.dead_heads) == (2, ())
    weight, bias = network.attention.in_proj_weight.detach(), network.attention.in_proj_bias.detach()
    queries = (network.queries.detach() @ weight[:6].T + bias[:6]).abs().mean(0)
    others = (x @ weight[6:].T + bias[6:]).abs().mean((0, 1))
    for name, expected in (("[0:6]", queries), ("[6:18]", others)):
        means = audit.layers[f"attention.in_proj_weight{name}"].mean_activation
        assert means is not None
        np.testing.assert_allclose(means, expected.numpy(), rtol=1e-4)
