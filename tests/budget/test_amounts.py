"""Amounts as people write them."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from wua_onnx.budget.amounts import ALLOWED, Unit, parse, plain, show
from wua_onnx.errors import BudgetError

# Written out by hand: what is written, in which unit, and the amount as (numerator, denominator).
AMOUNTS: list[tuple[Any, Unit, int, int]] = [
    (7, "count", 7, 1), ("7", "count", 7, 1), ("2G", "count", 2_000_000_000, 1), ("2 g", "count", 2_000_000_000, 1),
    ("7B", "count", 7_000_000_000, 1), ("1.5e9", "count", 1_500_000_000, 1), (1.5e9, "count", 1_500_000_000, 1),
    ("2,000,003", "count", 2_000_003, 1), ("2_000_003", "count", 2_000_003, 1),
    ("4.09 GMACs", "count", 4_090_000_000, 1),
    ("3 GFLOPs", "count", 3_000_000_000, 1), ("5M params", "count", 5_000_000, 1), ("25.6M", "count", 25_600_000, 1),
    (".5k", "count", 500, 1), (10**30 + 1, "count", 10**30 + 1, 1), ("9007199254740993", "count", 2**53 + 1, 1),
    ("64MiB", "bytes", 67_108_864, 1), ("64 MB", "bytes", 64_000_000, 1), ("1kB", "bytes", 1000, 1),
    ("1KiB", "bytes", 1024, 1), ("12", "bytes", 12, 1), ("12 B", "bytes", 12, 1), ("1.5GiB", "bytes", 1_610_612_736, 1),
    ("60%", "share", 3, 5), ("60 %", "share", 3, 5), ("0.6", "share", 3, 5), (0.6, "share", 3, 5), (1, "share", 1, 1),
    ("2%", "increase", 1, 50), (0.02, "increase", 1, 50), ("150%", "increase", 3, 2), (0, "increase", 0, 1),
    ("5ms", "seconds", 1, 200), ("250us", "seconds", 1, 4000), ("250µs", "seconds", 1, 4000), (0.5, "seconds", 1, 2),
    ("2min", "seconds", 120, 1), ("7ns", "seconds", 7, 10**9), ("12.5", "rate", 25, 2),
]  # fmt: skip

REFUSED: list[tuple[Any, Unit]] = [
    ("", "count"), ("2Q", "count"), ("G", "count"), ("-2G", "count"), (-2, "count"), ("2G2", "count"), ("two", "count"),
    ("1e999", "count"), ("9" * 61, "count"), (True, "count"), (None, "count"), (float("nan"), "count"),
    (float("inf"), "count"), ([2], "count"), ("1.2.3", "count"), ("64MiB", "count"), ("٣", "count"),
    ("2G\n\x1b[0m", "count"),
    ("64M", "bytes"), ("64G", "bytes"), ("2GB/s", "bytes"), ("60", "share"), (60, "share"), ("101%", "share"),
    ("1.01", "share"), ("2", "increase"), ("5m", "seconds"), ("5 parsecs", "seconds"), ("3k", "rate"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "unit", "above", "below"), AMOUNTS, ids=lambda value: repr(value))
def test_an_amount_is_exact(given: Any, unit: Unit, above: int, below: int) -> None:
    assert parse("max_x", given, unit) == Fraction(above, below)


@pytest.mark.parametrize(("given", "unit"), REFUSED, ids=lambda value: repr(value)[:30])
def test_what_does_not_parse_says_what_is_allowed(given: Any, unit: Unit) -> None:
    with pytest.raises(BudgetError) as raised:
        parse("max_x", given, unit)
    message = str(raised.value)
    assert message.startswith(f"max_x: expected {ALLOWED[unit]}, got ")
    assert message.isprintable()
    assert len(message) < 300


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (Fraction(55_018), "count", "55,018"), (Fraction(2 * 10**9), "count", "2.00 G"),
        (Fraction(2**26), "bytes", "64.0 MiB"),
        (Fraction(3, 5), "share", "60 %"), (Fraction(1, 200), "seconds", "5 ms"),
        (Fraction(1, 4000), "seconds", "250 µs"),
        (Fraction(3, 2), "seconds", "1.5 s"), (Fraction(25, 2), "rate", "12.5"),
    ],
)  # fmt: skip
def test_an_amount_is_shown_with_its_unit(value: Fraction, unit: Unit, text: str) -> None:
    assert show(value, unit) == text


def test_json_holds_integers_exactly() -> None:
    assert [plain(Fraction(v)) for v in (3, 2**53, 2**53 + 1)] == [3, 2**53, "9007199254740993"]
    assert plain(Fraction(1, 4)) == 0.25
