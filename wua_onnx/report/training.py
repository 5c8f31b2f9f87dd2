"""The terminal output of the short functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from wua_onnx._text import visible
from wua_onnx.cost.report import CostReport
from wua_onnx.cost.training import TrainingCost
from wua_onnx.model.dim_json import to_json
from wua_onnx.report import numbers as n


def _table(title: str, *numeric: str, first: str = "") -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column(first)
    for name in numeric:
        table.add_column(name, justify="right")
    return table


def print_training(report: CostReport, training: TrainingCost, console: Console | None = None) -> None:
    """Print the cost of a forward pass by operator, and of a training."""
    console = console or Console()
    table = _table("Forward pass, per operator", "nodes", "MACs", "FLOPs", first="operator")
    for group in report.by_operator.values():
        if group.cost.flops != 0 or group.cost.int_ops != 0 or group.verdict.value == "unknown":
            unknown = group.verdict.value == "unknown"
            macs, flops = (
                ("not known",) * 2 if unknown else (n.count(to_json(d)) for d in (group.cost.macs, group.cost.flops))
            )
            table.add_row(visible(group.name), n.count(group.nodes), macs, flops)
    table.add_section()
    table.add_row(
        "total", n.count(len(report.by_node)), n.count(to_json(report.cost.macs)), n.count(to_json(report.cost.flops))
    )
    console.print(table)
    words = {"exact": "exact", "lower": "a lower bound: some operators are not known", "mixed": "with estimates"}
    console.print(
        f"per run of {n.plural(report.samples_per_run or 1, 'sample')}; {words.get(report.bound, report.bound)}\n"
    )
    whole = _table(
        f"Training: {n.plural(training.samples, 'sample')}, {n.plural(training.epochs, 'epoch')}", "FLOPs", "", first=""
    )
    for name, value in (("forward", training.forward), ("backward", training.backward), ("total", training.flops)):
        whole.add_row(name, n.count(to_json(value)), n.short(to_json(value), "FLOPs"))
    console.print(whole)
    console.print(f"backward: {training.convention}")


_ROWS = (
    ("weights", "total_weights", n.count),
    ("neurons", "nodes", n.count),
    ("entropy (nats)", "entropy", lambda value: n.decimal(value, 4)),
    ("normalized entropy", "normalized_entropy", lambda value: n.decimal(value, 4)),
    ("effective weights", "effective_weights", lambda value: f"{value:,.2f}"),
    ("utilization", "utilization", n.percent),
    ("redundancy", "redundancy", n.percent),
    ("gini", "gini", lambda value: n.decimal(value, 4)),
    ("weights that hold 90 % of the importance", "top_90_contribution", n.percent),
    ("weights with importance below 0.01", "low_weights", n.percent),
)


def print_layer_report(report: Mapping[str, Any], console: Console | None = None) -> None:
    """Print a report of `wua_onnx.generate_report`; what it does not hold is left out."""
    table = _table("", "", first="")
    table.show_header = False
    table.title = None
    for label, key, text in _ROWS:
        if key in report:
            table.add_row(label, text(report[key]))
    (console or Console()).print(table)
