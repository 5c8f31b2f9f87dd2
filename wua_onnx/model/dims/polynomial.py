"""Polynomials in the symbols of a model, and their text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import TypeAlias

Number: TypeAlias = int | Fraction


@dataclass(frozen=True, slots=True)
class Call:
    """A function of dimensions that is no polynomial: floor(a / b), max(...), min(...) or mod(a, b)."""

    function: str
    arguments: tuple[Dim, ...]


Atom: TypeAlias = str | Call
Monomial: TypeAlias = tuple[tuple[Atom, int], ...]


def atom_key(atom: Atom) -> str:
    """Return what atoms are sorted by."""
    return atom if isinstance(atom, str) else f"~{atom.function}({', '.join(map(text, atom.arguments))})"


class Expr:
    """An immutable polynomial in symbols; never a plain integer (see `make`)."""

    __slots__ = ("_hash", "terms")

    def __init__(self, terms: dict[Monomial, Number]) -> None:
        self.terms = terms
        self._hash: int | None = None

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash(frozenset(self.terms.items()))
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Expr) and self.terms == other.terms

    def __add__(self, other: Dim) -> Dim:
        return make(_added(self.terms, terms_of(other)))

    __radd__ = __add__

    def __neg__(self) -> Dim:
        return self * -1

    def __sub__(self, other: Dim) -> Dim:
        return self + other * -1

    def __rsub__(self, other: int) -> Dim:
        return self * -1 + other

    def __mul__(self, other: Dim) -> Dim:
        if isinstance(other, int):
            return self if other == 1 else make({m: c * other for m, c in self.terms.items()}) if other else 0
        return make(_multiplied(self.terms, other.terms))

    __rmul__ = __mul__

    def __pow__(self, exponent: int) -> Dim:
        return product([self] * exponent)

    def __floordiv__(self, other: Dim) -> Dim:
        from wua_onnx.model.dims.arithmetic import floordiv

        return floordiv(self, other)

    def __rfloordiv__(self, other: int) -> Dim:
        from wua_onnx.model.dims.arithmetic import floordiv

        return floordiv(other, self)

    def __repr__(self) -> str:
        return text(self)

    def __bool__(self) -> bool:
        return True


Dim: TypeAlias = int | Expr
Shape: TypeAlias = tuple[Dim, ...]


def symbol(name: str) -> Expr:
    """Return the dimension that is the symbol `name` (a generated name)."""
    return Expr({((name, 1),): 1})


def product_of(monomial: Monomial) -> Dim:
    """Return the dimension that is `monomial`; 1 for the empty one."""
    return Expr({monomial: 1}) if monomial else 1


def terms_of(dim: Dim) -> dict[Monomial, Number]:
    """Return the terms of a dimension; one without unknowns for an integer."""
    if isinstance(dim, Expr):
        return dim.terms
    return {(): dim} if dim else {}


def make(terms: dict[Monomial, Number]) -> Dim:
    """Return the sum of `terms`, an int where that is what it is."""
    if not all(terms.values()):
        terms = {m: c for m, c in terms.items() if c}
    if not terms:
        return 0
    if len(terms) == 1 and () in terms and Fraction(terms[()]).denominator == 1:
        return int(terms[()])
    return Expr(terms)


def _added(a: dict[Monomial, Number], b: dict[Monomial, Number]) -> dict[Monomial, Number]:
    result = dict(a)
    for monomial, coefficient in b.items():
        result[monomial] = result.get(monomial, 0) + coefficient
    return result


@lru_cache(maxsize=65536)
def _joined(a: Monomial, b: Monomial) -> Monomial:
    powers: dict[Atom, int] = dict(a)
    for atom, power in b:
        powers[atom] = powers.get(atom, 0) + power
    return tuple(sorted(powers.items(), key=lambda item: atom_key(item[0])))


def _multiplied(a: dict[Monomial, Number], b: dict[Monomial, Number]) -> dict[Monomial, Number]:
    result: dict[Monomial, Number] = {}
    for left, x in a.items():
        for right, y in b.items():
            monomial = _joined(left, right)
            result[monomial] = result.get(monomial, 0) + x * y
    return result


def product(dims: Iterable[Dim]) -> Dim:
    """Return the product of `dims`; 1 for none. Integers are multiplied first, so that a long product stays cheap."""
    integers = 1
    expressions: Dim | None = None
    for dim in dims:
        if isinstance(dim, int):
            integers *= dim
        else:
            expressions = dim if expressions is None else expressions * dim
    return integers if expressions is None else expressions if integers == 1 else expressions * integers


def total(dims: Iterable[Dim]) -> Dim:
    """Return the sum of `dims`; integers are added first, so that a long sum stays cheap."""
    integers, terms = 0, dict[Monomial, Number]()
    for dim in dims:
        if isinstance(dim, int):
            integers += dim
        else:
            for monomial, coefficient in dim.terms.items():
                terms[monomial] = terms.get(monomial, 0) + coefficient
    if integers:
        terms[()] = terms.get((), 0) + integers
    return make(terms)


_PLAIN = re.compile(r"[^\s\d+*/,()'%-][^\s+*/,()'%-]*|trips\([^()]*\)(#\d+)?")


def _as_symbol(dim: Expr) -> str | None:
    """Return the name of the symbol that `dim` is; None where it is anything more."""
    if len(dim.terms) != 1:
        return None
    [(monomial, coefficient)] = dim.terms.items()
    alone = len(monomial) == 1 and monomial[0][1] == 1 and coefficient == 1
    return monomial[0][0] if alone and isinstance(monomial[0][0], str) else None


def text(dim: Dim, names: Mapping[str, str] | None = None) -> str:
    """Return `dim` as readable text, highest degree first; `names` maps generated to displayed symbols.

    In a product or sum a name that could be read as more than a name stands in quotes: `2*'batch-size'`.
    """
    if isinstance(dim, int):
        return str(dim)
    names = names or {}
    alone = _as_symbol(dim)
    if alone is not None:
        return names.get(alone, alone)

    def shown(atom: Atom) -> str:
        if isinstance(atom, str):
            name = names.get(atom, atom)
            return name if _PLAIN.fullmatch(name) else f"'{name}'"
        if atom.function == "floor":
            return f"floor(({text(atom.arguments[0], names)})/({text(atom.arguments[1], names)}))"
        return f"{atom.function}({', '.join(text(a, names) for a in atom.arguments)})"

    def factor(atom: Atom, power: int) -> str:
        return shown(atom) if power == 1 else f"{shown(atom)}**{power}"

    def key(item: tuple[Monomial, Number]) -> tuple[int, str]:
        return (-sum(p for _, p in item[0]), "*".join(factor(*f) for f in item[0]))

    pieces: list[str] = []
    for monomial, coefficient in sorted(dim.terms.items(), key=key):
        factors = [factor(*f) for f in monomial]
        magnitude = abs(Fraction(coefficient))
        if magnitude != 1 or not factors:
            factors.insert(0, str(magnitude) if magnitude.denominator == 1 else f"({magnitude})")
        sign = "-" if coefficient < 0 else "+"
        pieces.append(f"{sign} {'*'.join(factors)}")
    joined = " ".join(pieces)
    return joined[2:] if joined.startswith("+ ") else "-" + joined[2:]
