"""RNN, GRU and LSTM: H hidden units, I inputs, S steps (sequence × batch × directions)."""

from __future__ import annotations

from wua_onnx.cost.registry import rule
from wua_onnx.cost.rules.activations import SIGMOID
from wua_onnx.cost.rules.quantization import QUANTISED, RANGE
from wua_onnx.cost.value import Cost
from wua_onnx.errors import ShapeError
from wua_onnx.model.dims import Dim, product
from wua_onnx.model.node import NodeView, ShapeUnknown

# The functions that the specification names, by their formulas.
_FUNCTIONS = {
    "relu": Cost(compare=1),
    "tanh": Cost(special=1),
    "sigmoid": SIGMOID,
    "affine": Cost(mul=1, add=1),
    "leakyrelu": Cost(compare=1, mul=1),
    "thresholdedrelu": Cost(compare=1),
    "scaledtanh": Cost(mul=2, special=1),
    "hardsigmoid": Cost(mul=1, add=1, compare=2),
    "elu": Cost(compare=1, special=1, add=1, mul=1),
    "softsign": Cost(add=2, div=1),
    "softplus": Cost(special=2, add=1),
}
_DIRECTIONS = {"forward": 1, "reverse": 1, "bidirectional": 2}


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _directions(node: NodeView) -> int:
    name = _text(node.attr("direction", "forward")).lower()
    if name not in _DIRECTIONS:
        raise ShapeError(f"{node.where}: direction: expected forward, reverse or bidirectional, got {name[:40]!r}")
    return _DIRECTIONS[name]


def _functions(node: NodeView, default: tuple[str, ...]) -> list[Cost]:
    """Return the cost of each activation function of one hidden unit, summed over the directions, clipping included."""
    directions = _directions(node)
    names = [_text(name).lower() for name in node.attr("activations") or default * directions]
    unknown = sorted(set(names) - set(_FUNCTIONS))
    if unknown or len(names) < len(default) * directions:
        raise ShapeUnknown(f"activations: expected {len(default) * directions} known functions, got {names}"[:200])
    clip = Cost(compare=2) if node.node.attributes.get("clip") is not None else Cost()
    costs = [_FUNCTIONS[name] + clip for name in names]
    return [sum((costs[at + d * len(default)] for d in range(directions)), start=Cost()) for at in range(len(default))]


def steps_of(node: NodeView) -> Dim:
    """Return time steps × batch of one direction: the valid ones where constant sequence lengths tell them."""
    shape = node.shape(0)
    if len(shape) != 3:
        raise ShapeError(f"{node.where}: X: expected 3 dimensions, got shape {shape}")
    lengths = node.const(4)
    longest = shape[1] if node.attr("layout", 0) else shape[0]
    if lengths is not None and isinstance(longest, int):
        return int(lengths.clip(0, longest).sum())
    return shape[0] * shape[1]


def _products(node: NodeView, gates: int) -> tuple[Dim, Cost]:
    """Return (H, cost per step and direction of the products with W and R, their sum and the bias)."""
    hidden, inputs = node.shape(2)[-1], node.shape(0)[-1]
    node.expect("rows of W", node.shape(1)[1], hidden * gates)
    node.expect("columns of W", node.shape(1)[2], inputs)
    units = hidden * gates
    return hidden, Cost(macs=units * (inputs + hidden), add=units * (2 if node.has(3) else 1))


def _bias_sum(node: NodeView, gates: int) -> Cost:
    """Return the cost of Wb + Rb, once a run and direction: nothing for constants (convention 6)."""
    bias = node.input(3)
    if bias is None or bias in node.model.constants:
        return Cost()
    return Cost(add=node.shape(2)[-1] * (gates * _directions(node)))


@rule("RNN")
def rnn(node: NodeView) -> Cost:
    """macs = S·H·(I + H); per step and unit: add = 1, 1 more for a bias, and the activation function.

    f(X·W + h·R + (Wb + Rb)), the two biases added once. https://onnx.ai/onnx/operators/onnx__RNN.html
    """
    hidden, products = _products(node, 1)
    (f,) = _functions(node, ("tanh",))
    return (products * _directions(node) + f * hidden) * steps_of(node) + _bias_sum(node, 1)


@rule("GRU")
def gru(node: NodeView) -> Cost:
    """macs = 3·S·H·(I + H); per step and unit: mul = 3, add = 5, 3 more for a bias, and 3 activation functions.

    h = (1 − z)·g + z·h, with z and r from f, and r times h before its product with R. With linear_before_reset after
    it, where Rb of that gate is an add of its own.
    https://onnx.ai/onnx/operators/onnx__GRU.html
    """
    hidden, products = _products(node, 3)
    f, g = _functions(node, ("sigmoid", "tanh"))
    apart = bool(node.attr("linear_before_reset", 0)) and node.has(3)
    per_unit = Cost(mul=3, add=3 if apart else 2) * _directions(node) + f * 2 + g
    once = _bias_sum(node, 2 if apart else 3)
    return (products * _directions(node) + per_unit * hidden) * steps_of(node) + once


@rule("LSTM")
def lstm(node: NodeView) -> Cost:
    """macs = 4·S·H·(I + H); per step and unit: mul = 3, add = 5, 4 more for a bias, and 5 activation functions.

    c = f·c + i·g, h = o·act(c); peepholes are 3 mul and 3 add more. https://onnx.ai/onnx/operators/onnx__LSTM.html
    """
    hidden, products = _products(node, 4)
    return (products * _directions(node) + gates_of_lstm(node) * hidden) * steps_of(node) + _bias_sum(node, 4)


def gates_of_lstm(node: NodeView) -> Cost:
    """Return the cost of one unit in one step, all directions: the gates and their functions, without the products."""
    f, g, h = _functions(node, ("sigmoid", "tanh", "tanh"))
    gates = Cost(mul=3, add=1) + (Cost(mul=3, add=3) if node.has(7) else Cost())
    return gates * _directions(node) + f * 3 + g + h


@rule("DynamicQuantizeLSTM", domain="com.microsoft", by_dtype=False)
def dynamic_quantize_lstm(node: NodeView) -> Cost:
    """int_macs = 4·S·H·(I + H), all else as LSTM; X and, in every step, h as DynamicQuantizeMatMul quantises A.

    mul = 8·S·H for the scales of the products; int_ops = S·(I + H) for the zero points of X and h.
    https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
    """
    shape, hidden, directions = node.shape(0), int(node.attr("hidden_size", 0)), _directions(node)
    inputs, steps = shape[-1], steps_of(node)
    node.expect("rows and columns of W", node.shape(1)[1:], (inputs, 4 * hidden))
    macs = hidden * 4 * (inputs + hidden)
    adds = hidden * 4 * (2 if node.has(3) else 1)
    per_step = Cost(macs=macs, int_macs=macs, int_ops=macs * 2 + inputs + hidden, mul=hidden * 8, add=adds)
    state = QUANTISED * hidden
    recurring = (per_step + state) * directions + gates_of_lstm(node) * hidden
    once = QUANTISED * product(shape) + RANGE * (1 + shape[0] * directions)
    return recurring * steps + once + _bias_sum(node, 4)
