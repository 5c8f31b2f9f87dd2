"""Elementwise operators on NumPy arrays: enough of them to see what a decomposed activation function computes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import onnx_ir as ir

from wua_onnx.model.node import NodeView

Array: TypeAlias = np.ndarray[Any, Any]
Evaluate: TypeAlias = "Callable[[NodeView, Sequence[Array | None]], Array]"

_erf = np.vectorize(math.erf, otypes=[np.float64])


def sigmoid(x: Array) -> Array:
    """Return 1 / (1 + exp(-x))."""
    return np.asarray(1 / (1 + np.exp(-x)))


def softplus(x: Array) -> Array:
    """Return ln(1 + exp(x))."""
    return np.asarray(np.logaddexp(0, x))


def elu(x: Array, alpha: float = 1.0) -> Array:
    """Return x, and alpha (exp(x) - 1) below 0."""
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def normal_cdf(x: Array) -> Array:
    """Return the probability that a standard normal variable lies below x."""
    return np.asarray((1 + _erf(x / math.sqrt(2))) / 2)


def gelu_tanh(x: Array) -> Array:
    """Return x times the approximation of `normal_cdf` by a hyperbolic tangent (arXiv:1606.08415, section 2)."""
    return np.asarray(x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2)


def _clip(node: NodeView, arguments: Sequence[Array | None]) -> Array:
    x, low, high = [*arguments, None, None][:3]
    assert x is not None
    low, high = (node.attr(name) if given is None else given for name, given in (("min", low), ("max", high)))
    return np.clip(x, -np.inf if low is None else low, np.inf if high is None else high)


def _cast(node: NodeView, arguments: Sequence[Array | None]) -> Array:
    """Keep real numbers as precise as they are; numbers become truth values and whole ones, truth values 0 and 1."""
    (x,), kind = arguments, ir.DataType(node.attr("to"))
    assert x is not None
    if kind == ir.DataType.BOOL:
        return np.asarray(x != 0)
    return x.astype(np.float64) if kind.is_floating_point() else np.trunc(x.astype(np.float64))


def _gelu(node: NodeView, arguments: Sequence[Array | None]) -> Array:
    (x,) = arguments
    assert x is not None
    return x * normal_cdf(x) if node.attr("approximate", b"none") in (b"none", "none") else gelu_tanh(x)


def _swish(node: NodeView, arguments: Sequence[Array | None]) -> Array:
    (x,) = arguments
    assert x is not None
    return np.asarray(x * sigmoid(float(node.attr("alpha", 1.702 if node.op_type == "QuickGelu" else 1.0)) * x))


def _plain(function: Callable[..., Any]) -> Evaluate:
    return lambda node, arguments: np.asarray(function(*arguments))


def _with(function: Callable[..., Any], *attributes: str) -> Evaluate:
    return lambda node, arguments: np.asarray(function(*arguments, *(node.attr(name) for name in attributes)))


EVALUATE: dict[str, Evaluate] = {
    "Abs": _plain(np.abs),
    "Add": _plain(np.add),
    "And": _plain(np.logical_and),
    "Asinh": _plain(np.arcsinh),
    "Atan": _plain(np.arctan),
    "Cast": _cast,
    "Clip": _clip,
    "Cos": _plain(np.cos),
    "Cosh": _plain(np.cosh),
    "Div": _plain(np.divide),
    "Elu": _with(elu, "alpha"),
    "Equal": _plain(np.equal),
    "Erf": _plain(_erf),
    "Exp": _plain(np.exp),
    "Gelu": _gelu,
    "Greater": _plain(np.greater),
    "GreaterOrEqual": _plain(np.greater_equal),
    "HardSigmoid": _with(lambda x, a, b: np.clip(a * x + b, 0, 1), "alpha", "beta"),
    "HardSwish": _plain(lambda x: x * np.clip(x / 6 + 0.5, 0, 1)),
    "Identity": _plain(lambda x: x),
    "LeakyRelu": _with(lambda x, a: np.where(x < 0, a * x, x), "alpha"),
    "Less": _plain(np.less),
    "LessOrEqual": _plain(np.less_equal),
    "Log": _plain(np.log),
    "Max": _plain(lambda *xs: np.maximum.reduce(np.broadcast_arrays(*xs))),
    "Min": _plain(lambda *xs: np.minimum.reduce(np.broadcast_arrays(*xs))),
    "Mul": _plain(np.multiply),
    "Neg": _plain(np.negative),
    "Not": _plain(np.logical_not),
    "Or": _plain(np.logical_or),
    "PRelu": _plain(lambda x, slope: np.where(x < 0, slope * x, x)),
    "Pow": _plain(np.power),
    "QuickGelu": _swish,
    "Reciprocal": _plain(np.reciprocal),
    "Relu": _plain(lambda x: np.maximum(x, 0)),
    "Sigmoid": _plain(sigmoid),
    "Sign": _plain(np.sign),
    "Sin": _plain(np.sin),
    "Sinh": _plain(np.sinh),
    "Softplus": _plain(softplus),
    "Sqrt": _plain(np.sqrt),
    "Sub": _plain(np.subtract),
    "Sum": _plain(lambda *xs: sum(xs[1:], xs[0])),
    "Swish": _swish,
    "Tanh": _plain(np.tanh),
    "Where": _plain(np.where),
}
