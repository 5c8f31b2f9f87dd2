"""Arithmetic and comparisons, element by element; inputs broadcast, so the output's elements are counted."""

from __future__ import annotations

from wua_onnx.cost.registry import rule
from wua_onnx.cost.value import Cost
from wua_onnx.model.dims import Dim
from wua_onnx.model.node import NodeView


def _folds(node: NodeView) -> Dim:
    """Return the operations of folding n inputs into one: (n − 1) for each element of the output."""
    return node.out_size() * max(len(node.node.inputs) - 1, 0)


@rule("Add")
@rule("Sub")
@rule("Neg")
@rule("Abs")
def add(node: NodeView) -> Cost:
    """add = elements of the output.

    https://onnx.ai/onnx/operators/onnx__Add.html
    """
    return Cost(add=node.out_size())


@rule("Mul")
def mul(node: NodeView) -> Cost:
    """mul = elements of the output.

    https://onnx.ai/onnx/operators/onnx__Mul.html
    """
    return Cost(mul=node.out_size())


@rule("Div")
@rule("Mod")
@rule("Reciprocal")
def div(node: NodeView) -> Cost:
    """div = elements of the output.

    A remainder is one division. https://onnx.ai/onnx/operators/onnx__Div.html
    """
    return Cost(div=node.out_size())


@rule("Sum")
def sum_(node: NodeView) -> Cost:
    """add = (inputs − 1) × elements of the output.

    https://onnx.ai/onnx/operators/onnx__Sum.html
    """
    return Cost(add=_folds(node))


@rule("Mean")
def mean(node: NodeView) -> Cost:
    """add = (inputs − 1) × elements of the output; div = elements of the output.

    https://onnx.ai/onnx/operators/onnx__Mean.html
    """
    return Cost(add=_folds(node), div=node.out_size())


@rule("Max")
@rule("Min")
def extreme(node: NodeView) -> Cost:
    """compare = (inputs − 1) × elements of the output.

    https://onnx.ai/onnx/operators/onnx__Max.html
    """
    return Cost(compare=_folds(node))


@rule("Equal")
@rule("Greater")
@rule("GreaterOrEqual")
@rule("Less")
@rule("LessOrEqual")
@rule("Floor")
@rule("Ceil")
@rule("Round")
@rule("Sign")
@rule("IsNaN")
@rule("IsInf")
def compare(node: NodeView) -> Cost:
    """compare = elements of the output (rounding is a comparison, convention 2).

    https://onnx.ai/onnx/operators/onnx__Less.html
    """
    return Cost(compare=node.out_size())


@rule("Clip")
def clip(node: NodeView) -> Cost:
    """compare = bounds given × elements of the output.

    Bounds are attributes below opset 11 and inputs from there on. https://onnx.ai/onnx/operators/onnx__Clip.html
    """
    attributes = node.node.attributes
    bounds = sum(node.has(index) or name in attributes for index, name in ((1, "min"), (2, "max")))
    return Cost(compare=node.out_size() * bounds)


@rule("Acos")
@rule("Acosh")
@rule("Asin")
@rule("Asinh")
@rule("Atan")
@rule("Atanh")
@rule("Cos")
@rule("Cosh")
@rule("Erf")
@rule("Exp")
@rule("Log")
@rule("Pow")
@rule("Sin")
@rule("Sinh")
@rule("Sqrt")
@rule("Tan")
@rule("Tanh")
def special(node: NodeView) -> Cost:
    """special = elements of the output.

    Whatever the exponent of Pow, as the graph says. https://onnx.ai/onnx/operators/onnx__Exp.html
    """
    return Cost(special=node.out_size())
