"""What the experts of onnxruntime's MoE compute, a second time beside the operator.

Every expert is computed for every token, which costs `experts / k` times what the operator does, and the tokens that
are not routed to an expert count as 0 for its neurons: an expert that is rarely asked does little.
https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.MoE
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import numpy as np
import onnx_ir as ir

from wua_onnx.layers.activation_functions import OPERATORS, Function
from wua_onnx.layers.side import Side, Writer, graph_of, placeholder
from wua_onnx.layers.weights import resolve
from wua_onnx.model.node import NodeView

MOST_NEURONS = 2**16  # of all experts together, which are in memory for each token of a run
FUNCTIONS: dict[str, Function | None] = {
    "gelu": OPERATORS["FastGelu"],
    "identity": None,
    "relu": OPERATORS["Relu"],
    "silu": OPERATORS["Swish"],
    "swiglu": None,  # halves of the neurons that take part in different ways: read before it
}
_EINSUM = 12  # opset from which there is an Einsum
_INPUTS = (0, 1, 2, 3, 4, 5)  # tokens, scores of the router, fc1 and its bias, fc2 and its bias


def function_of(node: NodeView) -> str:
    """Return the name of the activation function inside of an MoE."""
    name = node.attr("activation_type", b"relu")
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)


def unread(node: NodeView, neurons: int) -> str | None:
    """Return why what the experts compute is not computed beside the operator; None where it is.

    Args:
        node: the operator.
        neurons: of all its experts together, in one of its two matrices.
    """
    if node.op_type != "MoE" or node.has(6):
        return "experts of a few bits, or with a third matrix, are not computed beside it"
    if function_of(node) not in FUNCTIONS or node.attr("use_sparse_mixer", 0):
        return "its activation function or its way of routing is not known"
    if function_of(node) == "swiglu" and node.attr("swiglu_fusion", 0) != 1:
        return "its activation function reads halves that are stored in another way"
    opset = node.model.ir_model.opset_imports.get("") or 0
    if opset < _EINSUM or isinstance(resolve(node.input(2), node.model), str):
        return "its experts are computed beside it from opset 12 on, and where they are constants"
    most = max(neurons, math.prod(_sizes(node)[:2]))
    if most > MOST_NEURONS:
        return f"its {most:,} neurons are too many to compute all of them for every token"
    return None


def side(node: NodeView, parameter: str, neurons: int) -> Side | None:
    """Return what computes the neurons of matrix `parameter`, fc1 or fc2; None where the rank is not known."""
    tokens = node.input(0)
    value = None if tokens is None else placeholder(tokens, tokens.dtype, neurons)
    if tokens is None or value is None or value.shape is None:
        return None
    compute = partial(_computed, node=node, parameter=parameter, neurons=neurons)
    return Side(value=value, axes=(len(value.shape) - 1,), inputs=tuple(map(node.input, _INPUTS)), compute=compute)


def _computed(
    writer: Writer, inputs: Sequence[ir.Value | None], *, node: NodeView, parameter: str, neurons: int
) -> ir.Value:
    tokens, scores, *_ = inputs
    assert tokens is not None
    assert scores is not None
    at = _Place(writer, graph_of(tokens) or graph_of(scores), tokens.dtype or ir.DataType.FLOAT)
    flat = at.op("Reshape", tokens, at.integers(-1, _sizes(node)[2]))
    hidden = _product(at, "ti,eoi->teo", flat, inputs[2], inputs[3])
    result = _ACTIVATIONS[function_of(node)](at, hidden, node) if (parameter, function_of(node)) != _OWN else hidden
    if parameter == "fc2":
        result = _product(at, "tei,eoi->teo", result, inputs[4], inputs[5])
    routed = at.op("Mul", result, _routed(at, scores, node))
    shape = at.op("Slice", at.op("Shape", tokens), at.integers(0), at.integers(-1))
    return at.op("Reshape", routed, at.op("Concat", shape, at.integers(neurons), axis=0))


_OWN = ("fc1", "swiglu")  # read at the layer's own output


def _sizes(node: NodeView) -> tuple[int, int, int]:
    """Return how many experts there are, and how many neurons and features in the first matrix of one."""
    source = resolve(node.input(2), node.model)
    assert not isinstance(source, str)  # declined before
    experts, neurons, features = source.shape if len(source.shape) == 3 else (0, 0, 0)
    return experts, neurons, features


@dataclass(frozen=True, slots=True)
class _Place:
    """Where operators are added, and of which type their constants are."""

    writer: Writer
    graph: ir.Graph | None
    dtype: ir.DataType

    def op(self, op: str, *inputs: ir.Value | None, **attributes: int | str) -> ir.Value:
        result: ir.Value = self.writer.op(op, inputs, self.graph, **attributes)
        return result

    def integers(self, *numbers: int) -> ir.Value:
        return self.writer.integers(numbers, self.graph)

    def number_of(self, truth: ir.Value) -> ir.Value:
        truth.dtype = ir.DataType.BOOL
        result = self.op("Cast", truth, to=int(self.dtype))
        result.dtype = self.dtype
        return result

    def number(self, value: float) -> ir.Value:
        return self.writer.constant(np.asarray(value, self.dtype.numpy()), self.graph)


def _product(at: _Place, equation: str, operand: ir.Value, weight: ir.Value | None, bias: ir.Value | None) -> ir.Value:
    product = at.op("Einsum", operand, weight, equation=equation)
    product.dtype = at.dtype
    return product if bias is None else at.op("Add", product, bias)


def _routed(at: _Place, scores: ir.Value, node: NodeView) -> ir.Value:
    """1 for each token's `k` experts with the highest scores, of which fewer than `k` are higher; else 0.

    Shape (tokens, experts, 1). Scores that are exactly equal count for every one of them.
    """
    experts = _sizes(node)[0]
    own, others = (at.op("Reshape", scores, at.integers(*shape)) for shape in ((-1, experts, 1), (-1, 1, experts)))
    higher = at.number_of(at.op("Greater", others, own))
    rank = at.op("Einsum", higher, equation="tef->te")
    routed = at.number_of(at.op("Less", rank, at.number(int(node.attr("k", 1)))))
    return at.op("Reshape", routed, at.integers(-1, experts, 1))


def _gelu(at: _Place, x: ir.Value, node: NodeView) -> ir.Value:
    cube = at.op("Mul", at.op("Mul", at.op("Mul", x, x), x), at.number(0.044715))
    inner = at.op("Tanh", at.op("Mul", at.op("Add", x, cube), at.number(math.sqrt(2 / math.pi))))
    return at.op("Mul", at.op("Mul", x, at.number(0.5)), at.op("Add", inner, at.number(1.0)))


def _silu(at: _Place, x: ir.Value, node: NodeView) -> ir.Value:
    return at.op("Mul", x, at.op("Sigmoid", x))


def _swiglu(at: _Place, x: ir.Value, node: NodeView) -> ir.Value:
    """`g sigmoid(α g) (l + β)`, gates g and l one after the other, both within a limit."""
    limit, alpha, beta = (node.attr(name) for name in ("swiglu_limit", "activation_alpha", "activation_beta"))
    parts = [at.op("Slice", x, at.integers(n), at.integers(2**31 - 1), at.integers(2), at.integers(2)) for n in (0, 1)]
    if limit is not None:
        low, high = at.number(-limit), at.number(limit)
        parts = [at.op("Min", parts[0], high), at.op("Max", at.op("Min", parts[1], high), low)]
    gate = at.op("Sigmoid", at.op("Mul", parts[0], at.number(1.0 if alpha is None else alpha)))
    linear = at.op("Add", parts[1], at.number(0.0 if beta is None else beta))
    return at.op("Mul", at.op("Mul", parts[0], gate), linear)


_Activate: TypeAlias = Callable[[_Place, ir.Value, NodeView], ir.Value]
_ACTIVATIONS: dict[str, _Activate] = {
    "gelu": _gelu,
    "identity": lambda at, x, node: x,
    "relu": lambda at, x, node: at.op("Relu", x),
    "silu": _silu,
    "swiglu": _swiglu,
}
