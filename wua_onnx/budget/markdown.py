"""The result of a check as GitHub-flavoured Markdown: what broke in a table, what was kept folded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from wua_onnx._text import visible
from wua_onnx.report.markdown import escape

if TYPE_CHECKING:
    from wua_onnx.budget.outcome import Outcome
    from wua_onnx.budget.result import CheckResult

_OPEN = 12  # kept limits that are shown without folding


def to_markdown(result: CheckResult) -> str:
    """Return the result, with everything of the model escaped."""
    kept = [outcome for outcome in result.outcomes if outcome.ok]
    parts = [f"**{'✅' if result.ok else '❌'} {escape(visible(result.summary, 300))}**"]
    if result.broken:
        parts.append(_table(result.broken))
    if kept:
        table = _table(kept)
        folded = f"<details><summary>{len(kept)} kept</summary>\n\n{table}\n\n</details>"
        parts.append(folded if result.broken or len(kept) > _OPEN else table)
    parts += [f"{escape(visible(note, 600))}." for note in result.notes]
    return "\n\n".join(parts) + "\n"


def _table(outcomes: Sequence[Outcome]) -> str:
    rows = [
        (outcome.label, outcome.got_text, _limit(outcome), outcome.over_text, outcome.most_in) for outcome in outcomes
    ]
    lines = ["| figure | got | limit | by | most in |", "| --- | ---: | ---: | ---: | --- |"]
    return "\n".join([*lines, *(f"| {' | '.join(map(escape, row))} |" for row in rows)])


def _limit(outcome: Outcome) -> str:
    return outcome.limit_text if outcome.certain else f"{outcome.limit_text} (not certain)"
