"""One figure against its limit."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from wua_onnx._text import visible
from wua_onnx.budget import amounts
from wua_onnx.budget.amounts import Unit
from wua_onnx.budget.registry import Side

_SIGNS = {"exact": "", "lower": "at least ", "upper": "at most ", "mixed": "about ", "measured": ""}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One figure against its limit.

    Attributes:
        key: of the budget, as in Python (`max_flops`), or the figure's name and `_of_baseline`.
        label: what is measured, for people.
        unit: of `got` and `limit`; "increase" where both are shares of a baseline that is symbolic.
        side: whether `limit` is the most ("max") or the least ("min").
        got: the figure.
        limit: what it may be.
        bound: how `got` relates to the truth: exact, lower, upper, mixed, measured.
        where: what holds most of it; may be empty.
        baseline: the figure of the baseline; None for a budget.
    """

    key: str
    label: str
    unit: Unit
    side: Side
    got: Fraction
    limit: Fraction
    bound: str = "exact"
    where: str = ""
    baseline: Fraction | None = None

    @property
    def ok(self) -> bool:
        """Whether the limit is kept."""
        return self.over <= 0

    @property
    def certain(self) -> bool:
        """Whether the truth can only agree: a lower bound that is below its limit may in truth be above it."""
        sure = {"exact": True, "measured": True, "mixed": False}
        return sure.get(self.bound, (self.bound == "upper") == (self.ok == (self.side == "max")))

    @property
    def over(self) -> Fraction:
        """By how much the limit is broken; negative where there is room left."""
        return self.got - self.limit if self.side == "max" else self.limit - self.got

    @property
    def got_text(self) -> str:
        """The figure with its unit, `at least` before it where it is a lower bound."""
        return _SIGNS[self.bound] + self._texts[0]

    @property
    def limit_text(self) -> str:
        """The limit with its unit and the sign of its side."""
        return f"{'≤' if self.side == 'max' else '≥'} {self._texts[1]}"

    @property
    def over_text(self) -> str:
        """By how much the limit is broken, also in percent of it; empty where it is kept."""
        if self.ok:
            return ""
        sign = "+" if self.side == "max" else "−"
        if self.unit in ("share", "increase"):
            return f"{sign}{float(100 * self.over):.3g} pp"
        share = f" ({sign}{_digits(float(100 * self.over / self.limit))} %)" if self.limit else ""
        return f"{sign}{amounts.show(self.over, self.unit)}{share}"

    @property
    def sentence(self) -> str:
        """The outcome in one line."""
        relation = "within" if self.ok else "over" if self.side == "max" else "under"
        amount = "" if self.ok else f" by {self.over_text.lstrip('+−')}"
        return f"{self.label}: {self.got_text}, {relation} the limit {self.limit_text}{amount}"

    @property
    def most_in(self) -> str:
        """What holds most of the figure, safe to show; empty where that says nothing."""
        return visible(self.where, 120)

    @property
    def explained(self) -> str:
        """The outcome in one line, with what holds most of the figure."""
        return self.sentence + (f" (most in {self.most_in})" if self.where else "")

    @property
    def _texts(self) -> tuple[str, str]:
        """The figure and the limit; with every digit where three do not tell them apart."""
        got, limit = (amounts.show(value, self.unit) for value in (self.got, self.limit))
        return (got, limit) if got != limit or self.got == self.limit else (_full(self.got), _full(self.limit))

    def to_dict(self) -> dict[str, Any]:
        """Return the outcome in JSON's own types."""
        return {
            "budget": self.key,
            "label": self.label,
            "unit": self.unit,
            "side": self.side,
            "got": amounts.plain(self.got),
            "limit": amounts.plain(self.limit),
            "bound": self.bound,
            "ok": self.ok,
            "certain": self.certain,
            "over": amounts.plain(self.over),
            "where": self.where,
            "baseline": None if self.baseline is None else amounts.plain(self.baseline),
        }


def _digits(value: float) -> str:
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


def _full(value: Fraction) -> str:
    return f"{int(value):,}" if value.denominator == 1 else repr(float(value))
