"""The terminal output of the short functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from wua_onnx._text import visible
from wua_onnx.cost.energy import Constants
from wua_onnx.cost.report import CostReport
from wua_onnx.cost.training import TrainingCost
from wua_onnx.cost.value import Cost, Verdict
from wua_onnx.model.dim_json import to_json
from wua_onnx.report import numbers as n
from wua_onnx.report.verdict import bound_of


def _table(*columns: str) -> Table:
    """Return an empty table: words in the first column, numbers in the others."""
    table = Table(box=None, pad_edge=False)
    for index, name in enumerate(columns):
        table.add_column(name, justify="right" if index else "left")
    return table


def print_training(
    report: CostReport, training: TrainingCost, constants: Constants, console: Console | None = None
) -> None:
    """Print the cost of a forward pass by operator, of a training, and an estimate of their energy and carbon.

    Args:
        report: the count, every dimension bound.
        training: of the same model.
        constants: of the energy, instead of the defaults; measured ones are those of the training.
        console: where to print; stdout by default.
    """
    console = console or Console()
    console.print(f"Forward pass, per run of {n.plural(report.samples_per_run or 1, 'sample')}")
    console.print(_operators(report))
    bound = bound_of({"bound": report.bound})
    console.print(f"{bound.label}: {bound.note}\n")
    console.print(f"Training: {n.plural(training.samples, 'sample')}, {n.plural(training.epochs, 'epoch')}")
    table = _table("", "FLOPs", "in short")
    rows = [("forward", training.forward), ("backward", training.backward)]
    if training.steps is not None:
        rows.append(("optimizer", training.optimizer))
    for name, value in (*rows, ("total", training.flops)):
        table.add_row(name, n.count(to_json(value)), n.short(to_json(value), "FLOPs"))
    console.print(table)
    console.print(f"backward: {training.convention}")
    if training.steps is not None:
        steps, weights = n.plural(training.steps, "step"), n.plural(training.trainable, "trainable parameter")
        console.print(f"optimizer: {steps} over {weights}")
    _print_energy(report, training, constants, console)


def _print_energy(report: CostReport, training: TrainingCost, constants: Constants, console: Console) -> None:
    assumed: Constants = {**constants, "watts": None, "seconds": None}
    inference, trained = report.energy(**assumed), training.energy(**constants)
    console.print("\nEnergy and carbon (estimates: machines and grids differ)")
    table = _table("", "energy", "kWh", "CO₂")
    measured = " (measured)" if "watts" in trained.assumptions else ""
    for name, value in (("one sample", inference), (f"training{measured}", trained)):
        table.add_row(name, si(value.joules, "J"), f"{value.kwh:.3g}", si(value.grams_co2, "g"))
    console.print(table)
    for name in dict.fromkeys((*inference.assumptions, *trained.assumptions)):
        value = trained if name in trained.assumptions else inference
        unit, scale = CONSTANTS[name]
        console.print(f"{value.assumptions[name] * scale:.4g} {unit}: {value.sources[name]}", highlight=False)


CONSTANTS = {
    "joules_per_flop": ("pJ per FLOP", 1e12),
    "joules_per_byte": ("pJ per byte moved", 1e12),
    "joules_per_int_op": ("pJ per integer operation", 1e12),
    "grams_per_kwh": ("g CO₂ per kWh", 1),
    "watts": ("W in training", 1),
    "seconds": ("s of training", 1),
}
_PREFIXES = {-12: "p", -9: "n", -6: "µ", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T"}


def si(value: float, unit: str) -> str:
    """Return three significant digits of `value` with a decimal prefix: `1.53 kJ`, `189 mg`."""
    if value == 0:
        return f"0 {unit}"
    digits, exponent = f"{value:.2e}".split("e")
    power = max(-12, min(12, int(exponent) // 3 * 3))
    shift = int(exponent) - power
    return f"{float(digits) * 10**shift:.{min(max(2 - shift, 0), 2)}f} {_PREFIXES[power]}{unit}"


def _operators(report: CostReport) -> Table:
    """Return the operators that cost something, or whose cost is not known, and their total."""
    table = _table("operator", "nodes", "MACs", "FLOPs")
    for group in report.by_operator.values():
        unknown = group.verdict is Verdict.UNKNOWN
        if unknown or group.cost.macs != 0 or group.cost.flops != 0 or group.cost.int_ops != 0:
            figures = (n.NOT_KNOWN,) * 2 if unknown else _figures(group.cost)
            table.add_row(Text(visible(group.name)), n.count(group.nodes), *figures)
    table.add_section()
    table.add_row("total", n.count(len(report.by_node)), *_figures(report.cost))
    return table


def _figures(cost: Cost) -> tuple[str, str]:
    return n.count(to_json(cost.macs)), n.count(to_json(cost.flops))


_ROWS = (
    ("weights", "total_weights", n.count),
    ("neurons", "nodes", n.count),
    ("entropy (nats)", "entropy", lambda value: n.decimal(value, 4)),
    ("normalized entropy", "normalized_entropy", lambda value: n.decimal(value, 4)),
    ("effective weights", "effective_weights", lambda value: n.decimal(value, 2)),
    ("utilization", "utilization", n.percent),
    ("redundancy", "redundancy", n.percent),
    ("gini", "gini", lambda value: n.decimal(value, 4)),
    ("weights that hold 90 % of the importance", "top_90_contribution", n.percent),
    ("weights with importance below 0.01", "low_weights", n.percent),
)


def print_layer_report(report: Mapping[str, Any], console: Console | None = None) -> None:
    """Print a report of `wua_onnx.generate_report`; what it does not hold is left out."""
    table = _table("", "")
    table.show_header = False
    for label, key, text in _ROWS:
        if key in report:
            table.add_row(label, text(report[key]))
    if report.get("non_finite"):
        table.add_row("NaN or infinite importances, left out", n.count(report["non_finite"]))
    (console or Console()).print(table)
