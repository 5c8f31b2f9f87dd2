"""Reading a dimension's text, safely: `2*d0*floor(d1/2) + Max(1, d0)` becomes a `Dim`.

Exporters write expressions into dimension names, and shape inference writes its results as text. Nothing here
evaluates anything: Python's own parser builds a tree of bounded size, and only `+ - * / // %`, small powers,
floor, ceiling, max, min and mod of known names and integers are accepted.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping
from fractions import Fraction

from wua_onnx.model.dims import (
    Dim,
    Expr,
    ceildiv,
    divides,
    floordiv,
    maximum,
    minimum,
)

MAX_LENGTH = 400
_MAX_POWER, _MAX_INTEGER = 8, 2**63


class NotADimension(ValueError):  # noqa: N818 - reads as what it says
    """The text is no expression over the known names."""


def parse(text: str, known: Mapping[str, Dim]) -> Dim:
    """Return the dimension that `text` writes.

    Args:
        text: the expression, at most `MAX_LENGTH` characters.
        known: what each name stands for.

    Raises:
        NotADimension: too long, not parseable, an unknown name, or a form that no shape is made of.
    """
    if len(text) > MAX_LENGTH:
        raise NotADimension(f"longer than {MAX_LENGTH} characters")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise NotADimension(str(error)) from None
    return _dim(tree, known)


def _dim(node: ast.expr, known: Mapping[str, Dim]) -> Dim:
    match node:
        case ast.Constant(value=int(value)) if not isinstance(value, bool) and abs(value) < _MAX_INTEGER:
            return value
        case ast.Name(id=name) if name in known:
            return known[name]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return _dim(operand, known) * -1
        case ast.BinOp(left=left, op=op, right=right):
            return _binary(op, left, right, known)
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
            return _call(name.lower(), arguments, known)
    raise NotADimension(f"cannot read {ast.unparse(node)[:80]!r}")


def _binary(op: ast.operator, left: ast.expr, right: ast.expr, known: Mapping[str, Dim]) -> Dim:
    a, b = _dim(left, known), _dim(right, known)
    match op:
        case ast.Add():
            return a + b
        case ast.Sub():
            return a - b
        case ast.Mult():
            return a * b
        case ast.FloorDiv() if b != 0:
            return floordiv(a, b)
        case ast.Mod() if b != 0:
            return a - b * floordiv(a, b)
        case ast.Div() if b != 0:
            return _quotient(a, b)
        case ast.Pow() if isinstance(b, int) and 0 <= b <= _MAX_POWER:
            return a**b if isinstance(a, Expr) else int(a**b)
    raise NotADimension(f"cannot read {ast.unparse(left)[:40]} {type(op).__name__} {ast.unparse(right)[:40]}")


def _quotient(a: Dim, b: Dim) -> Dim:
    exact = divides(b, a)
    if exact is not None:
        return exact
    if isinstance(b, int):
        terms = a.terms if isinstance(a, Expr) else {(): a}
        return Expr({monomial: Fraction(c) / b for monomial, c in terms.items()})
    raise NotADimension("division by a symbol outside floor()")


def _rounded(argument: ast.expr, known: Mapping[str, Dim], up: bool) -> Dim:
    divide = ceildiv if up else floordiv
    if isinstance(argument, ast.BinOp) and isinstance(argument.op, ast.Div):
        denominator = _dim(argument.right, known)
        if denominator == 0:
            raise NotADimension("division by 0")
        return divide(_dim(argument.left, known), denominator)
    value = _dim(argument, known)
    if isinstance(value, int):
        return value
    common = math.lcm(*(Fraction(c).denominator for c in value.terms.values()))
    return divide(value * common, common)


def _call(name: str, arguments: list[ast.expr], known: Mapping[str, Dim]) -> Dim:
    if name in ("floor", "ceiling", "ceil") and len(arguments) == 1:
        return _rounded(arguments[0], known, up=name != "floor")
    if name in ("max", "min") and 1 <= len(arguments) <= 16:
        return (maximum if name == "max" else minimum)(*(_dim(a, known) for a in arguments))
    if name == "mod" and len(arguments) == 2:
        a, b = (_dim(argument, known) for argument in arguments)
        if b != 0:
            return a - b * floordiv(a, b)
    raise NotADimension(f"unknown function {name[:40]!r}")
