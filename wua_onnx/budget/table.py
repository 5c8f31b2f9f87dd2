"""The result of a check as a table in the terminal, and as plain text."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from wua_onnx._text import visible

if TYPE_CHECKING:
    from wua_onnx.budget.outcome import Outcome
    from wua_onnx.budget.result import CheckResult

_WIDTH = 120  # columns of the plain text


def print_check(result: CheckResult, console: Console | None = None) -> None:
    """Print what broke first, then what was kept, then the notes."""
    console = console or Console()
    console.print(Text(visible(result.summary, 300), style="green" if result.ok else "bold red"))
    console.print(_table(result, console.is_terminal))
    for note in result.notes:
        console.print(Text(f"{visible(note, 600)}.", style="dim"))


def as_text(result: CheckResult) -> str:
    """Return the table as plain text."""
    text = io.StringIO()
    print_check(result, Console(file=text, width=_WIDTH, color_system=None, force_terminal=False))
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines())


def _table(result: CheckResult, framed: bool) -> Table:
    table = Table(box=box.SIMPLE_HEAD if framed else None, pad_edge=False, show_edge=False)
    for title in ("", "figure", "got", "limit", "by", "most in"):
        table.add_column(title, justify="right" if title in ("got", "limit", "by") else "left", overflow="fold")
    for outcome in sorted(result.outcomes, key=lambda outcome: outcome.ok):
        table.add_row(*_cells(outcome))
    return table


def _cells(outcome: Outcome) -> tuple[Text, ...]:
    word, style = ("ok", "green") if outcome.ok else ("broken", "bold red")
    if not outcome.certain:
        word, style = f"{word}?", style if not outcome.ok else "yellow"
    texts = (outcome.label, outcome.got_text, outcome.limit_text, outcome.over_text, outcome.most_in)
    return (Text(word, style=style), *map(Text, texts))
