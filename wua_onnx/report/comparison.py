"""Two audits side by side, in the terminal."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from wua_onnx._text import visible
from wua_onnx.report import numbers as n

if TYPE_CHECKING:
    from wua_onnx._compare import Comparison, Delta

_SHARES = ("utilization", "baseline_utilization", "compression_potential", "average_redundancy", "accuracy")
_LABELS = {
    "macs": "MACs",
    "flops": "FLOPs",
    "params": "parameters",
    "weight_bytes": "weight size",
    "peak_activation_bytes": "peak activations",
    "baseline_utilization": "utilization, untrained",
}
_SMALL = 1000  # below it, effective weights are shown with a decimal


def print_comparison(comparison: Comparison, console: Console | None = None) -> None:
    """Print the figures of both models, their layers of the same name, and the layers only one has.

    The change of a share is in percentage points (pp), that of everything else in percent.
    """
    console = console or Console()
    names = [visible(audit.model["name"], 40) for audit in (comparison.before, comparison.after)]
    if names[0] == names[1]:
        names = ["before", "after"]
    table = _table(*names)
    for delta in comparison.figures:
        write, change = _writing(delta)
        label = _LABELS.get(delta.name, delta.name.replace("_", " "))
        table.add_row(label, write(delta.before), write(delta.after), change(delta))
    table.add_section()
    for delta in comparison.layers:
        name = Text(f"utilization of {visible(delta.name)}")
        table.add_row(name, n.percent(delta.before), n.percent(delta.after), _points(delta))
    console.print(table)
    for word, only in zip(("before", "after"), (comparison.removed, comparison.added), strict=True):
        if only:
            console.print(Text(f"only {word}: {', '.join(map(visible, only))}"))


def _table(before: str, after: str) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for name in (before, after, "change"):
        table.add_column(Text(name), justify="right")
    return table


def _writing(delta: Delta) -> tuple[Callable[[n.Number], str], Callable[[Delta], str]]:
    """Return how a figure is written, and how its change."""
    if delta.name in _SHARES:
        return n.percent, _points
    if delta.name == "effective_weights":
        return _decimal, _percent
    return (n.size if delta.name.endswith("bytes") else n.count), _percent


def _decimal(value: n.Number) -> str:
    known = n.number(value)
    return n.decimal(value, 1) if known is not None and known < _SMALL else n.count(value)


def _percent(delta: Delta) -> str:
    """Return the change in percent; nothing where a side is unknown or 0, or free dimensions decide."""
    if delta.ratio is None:
        return ""
    change = f"{100 * (delta.ratio - 1):+.1f} %"
    return "0 %" if change in ("+0.0 %", "-0.0 %") else change


def _points(delta: Delta) -> str:
    before, after = n.number(delta.before), n.number(delta.after)
    return "" if before is None or after is None else f"{100 * (after - before):+.1f} pp"
