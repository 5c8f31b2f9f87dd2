"""From symbols to values: what dimensions depend on, and what they are once those are known."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from wua_onnx.model.dims.arithmetic import apply
from wua_onnx.model.dims.polynomial import Atom, Dim, make, symbol, text, total

if TYPE_CHECKING:
    import sympy


def substitute(dim: Dim, values: Mapping[str, Dim]) -> Dim:
    """Return `dim` with symbols replaced by `values` (by generated name); exact."""
    if isinstance(dim, int):
        return dim
    parts: list[Dim] = []
    for monomial, coefficient in dim.terms.items():
        factor: Dim = make({(): coefficient})
        for atom, power in monomial:
            base: Dim
            if isinstance(atom, str):
                base = values.get(atom, symbol(atom))
            else:
                base = apply(atom.function, *(substitute(a, values) for a in atom.arguments))
            factor = factor * (base if power == 1 else base**power)
        parts.append(factor)
    return total(parts)


def once_each(function: Callable[[Dim], Dim]) -> Callable[[Dim], Dim]:
    """Return `function` for many dimensions of which few differ; integers are left as they are."""
    seen: dict[Dim, Dim] = {}

    def mapped(dim: Dim) -> Dim:
        if isinstance(dim, int):
            return dim
        result = seen.get(dim)
        if result is None:
            result = seen[dim] = function(dim)
        return result

    return mapped


def symbols(dim: Dim) -> frozenset[str]:
    """Return the generated names of the symbols in `dim`."""
    if isinstance(dim, int):
        return frozenset()
    found: set[str] = set()
    for monomial in dim.terms:
        for atom, _ in monomial:
            if isinstance(atom, str):
                found.add(atom)
            else:
                found.update(*(symbols(a) for a in atom.arguments))
    return frozenset(found)


def to_sympy(dim: Dim, names: Mapping[str, str] | None = None) -> int | sympy.Expr:
    """Return `dim` as a Python int or a SymPy expression over positive integer symbols named for display."""
    if isinstance(dim, int):
        return dim
    import sympy

    names = names or {}
    functions: dict[str, Callable[..., Any]] = {
        "floor": lambda a, b: sympy.floor(a / b) if not isinstance(b, int) else sympy.floor(a * sympy.Rational(1, b)),
        "max": sympy.Max,
        "min": sympy.Min,
        "mod": sympy.Mod,
    }

    def convert(atom: Atom) -> Any:
        if isinstance(atom, str):
            return sympy.Symbol(names.get(atom, atom), integer=True, positive=True)
        return functions[atom.function](*(sympy.sympify(to_sympy(a, names)) for a in atom.arguments))

    return sympy.Add(
        *(
            sympy.Rational(Fraction(c).numerator, Fraction(c).denominator)
            * sympy.Mul(*(convert(atom) ** power for atom, power in monomial))
            for monomial, c in dim.terms.items()
        )
    )


def evaluate(dim: Dim, values: Mapping[str, int]) -> int:
    """Return the integer value of `dim`.

    Raises:
        ValueError: a symbol has no value, or the value is no integer.
    """
    result = substitute(dim, values)
    if isinstance(result, int):
        return result
    raise ValueError(f"{text(dim)}: expected a value for every symbol, got {sorted(values)}")


def as_float(dim: Dim) -> float:
    """Return `dim` as a float for ordering and shares; NaN while it is symbolic."""
    return float(dim) if isinstance(dim, int) else math.nan
