"""Two audits side by side, in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from wua_onnx._text import visible
from wua_onnx.report import numbers as n

if TYPE_CHECKING:
    from wua_onnx._compare import Comparison

_PERCENT = ("utilization", "compression_potential", "average_redundancy")


def print_comparison(comparison: Comparison, console: Console | None = None) -> None:
    """Print the figures of both models, their layers of the same name, and the layers only one has."""
    console = console or Console()
    table = _table(visible(comparison.before.model["name"]), visible(comparison.after.model["name"]))
    for delta in comparison.figures:
        write = n.percent if delta.name in _PERCENT else n.size if delta.name.endswith("bytes") else n.count
        table.add_row(delta.name.replace("_", " "), write(delta.before), write(delta.after), _change(delta))
    if comparison.layers:
        table.add_section()
    for delta in comparison.layers:
        table.add_row(f"utilization of {visible(delta.name)}", n.percent(delta.before), n.percent(delta.after), "")
    console.print(table)
    for word, names in (("only after", comparison.added), ("only before", comparison.removed)):
        if names:
            console.print(f"{word}: {', '.join(map(visible, names))}")


def _table(before: str, after: str) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for name in (before, after, "change"):
        table.add_column(name, justify="right")
    return table


def _change(delta: Any) -> str:
    before, after = n.number(delta.before), n.number(delta.after)
    if before is None or after is None or not before:
        return ""
    return f"{(after - before) / before:+.1%}"
