"""The columns of the tables of terminal and Markdown: title, alignment, and how a row becomes a cell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from wua_onnx.report.rows import NOTHING, CostRow, LayerRow, Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """Text, and the word that its colour follows."""

    text: str
    style: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column.

    Attributes:
        title: its head.
        cell: makes the cell of a row.
        right: whether it stands right, as figures do.
        narrow: whether it belongs to every table; of the others as many are shown as fit.
        spare: those of the highest number are left out first where not even the narrow ones fit.
    """

    title: str
    cell: Callable[[Any], Cell]
    right: bool = True
    narrow: bool = True
    spare: int = 0


def _text(title: str, name: str, *, right: bool = True, narrow: bool = True, spare: int = 0) -> Column:
    """Return a column that shows one field of the row."""
    return Column(title=title, cell=lambda row: Cell(text=getattr(row, name)), right=right, narrow=narrow, spare=spare)


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
    _text("shape", "shape", right=False, spare=4),
    _text("weights", "weights", spare=2),
    _text("MACs", "macs_share", spare=3),
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
    _text("nodes", "count", spare=3),
    _text("MACs", "macs"),
    _text("share", "share", spare=2),
    _text("FLOPs", "flops"),
    _text("int ops", "int_ops", narrow=False),
    _text("bytes", "bytes", spare=1),
    Column(title="verdict", cell=_verdict, right=False),
    _text("reason", "reason", right=False, narrow=False),
)

HEADS = (
    _text("attention", "name", right=False),
    _text("heads", "heads", spare=1),
    _text("effective", "effective"),
    _text("strongest", "strongest"),
    _text("weakest", "weakest", spare=2),
    _text("most alike", "alike", narrow=False),
    Column(title="dead", cell=lambda row: Cell(text=row.dead, style="severe" if row.some_dead else "")),
    _text("share of each head, %", "shares", right=False, narrow=False),
)

MODULES = (
    Column(title="module", cell=_indented, right=False),
    _text("nodes", "count", spare=3),
    _text("MACs", "macs"),
    _text("share", "share", spare=2),
    _text("FLOPs", "flops"),
    _text("bytes", "bytes", spare=1),
)

FIGURES = {
    "params": _text("params", "params", narrow=False),
    "macs": _text("MACs", "macs"),
    "share": _text("share", "share", spare=2),
    "flops": _text("FLOPs", "flops"),
    "int_ops": _text("int ops", "int_ops", narrow=False),
    "bytes": _text("bytes", "bytes", spare=1),
    "intensity": _text("FLOP/byte", "intensity", narrow=False),
}
_HEADS = {
    "operator": (_text("operator", "name", right=False), _text("nodes", "count", spare=3)),
    "module": (Column(title="module", cell=_indented, right=False), _text("nodes", "count", spare=3)),
    "node": (_text("node", "name", right=False), _text("operator → shape", "detail", right=False)),
}
_TAIL = (
    Column(title="verdict", cell=_verdict, right=False),
    _text("reason", "reason", right=False, narrow=False),
)


def cost_columns(
    by: str, *, symbolic: bool = False, figure: str = "flops", only: Sequence[str] = ()
) -> tuple[Column, ...]:
    """Return the columns of the table of a cost report.

    Args:
        by: "operator", "module" or "node".
        symbolic: whether figures are expressions, of which a narrow table has room for one.
        figure: which one that is.
        only: names of the figures that are shown, at every width; all that fit by default.
    """
    if only:
        return (*_HEADS[by], *(replace(FIGURES[name], narrow=True) for name in only))
    if not symbolic:
        wide = ("share", "bytes") if by == "node" else ()
        shown = [replace(column, narrow=column.narrow and name not in wide) for name, column in FIGURES.items()]
        return (*_HEADS[by], *shown, *_TAIL)
    one = figure if figure in ("macs", "bytes") else "flops"
    names = ("params",) * (figure == "params") + ("macs", "flops", "bytes")
    shown = [replace(FIGURES[name], narrow=name in (one, "params")) for name in names]
    return (*_HEADS[by], *shown, *_TAIL[:1])
