"""Dimensions as JSON: integers as they are (strings above 2^53), expressions as text and terms."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from functools import lru_cache
from typing import Any

from wua_onnx.model.dims import Atom, Call, Dim, Expr, Monomial, Number, text

_EXACT_IN_JSON = 2**53


def to_json(dim: Dim | None) -> Any:
    """Return `dim` in JSON's own types; None stays null."""
    if dim is None:
        return None
    if isinstance(dim, int):
        return dim if abs(dim) <= _EXACT_IN_JSON else str(dim)
    return dict(_expression(dim))


@lru_cache(maxsize=4096)
def _expression(dim: Expr) -> dict[str, Any]:
    """Return an expression as JSON; the figures of a model repeat a few of them many times."""
    terms = [[str(c), [[_atom_to_json(atom), power] for atom, power in m]] for m, c in dim.terms.items()]
    return {"text": text(dim), "terms": terms}


def _atom_to_json(atom: Atom) -> Any:
    return atom if isinstance(atom, str) else {"call": atom.function, "of": [to_json(a) for a in atom.arguments]}


def from_json(value: Any) -> Dim | None:
    """Return the dimension that `to_json` wrote.

    Raises:
        ValueError: the value was not written by `to_json`.
    """
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    if isinstance(value, str):
        return int(value)
    if not isinstance(value, Mapping) or not isinstance(value.get("terms"), list):
        raise ValueError(f"expected a number or an expression with terms, got {str(value)[:80]!r}")
    terms: dict[Monomial, Number] = {}
    for coefficient, factors in value["terms"]:
        number = Fraction(coefficient)
        monomial = tuple((_atom_from_json(atom), int(power)) for atom, power in factors)
        terms[monomial] = int(number) if number.denominator == 1 else number
    return Expr(terms)


def _atom_from_json(value: Any) -> Atom:
    if isinstance(value, str):
        return value
    arguments = tuple(from_json(argument) for argument in value["of"])
    if value["call"] not in ("floor", "max", "min", "mod") or None in arguments:
        raise ValueError(f"expected floor, max, min or mod of dimensions, got {str(value)[:80]!r}")
    return Call(value["call"], tuple(argument for argument in arguments if argument is not None))
