"""What became of the budgets of a model, where the audit was checked: for the top of the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wua_onnx._text import visible

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """One limit: `word` is kept or broken, with a question mark where a bound leaves it open; `tone` its colour."""

    word: str
    tone: str
    label: str
    got: str
    limit: str
    over: str
    most_in: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetView:
    """The result of a check, what broke first."""

    chip: str
    tone: str
    limits: tuple[Limit, ...]
    notes: tuple[str, ...]


def budget_view(audit: Json) -> BudgetView | None:
    """Return the result of the check of an audit; None where it was not checked."""
    check = audit.get("check")
    if not check:
        return None
    rows = sorted(check["limits"], key=lambda row: bool(row["ok"]))
    broken = sum(not row["ok"] for row in rows)
    chip = f"{broken} of {len(rows)} limits broken" if broken else "budget kept" if rows else "no limits"
    open_ones = any(not row["certain"] for row in rows)
    return BudgetView(
        chip=chip,
        tone="poor" if broken else "fair" if open_ones else "good",
        limits=tuple(map(_limit, rows)),
        notes=tuple(visible(note, 600) for note in check.get("notes") or ()),
    )


def _limit(row: Json) -> Limit:
    word, tone = ("kept", "good") if row["ok"] else ("broken", "poor")
    texts = {name: visible(row[name], 200) for name in ("label", "got", "limit", "over", "most_in")}
    return Limit(word=word if row["certain"] else f"{word}?", tone=tone if row["certain"] else "fair", **texts)
