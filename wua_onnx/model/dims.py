"""Dimensions: Python integers, or polynomials in the model's symbols.

A `Dim` is an `int` or an `Expr`. An `Expr` is a polynomial with rational coefficients whose unknowns are symbols
and the few functions that shapes need (floor, max, min, mod) as opaque atoms; results that are plain integers
come back as `int`. All arithmetic is exact and in plain Python, so that counting 10,000 nodes costs
milliseconds; SymPy appears only at the edge (`to_sympy`), and text is read by `model.dim_text`.

Symbols carry generated names (`d0`, `d1`, …), never text from a file; `text` takes the names to display.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import sympy

Number: TypeAlias = int | Fraction


@dataclass(frozen=True, slots=True)
class Call:
    """A function of dimensions that is no polynomial: floor(a / b), max(...), min(...) or mod(a, b)."""

    function: str
    arguments: tuple[Dim, ...]


Atom: TypeAlias = str | Call
Monomial: TypeAlias = tuple[tuple[Atom, int], ...]


def _atom_key(atom: Atom) -> str:
    return atom if isinstance(atom, str) else f"~{atom.function}({', '.join(map(text, atom.arguments))})"


class Expr:
    """An immutable polynomial in symbols; never a plain integer (see `_make`)."""

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
        return _make(_added(self.terms, _terms(other)))

    __radd__ = __add__

    def __neg__(self) -> Dim:
        return self * -1

    def __sub__(self, other: Dim) -> Dim:
        return self + other * -1

    def __rsub__(self, other: int) -> Dim:
        return self * -1 + other

    def __mul__(self, other: Dim) -> Dim:
        if isinstance(other, int):
            return self if other == 1 else _make({m: c * other for m, c in self.terms.items()}) if other else 0
        return _make(_multiplied(self.terms, other.terms))

    __rmul__ = __mul__

    def __pow__(self, exponent: int) -> Dim:
        return product([self] * exponent)

    def __floordiv__(self, other: Dim) -> Dim:
        return floordiv(self, other)

    def __rfloordiv__(self, other: int) -> Dim:
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


def _terms(dim: Dim) -> dict[Monomial, Number]:
    if isinstance(dim, Expr):
        return dim.terms
    return {(): dim} if dim else {}


def _make(terms: dict[Monomial, Number]) -> Dim:
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
    return tuple(sorted(powers.items(), key=lambda item: _atom_key(item[0])))


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
    return _make(terms)


def primitive(dim: Dim) -> tuple[Dim, int]:
    """Return (p, n) with `dim = n * p`: n the largest such integer, and p = 1 where `dim` is a number."""
    if isinstance(dim, int):
        return 1, dim
    coefficients = [Fraction(c) for c in dim.terms.values()]
    if any(c.denominator != 1 for c in coefficients):
        return dim, 1
    common = math.gcd(*(c.numerator for c in coefficients))
    return (dim, 1) if common == 1 else (_make({m: int(c) // common for m, c in dim.terms.items()}), common)


def divides(divisor: Dim, dim: Dim) -> Dim | None:
    """Return the exact quotient `dim / divisor`, or None where it cannot be shown to be a whole polynomial."""
    if isinstance(divisor, int) and isinstance(dim, int):
        return dim // divisor if divisor and dim % divisor == 0 else None
    divisor_terms = _terms(divisor)
    if len(divisor_terms) != 1:
        return 1 if divisor == dim else None
    [(monomial, coefficient)] = divisor_terms.items()
    result: dict[Monomial, Number] = {}
    for numerator, c in _terms(dim).items():
        powers = dict(numerator)
        for atom, power in monomial:
            powers[atom] = powers.get(atom, 0) - power
        quotient = Fraction(c) / Fraction(coefficient)
        if quotient.denominator != 1 or any(p < 0 for p in powers.values()):
            return None
        kept = tuple(sorted(((a, p) for a, p in powers.items() if p), key=lambda item: _atom_key(item[0])))
        result[kept] = int(quotient)
    return _make(result)


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


def substitute(dim: Dim, values: Mapping[str, Dim]) -> Dim:
    """Return `dim` with symbols replaced by `values` (by generated name); exact."""
    if isinstance(dim, int):
        return dim
    parts: list[Dim] = []
    for monomial, coefficient in dim.terms.items():
        factor: Dim = _make({(): coefficient})
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
