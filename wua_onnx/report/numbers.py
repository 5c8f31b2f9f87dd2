"""How numbers are written, in every output: thousands separators, units, percentages, and what is not known.

A `Number` of an audit is an integer (a string of digits above 2^53), a float, a symbolic expression
`{"text": "2*batch*seq"}`, or None where it is unknown. What is unknown is never written as 0.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from wua_onnx._text import visible

Number = int | float | str | Mapping[str, Any] | None

NOT_KNOWN = "not known"
_DECIMAL = ("", "k", "M", "G", "T", "P", "E")
_BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_INTEGER = re.compile(r"-?[0-9]{1,4000}", re.ASCII)  # Python refuses to read longer ones
_LONG_RUN = re.compile(r"(?<![\w.])[0-9]{4,}(?![\w.])", re.ASCII)
_POWER = re.compile(r"\*\*([0-9]{1,3})(?![0-9.])", re.ASCII)
_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
_MONOMIAL = re.compile(r"([0-9]{1,4000})\*([^-+*/(),\s][^-+/(),\s]*)", re.ASCII)  # 12*batch*seq**2
_SYMBOLIC_LENGTH = 400  # characters of an expression
_LINE = 60


def number(value: Number) -> int | float | None:
    """Return the value of a Number; None where it is unknown, symbolic or not finite."""
    if isinstance(value, str):
        return int(value) if _INTEGER.fullmatch(value) else None
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return value if isinstance(value, float) and math.isfinite(value) else None


def symbolic(value: Number, limit: int = _SYMBOLIC_LENGTH) -> str | None:
    """Return the text of a symbolic Number, set with product dots and superscripts; None where it has a value."""
    if not isinstance(value, Mapping):
        return None
    return _set(visible(value.get("text", ""), limit), lambda match: f"{int(match[0]):,}")


def count(value: Number) -> str:
    """Return every digit: `25,557,032`."""
    known = number(value)
    if known is None:
        return symbolic(value) or NOT_KNOWN
    return f"{known:,}" if isinstance(known, int) else f"{known:,.0f}"


def amount(value: Number) -> str:
    """Return every digit of a number that is taken in at a glance, three of a larger one."""
    known = number(value)
    return count(value) if known is not None and abs(known) < 100_000 else short(value)


def short(value: Number, unit: str = "") -> str:
    """Return three significant digits with a decimal prefix: `25.6 M`, `4.09 GMACs`, `4.09 GMACs · batch`."""
    return _scaled_text(value, 1000, _DECIMAL, unit)


def size(value: Number) -> str:
    """Return a number of bytes with a binary prefix: `97.8 MiB`."""
    return _scaled_text(value, 1024, _BINARY, "")


def is_long(value: Number) -> bool:
    """Return whether a symbolic Number takes more than a line even with its factors rounded."""
    return isinstance(value, Mapping) and len(short(value)) > _LINE


def percent(share: Number) -> str:
    """Return a share of 1 as a percentage with one decimal; never rounded to 0 % or 100 %."""
    known = _float(share)
    if known is None:
        return symbolic(share) or NOT_KNOWN
    if 0 < known < 0.0005:
        return "< 0.1 %"
    if 0.9995 <= known < 1:
        return "> 99.9 %"
    return f"{100 * known:.0f} %" if known in (0, 1) else f"{100 * known:.1f} %"


def decimal(value: Number, digits: int = 3) -> str:
    """Return a plain decimal number."""
    known = _float(value)
    return (symbolic(value) or NOT_KNOWN) if known is None else f"{known:,.{digits}f}"


def ratio(part: Number, whole: Number) -> float | None:
    """Return `part / whole`, None unless both are known and the whole is positive.

    Two symbolic numbers have a ratio where they differ in their factor only: `3*batch` is 0.25 of `12*batch`.
    """
    first, second = _monomial(part), _monomial(whole)
    if first and second and first[1] == second[1]:
        part, whole = first[0], second[0]
    a, b = _float(part), _float(whole)
    return None if a is None or b is None or b <= 0 else a / b


def factor(value: Number) -> float | None:
    """Return what a Number is sorted by: its value, or the factor of a symbolic product such as `12*batch`."""
    product = _monomial(value)
    return float(product[0]) if product else _float(value)


def comparable(values: Sequence[Number]) -> bool:
    """Return whether the `factor` of all of these can be added: all are values, or products of the same symbols."""
    products = [_monomial(value) for value in values if value != 0]
    known = [_float(value) for value in values if value != 0]
    return all(x is not None for x in known) or (all(products) and len({p[1] for p in products if p}) == 1)


def seconds(value: Number) -> str:
    """Return a duration."""
    known = _float(value)
    if known is None:
        return NOT_KNOWN
    return f"{1000 * known:.0f} ms" if known < 1 else f"{known:,.1f} s"


def plural(amount: int, noun: str, nouns: str | None = None) -> str:
    """Return `1 node`, `2 nodes`."""
    return f"{amount:,} {noun if amount == 1 else nouns or noun + 's'}"


def _float(value: Number) -> float | None:
    known = number(value)
    return None if known is None or abs(known) > 1e300 else float(known)


def _set(text: str, factor: Callable[[re.Match[str]], str]) -> str:
    """Return an expression with product dots and superscripts, its larger numbers written by `factor`."""
    raised = _POWER.sub(lambda match: match[1].translate(_SUPERSCRIPTS), text)
    return _LONG_RUN.sub(factor, raised).replace("*", "·")


def _monomial(value: Number) -> tuple[int, str] | None:
    """Return the integer factor of a symbolic product and the rest of it; None for anything else."""
    match = _MONOMIAL.fullmatch(str(value.get("text", ""))) if isinstance(value, Mapping) else None
    return (int(match[1]), match[2]) if match else None


def _scaled_text(value: Number, base: int, prefixes: tuple[str, ...], unit: str) -> str:
    known = number(value)
    if known is not None:
        text, prefix = _scaled(known, base, prefixes)
        return f"{text} {prefix}{unit}".rstrip()
    if not isinstance(value, Mapping):
        return NOT_KNOWN
    product = _monomial(value)
    if product is not None:
        text, prefix = _scaled(product[0], base, prefixes)
        return f"{text} {prefix}{unit}".rstrip() + f" · {symbolic({'text': product[1]})}"
    unit = unit or ("bytes" if prefixes is _BINARY else "")
    text = _set(visible(value.get("text", ""), _SYMBOLIC_LENGTH), _rounded)
    return f"({text}) {unit}" if unit and (" + " in text or " - " in text) else f"{text} {unit}".rstrip()


def _rounded(match: re.Match[str]) -> str:
    text, prefix = _scaled(int(match[0]), 1000, _DECIMAL)
    return f"{text} {prefix}".rstrip()


def _scaled(value: int | float, base: int, prefixes: tuple[str, ...]) -> tuple[str, str]:
    """Return three significant digits of `value` and its prefix; scientific notation above the last prefix."""
    if isinstance(value, int) and abs(value) >= base ** len(prefixes):
        digits = str(abs(value))
        return f"{'-' * (value < 0)}{digits[0]}.{digits[1:3]}e+{len(digits) - 1}", prefixes[0]
    for index, prefix in enumerate(prefixes):
        scaled = value / base**index
        if float(f"{scaled:.3g}") < base and abs(scaled) < base:
            return _three_digits(scaled, exact=index == 0 and isinstance(value, int)), prefix
    return f"{value:.2e}", prefixes[0]


def _three_digits(scaled: float, exact: bool) -> str:
    if exact:
        return f"{scaled:.0f}"
    magnitude = abs(float(f"{scaled:.3g}"))
    return f"{scaled:.{2 if magnitude < 10 else 1 if magnitude < 100 else 0}f}"
