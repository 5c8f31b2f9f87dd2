"""What is computed with dimensions beside sums, differences and products of two."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

from wua_onnx.model.dims.polynomial import Call, Dim, Expr, Monomial, Number, atom_key, make, terms_of, text


def primitive(dim: Dim) -> tuple[Dim, int]:
    """Return (p, n) with `dim = n * p`: n the largest such integer, and p = 1 where `dim` is a number."""
    if isinstance(dim, int):
        return 1, dim
    coefficients = [Fraction(c) for c in dim.terms.values()]
    if any(c.denominator != 1 for c in coefficients):
        return dim, 1
    common = math.gcd(*(c.numerator for c in coefficients))
    return (dim, 1) if common == 1 else (make({m: int(c) // common for m, c in dim.terms.items()}), common)


def divides(divisor: Dim, dim: Dim) -> Dim | None:
    """Return the exact quotient `dim / divisor`, or None where it cannot be shown to be a whole polynomial."""
    if isinstance(divisor, int) and isinstance(dim, int):
        return dim // divisor if divisor and dim % divisor == 0 else None
    divisor_terms = terms_of(divisor)
    if len(divisor_terms) != 1:
        return 1 if divisor == dim else None
    [(monomial, coefficient)] = divisor_terms.items()
    result: dict[Monomial, Number] = {}
    for numerator, c in terms_of(dim).items():
        powers = dict(numerator)
        for atom, power in monomial:
            powers[atom] = powers.get(atom, 0) - power
        quotient = Fraction(c) / Fraction(coefficient)
        if quotient.denominator != 1 or any(p < 0 for p in powers.values()):
            return None
        kept = tuple(sorted(((a, p) for a, p in powers.items() if p), key=lambda item: atom_key(item[0])))
        result[kept] = int(quotient)
    return make(result)


def floordiv(a: Dim, b: Dim) -> Dim:
    """Return `floor(a / b)`; raises ZeroDivisionError where `b` is 0."""
    if isinstance(b, int) and b == 0:
        raise ZeroDivisionError("dimension divided by 0")
    if isinstance(a, int) and isinstance(b, int):
        return a // b
    exact = divides(b, a)
    return exact if exact is not None else symbolic_call("floor", (a, b))


def ceildiv(a: Dim, b: Dim) -> Dim:
    """Return `ceil(a / b)`."""
    return floordiv(a * -1, b) * -1


def maximum(*dims: Dim) -> Dim:
    """Return the largest of `dims`, symbolic where it cannot be decided."""
    return _extreme("max", max, dims)


def minimum(*dims: Dim) -> Dim:
    """Return the smallest of `dims`, symbolic where it cannot be decided."""
    return _extreme("min", min, dims)


def _extreme(name: str, choose: Callable[[list[int]], int], dims: tuple[Dim, ...]) -> Dim:
    integers = [d for d in dims if isinstance(d, int)]
    expressions = {d for d in dims if isinstance(d, Expr)}
    if not expressions:
        return choose(integers)
    arguments: list[Dim] = sorted(expressions, key=text)
    if integers:
        arguments.append(choose(integers))
    return arguments[0] if len(arguments) == 1 else symbolic_call(name, tuple(arguments))


def symbolic_call(function: str, arguments: tuple[Dim, ...]) -> Dim:
    """Return the atom `function(arguments)` as a dimension; `function` is floor, max, min or mod."""
    return Expr({((Call(function, arguments), 1),): 1})


_APPLY: dict[str, Callable[..., Dim]] = {
    "floor": lambda a, b: floordiv(a, b),
    "max": lambda *a: maximum(*a),
    "min": lambda *a: minimum(*a),
    "mod": lambda a, b: a - b * floordiv(a, b),
}


def apply(function: str, *arguments: Dim) -> Dim:
    """Return floor, max, min or mod of `arguments`."""
    return _APPLY[function](*arguments)
