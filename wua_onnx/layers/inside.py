"""Activation functions that an operator applies itself: onnxruntime joins them with the layer before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np

from wua_onnx.layers.activation_functions import OPERATORS, Function, unnamed
from wua_onnx.layers.elementwise import elu, sigmoid, softplus
from wua_onnx.layers.function_values import GRID
from wua_onnx.model.node import NodeView

Array: TypeAlias = np.ndarray[Any, Any]

_OWN_NAMES = {"silu": OPERATORS["Swish"], "swish": OPERATORS["Swish"]}


def function_inside(node: NodeView) -> Function | None:
    """Return the function that attribute `activation` names; None where it names none."""
    given = node.attr("activation")
    name = given.decode("utf-8", "replace") if isinstance(given, bytes) else given
    if not isinstance(name, str) or name.lower() in ("", "none", "linear"):
        return None
    known = _OWN_NAMES.get(name.lower()) or OPERATORS.get(name) or unnamed([name])
    params = node.attr("activation_params") or [node.attr("activation_alpha", 0.0)]
    return replace(known, non_negative=params[0] >= 0) if name == "Clip" else known


# What onnxruntime joins with a convolution or a product, with its parameters in the order it keeps them.
APPLIED: dict[str, Callable[..., Any]] = {
    "Clip": np.clip,
    "Elu": elu,
    "HardSigmoid": lambda x, alpha, beta: np.clip(alpha * x + beta, 0, 1),
    "LeakyRelu": lambda x, alpha: np.where(x < 0, alpha * x, x),
    "Relu": lambda x: np.maximum(x, 0),
    "Sigmoid": sigmoid,
    "Softplus": softplus,
    "Softsign": lambda x: x / (1 + np.abs(x)),
    "Tanh": np.tanh,
}


def values_inside(node: NodeView) -> Array | None:
    """Return what the function that attribute `activation` names is on `GRID`; None where that is not known."""
    given = node.attr("activation")
    values = APPLIED.get(given.decode("utf-8", "replace") if isinstance(given, bytes) else given or "")
    named = (node.attr(f"activation_{name}") for name in ("alpha", "beta"))
    params = node.attr("activation_params") or [value for value in named if value is not None]
    try:
        return None if values is None else np.asarray(values(GRID, *params), np.float64)
    except (TypeError, ValueError):  # more or fewer parameters than the function has
        return None
