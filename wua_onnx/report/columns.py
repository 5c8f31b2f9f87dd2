"""The columns of the tables of terminal and Markdown: title, alignment, and how a row becomes a cell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from wua_onnx.report.rows import NOTHING, CostRow, LayerRow, Reading

WIDE = 110  # columns of a console from which every column is shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """Text, and the word that its colour follows."""

    text: str
    style: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column; `narrow` ones are shown at every width."""

    title: str
    cell: Callable[[Any], Cell]
    right: bool = True
    narrow: bool = True


def _text(title: str, name: str, *, right: bool = True, narrow: bool = True) -> Column:
    """Return a column that shows one field of the row."""
    return Column(title=title, cell=lambda row: Cell(text=getattr(row, name)), right=right, narrow=narrow)


def _metric(title: str, name: str, *, narrow: bool = True) -> Column:
    def cell(row: LayerRow) -> Cell:
        reading: Reading = getattr(row, name)
        return Cell(text=reading.value, style=reading.band)

    return Column(title=title, cell=cell, narrow=narrow)


def _untrained(name: str, *, narrow: bool = True) -> Column:
    def cell(row: LayerRow) -> Cell:
        reading: Reading = getattr(row, name)
        return Cell(text=reading.baseline or NOTHING, style="free")

    return Column(title="untrained", cell=cell, narrow=narrow)


def _layer_name(row: LayerRow) -> Cell:
    notes = f" ({', '.join(row.notes)})" if row.notes else ""
    return Cell(text=f"{row.name}{notes}")


def _dead(row: LayerRow) -> Cell:
    return Cell(text=row.dead, style="severe" if row.some_dead else "")


def _verdict(row: CostRow) -> Cell:
    return Cell(text=row.verdict, style=row.verdict)


def _indented(row: CostRow) -> Cell:
    return Cell(text="  " * max(row.depth - 1, 0) + row.name)


LAYERS = (
    Column(title="layer", cell=_layer_name, right=False),
    _text("kind", "kind", right=False, narrow=False),
    _text("shape", "shape", right=False),
    _text("weights", "weights"),
    _text("MACs", "macs_share"),
    _metric("utilization", "utilization"),
    _untrained("utilization"),
    _metric("redundancy", "redundancy", narrow=False),
    _metric("gini", "gini", narrow=False),
    _text("90 % in", "coverage", narrow=False),
    Column(title="dead", cell=_dead),
    _text("activation", "activation", right=False, narrow=False),
)

OPERATORS = (
    _text("operator", "name", right=False),
    _text("nodes", "count"),
    _text("MACs", "macs"),
    _text("share", "share"),
    _text("FLOPs", "flops"),
    _text("int ops", "int_ops", narrow=False),
    _text("bytes", "bytes"),
    Column(title="verdict", cell=_verdict, right=False),
    _text("reason", "reason", right=False, narrow=False),
)

MODULES = (
    Column(title="module", cell=_indented, right=False),
    _text("nodes", "count"),
    _text("MACs", "macs"),
    _text("share", "share"),
    _text("FLOPs", "flops"),
    _text("bytes", "bytes"),
)

NODES = (
    _text("node", "name", right=False),
    _text("operator → shape", "detail", right=False),
    _text("MACs", "macs"),
    _text("share", "share", narrow=False),
    _text("FLOPs", "flops"),
    _text("bytes", "bytes", narrow=False),
    Column(title="verdict", cell=_verdict, right=False),
)
