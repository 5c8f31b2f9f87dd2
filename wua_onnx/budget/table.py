"""The result of a check as a table in the terminal, and as plain text."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from wua_onnx._text import visible
from wua_onnx.report.columns import Cell, Column
from wua_onnx.report.terminal import table

if TYPE_CHECKING:
    from wua_onnx.budget.outcome import Outcome
    from wua_onnx.budget.result import CheckResult

_WIDTH = 120  # columns of the plain text


def print_check(result: CheckResult, console: Console | None = None) -> None:
    """Print what broke first, then what was kept, then the notes."""
    console = console or Console()
    console.print(Text(visible(result.summary, 300), style="green" if result.ok else "bold red"))
    console.print(table(_COLUMNS, sorted(result.outcomes, key=lambda outcome: outcome.ok), console))
    for note in result.notes:
        console.print(Text(f"{visible(note, 600)}.", style="dim"))


def as_text(result: CheckResult) -> str:
    """Return the table as plain text."""
    text = io.StringIO()
    print_check(result, Console(file=text, width=_WIDTH, color_system=None, force_terminal=False))
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines())


def _word(outcome: Outcome) -> Cell:
    word, style = ("ok", "good") if outcome.ok else ("broken", "poor")
    return (
        Cell(text=word, style=style)
        if outcome.certain
        else Cell(text=f"{word}?", style="fair" if outcome.ok else style)
    )


_COLUMNS = (
    Column(title="", cell=_word, right=False),
    Column(title="figure", cell=lambda outcome: Cell(text=outcome.label), right=False),
    Column(title="got", cell=lambda outcome: Cell(text=outcome.got_text)),
    Column(title="limit", cell=lambda outcome: Cell(text=outcome.limit_text)),
    Column(title="by", cell=lambda outcome: Cell(text=outcome.over_text), spare=1),
    Column(title="most in", cell=lambda outcome: Cell(text=outcome.most_in), right=False, narrow=False),
)
