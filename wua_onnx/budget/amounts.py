"""Amounts as people write them: `2G`, `64 MiB`, `60%`, `5 ms`. Exact: nothing passes through a float.

Counts take decimal prefixes (`k`, `M`, `G` or `B`, `T`, `P`), sizes a unit that says which prefix is meant
(`MB` = 1000², `MiB` = 1024²), shares a fraction of 1 or a percentage, times a unit of time.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, Literal, TypeAlias

from wua_onnx._text import visible
from wua_onnx.errors import BudgetError
from wua_onnx.report import numbers as n

Unit: TypeAlias = Literal["count", "bytes", "share", "increase", "seconds", "rate"]

_LONGEST = 60  # characters of an amount
_AMOUNT = re.compile(
    r"(?P<whole>[0-9][0-9_,]*|(?=\.[0-9]))(?P<part>\.[0-9]+)?(?:[eE](?P<exponent>[+-]?[0-9]{1,2}))?\s*(?P<unit>[^0-9]*)",
    re.ASCII,
)
_WORDS = re.compile(r"(flops?|macs?|ops?|params?|parameters?|neurons?|nodes?)$", re.IGNORECASE)
_COUNTS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "b": 10**9, "t": 10**12, "p": 10**15}
_DECIMAL = {f"{prefix}b": 1000**power for power, prefix in enumerate(("", "k", "m", "g", "t"))}
_BINARY = {f"{prefix}ib": 1024**power for power, prefix in enumerate(("k", "m", "g", "t"), start=1)}
_TIMES: Mapping[str, int | Fraction] = {
    **{"": 1, "s": 1, "min": 60, "ms": Fraction(1, 10**3), "ns": Fraction(1, 10**9)},
    **dict.fromkeys(("us", "\u00b5s", "\u03bcs"), Fraction(1, 10**6)),  # both characters for micro
}
_FACTORS: Mapping[str, Mapping[str, int | Fraction]] = {
    "count": _COUNTS,
    "bytes": {"": 1, "bytes": 1, **_DECIMAL, **_BINARY},
    "share": {"": 1, "%": Fraction(1, 100)},
    "increase": {"": 1, "%": Fraction(1, 100)},
    "seconds": _TIMES,
    "rate": {"": 1},
}
ALLOWED: Mapping[str, str] = {
    "count": "a number such as 5000000, 5M, 2G or 1.5e9 (k, M, G or B, T, P)",
    "bytes": "a size such as 1048576, 64MiB (1024²) or 64MB (1000²) (B, kB, MB, GB, TB, KiB, MiB, GiB, TiB)",
    "share": "a share such as 0.6 or 60%, from 0 to 1",
    "increase": "an increase such as 2% or 0.02",
    "seconds": "a time such as 5ms, 250us or 0.5s (ns, us, ms, s, min)",
    "rate": "a number such as 12.5",
}


def parse(key: str, given: Any, unit: Unit) -> Fraction:
    """Return the amount that `given` is, exactly: a number, or text as in the docstring of this module.

    Args:
        key: the budget it is for, named in the error.
        given: an integer, a float, or text.
        unit: what is measured.

    Raises:
        BudgetError: it is no such amount; the message says what is allowed.
    """
    text = repr(given) if isinstance(given, int | float) and not isinstance(given, bool) else given
    value = _value(text.strip(), unit) if isinstance(text, str) and len(text) <= _LONGEST else None
    if value is None:
        raise BudgetError(f"{key}: expected {ALLOWED[unit]}, got {visible(repr(given), _LONGEST)}")
    return value


def _value(text: str, unit: Unit) -> Fraction | None:
    match = _AMOUNT.fullmatch(text)
    if match is None:
        return None
    written = match["unit"].strip().lower()
    factor = _FACTORS[unit].get(_WORDS.sub("", written).strip() if unit == "count" else written)
    if factor is None:
        return None
    digits = re.sub(r"[_,]", "", match["whole"]) + (match["part"] or "")
    value = Fraction(digits) * Fraction(10) ** int(match["exponent"] or 0) * factor
    above = unit == "share" or (unit == "increase" and factor == 1)  # "2" might mean 2 % as well as 200 %
    return None if above and value > 1 else value


def exact(value: n.Number) -> Fraction | None:
    """Return a Number of an audit as the fraction that its decimal digits stand for; None where it has no value."""
    known = n.number(value)
    return None if known is None else Fraction(repr(known))


def plain(value: Fraction) -> Any:
    """Return an amount in JSON's own types: an integer (text above 2^53) where it is one, else a float."""
    if value.denominator != 1:
        return float(value)
    return int(value) if abs(value) <= 2**53 else str(int(value))


def show(value: Fraction, unit: Unit) -> str:
    """Return an amount with three significant digits and its unit."""
    number = int(value) if value.denominator == 1 else float(value)
    if unit == "bytes":
        return n.size(number)
    if unit in ("share", "increase"):
        return f"{float(100 * value):.4g} %"
    if unit == "seconds":
        return _time(value)
    return n.amount(number) if unit == "count" else f"{float(value):.3g}"


def _time(value: Fraction) -> str:
    if value >= 1 or value <= 0:
        return f"{float(value):.3g} s"
    return f"{float(1000 * value):.3g} ms" if value >= Fraction(1, 1000) else f"{float(10**6 * value):.3g} µs"
