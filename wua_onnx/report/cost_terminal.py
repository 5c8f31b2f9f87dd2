"""A cost report in the terminal: totals, formulas while dimensions are free, then one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from wua_onnx.report.columns import cost_columns
from wua_onnx.report.cost_tables import By, selected, table_rows
from wua_onnx.report.facts import binding, cost_facts, formulas, notes
from wua_onnx.report.method import Fact
from wua_onnx.report.terminal import bound_text, section, table
from wua_onnx.report.verdict import bound_of


def print_cost(
    cost: Mapping[str, Any],
    console: Console | None = None,
    depth: int | None = None,
    by: By = "operator",
    sort: str | None = None,
    only: Sequence[str] = (),
) -> None:
    """Print a cost report.

    Args:
        cost: the `cost` part of an audit, which is what `CostReport.to_dict` gives.
        console: where to print; standard output by default.
        depth: deepest level of modules that is shown; all by default.
        by: what the lines of the table are.
        sort: "macs", "flops", "bytes", "params" or "name"; see `cost_tables.selected`.
        only: the figures that the table shows, of `columns.FIGURES`; all that fit by default.
    """
    console = console or Console()
    console.print(_lines(cost_facts(cost)))
    console.print(bound_text(bound_of(cost)))
    for note in notes(cost):
        console.print(Text(note, style="dim"))
    written = formulas(cost)
    if written:
        section(console, "As formulas", _lines(written, "="))
        console.print(Text(f"for numbers: {binding(cost)}", style="dim"))
    rows = table_rows(selected(cost, by, depth, sort), by, cost["macs"])
    shown = cost_columns(by, symbolic=bool(cost["symbols"]), figure=sort or "flops", only=only)
    section(console, f"Cost by {by}", table(shown, rows, console))


def _lines(facts: list[Fact], separator: str = "") -> Table:
    grid = Table.grid(padding=(0, 1 if separator else 2))
    grid.add_column(style="dim")
    if separator:
        grid.add_column(style="dim")
    grid.add_column(style="bold", overflow="fold")
    for fact in facts:
        grid.add_row(*map(Text, (fact.label, separator, fact.value) if separator else (fact.label, fact.value)))
    return grid
