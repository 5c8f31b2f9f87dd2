"""Activation functions that an operator applies itself: onnxruntime joins them with the layer before."""

from __future__ import annotations

from dataclasses import replace

from wua_onnx.layers.activation_functions import OPERATORS, Function, unnamed
from wua_onnx.model.graph import NodeView

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
