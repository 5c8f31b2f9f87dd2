"""The JSON of an audit as tables in the terminal: narrow, wide, or plain where it is piped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from rich import box
from rich.console import Console, Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from wua_onnx.report import columns
from wua_onnx.report.columns import Column
from wua_onnx.report.finding_rows import FindingRow
from wua_onnx.report.fitting import fitted
from wua_onnx.report.method import Fact
from wua_onnx.report.training_view import ENERGY, WORK, TrainingView
from wua_onnx.report.verdict import Bound
from wua_onnx.report.view import Page, page

_STYLES = {
    "high": "bold red", "medium": "yellow", "low": "cyan", "info": "dim",
    "good": "green", "fair": "yellow", "poor": "bold red", "none": "dim",
    "exact": "green", "lower": "yellow", "upper": "yellow", "mixed": "yellow",
    "redundant": "red", "concentrated": "red", "severe": "red", "efficient": "green", "uniform": "green",
    "unknown": "red", "estimate": "yellow", "free": "dim",
}  # fmt: skip
_FACTS_PER_LINE = 88  # columns of the console from which figures stand three in a line


def print_audit(audit: Mapping[str, Any], console: Console | None = None) -> None:
    """Print an audit: verdict, totals, findings, layers, cost by operator, and what it leaves out.

    Raises:
        WuaError: `audit` is of another schema version.
    """
    console, view = console or Console(), page(audit)
    console.print(Text(view.verdict.sentence, style="bold"))
    console.print(_status(view))
    console.print()
    console.print(_figures([Fact(label=t.label, value=t.value) for t in view.tiles], console))
    section(console, "Findings", _findings(view.findings))
    if view.layers:
        section(console, f"Layers, importance by {view.criterion}", table(columns.LAYERS, view.layers, console))
    if view.heads:
        title = f"Heads of attention, shares of importance by {view.criterion}"
        section(console, title, table(columns.HEADS, view.heads, console))
    section(console, f"Cost by operator{_per(view)}", table(columns.OPERATORS, view.cost.operators, console))
    if view.training:
        section(console, "Training and energy", _training(view.training, console))
    section(console, "Coverage", _notes(view))


def _per(view: Page) -> str:
    return f", {view.cost.per}" if view.cost.per else ""


def _status(view: Page) -> Text:
    reading = Text(view.verdict.reading, style=_STYLES[view.verdict.tone])
    what = "weights " if view.verdict.tone != "none" else ""
    return Text.assemble(what, reading, " · cost ", bound_text(view.bound), "\n", (view.recording, "dim"))


def bound_text(bound: Bound) -> Text:
    """Return how totals relate to the truth, in one line."""
    return Text.assemble((bound.label, _STYLES[bound.kind]), (f": {bound.note}", "dim"))


def _figures(facts: Sequence[Fact], console: Console) -> Table:
    """Return labelled values, two or three in a line."""
    across = 3 if console.width >= _FACTS_PER_LINE else 2 if console.width >= _FACTS_PER_LINE // 2 else 1
    if any(len(fact.value) > 22 for fact in facts):
        across = 1
    table = Table.grid(padding=(0, 2))
    for _ in range(across):
        table.add_column(style="dim")
        table.add_column(style="bold", overflow="fold")
    for start in range(0, len(facts), across):
        line = facts[start : start + across]
        table.add_row(*(Text(text) for fact in line for text in (fact.label, fact.value)))
    return table


def _findings(findings: Sequence[FindingRow]) -> Group | Text:
    if not findings:
        return Text("none")
    return Group(*(_finding(finding) for finding in findings))


def _finding(finding: FindingRow) -> Group:
    head = Text.assemble(
        (f"{finding.severity:<6} ", _STYLES[finding.severity]), (finding.where, "bold"), (f"  {finding.rule}", "dim")
    )
    saving = f"saves {finding.saving}, " if finding.saving else ""
    body = [Text(finding.evidence), Text(f"→ {finding.action} ({saving}{finding.confidence})")]
    return Group(head, *(Padding(line, (0, 0, 0, 7), expand=False) for line in body))


def _training(view: TrainingView, console: Console) -> Group:
    parts: list[Any] = [table(WORK, view.work, console), Text(view.formula, style="dim")]
    if view.energy:
        parts += [Text(), table(ENERGY, view.energy, console)]
        parts += [Text(f"{fact.label}: {fact.value}", style="dim") for fact in view.constants]
    else:
        parts.append(Text(f"{view.no_energy}."))
    return Group(*parts)


def _notes(view: Page) -> Group:
    method = view.method
    lines = [f"{method.coverage}."]
    lines += [f"Not counted: {op.label}, {op.value}." for op in method.unsupported]
    if method.checker:
        lines.append(f"onnx's checker objects: {method.checker}")
    return Group(*map(Text, lines))


def table(shown: Sequence[Column], rows: Sequence[Any], console: Console) -> Table:
    """Return the rows under the columns that fit, and what is left out; long texts are folded."""
    widths, without = fitted(shown, rows, console.width, 3 if console.is_terminal else 2)
    grid = Table(box=box.SIMPLE_HEAD if console.is_terminal else None, pad_edge=False, show_edge=False)
    if without:
        grid.caption = Text(
            f"not shown for lack of room: {', '.join(c.title for c in without if c.title)}", style="dim"
        )
        grid.caption_justify = "left"
    for column, width in widths.items():
        justify: Literal["left", "right"] = "right" if column.right else "left"
        grid.add_column(Text(column.title), justify=justify, overflow="fold", width=width)
    for row in rows:
        cells = [column.cell(row) for column in widths]
        grid.add_row(*(Text(cell.text, style=_STYLES.get(cell.style, "")) for cell in cells))
    return grid


def section(console: Console, title: str, content: Any) -> None:
    """Print `content` under a title."""
    console.print()
    console.print(Text(title, style="bold underline" if console.is_terminal else ""))
    console.print(content)
