"""The columns of a comparison's tables, in the terminal, in Markdown and on the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from wua_onnx.report.columns import Cell, Column
from wua_onnx.report.comparison_layers import LayerChange
from wua_onnx.report.comparison_view import ComparisonView, OutputRow


def _shown(title: str, name: str, *, change: bool = False, narrow: bool = True, spare: int = 0) -> Column:
    def cell(row: LayerChange) -> Cell:
        tone = row.figures[name].tone if name in row.figures else ""
        return Cell(text=row.change(name), style=tone) if change else Cell(text=row.line(name))

    return Column(title=title, cell=cell, narrow=narrow, spare=spare)


def _layer_name(row: LayerChange) -> Cell:
    return Cell(text=f"{row.name} ({row.notes})" if row.notes else row.name)


LAYERS = (
    Column(title="layer", cell=_layer_name, right=False),
    Column(title="", cell=lambda row: Cell(text=row.status, style=row.status), right=False),
    Column(title="shape", cell=lambda row: Cell(text=row.shape), right=False, spare=2),
    _shown("Δ weights", "weights", change=True),
    _shown("Δ MACs", "macs", change=True, narrow=False),
    _shown("utilization", "utilization"),
    _shown("change", "utilization", change=True, spare=1),
    _shown("Δ redundancy", "redundancy", change=True, narrow=False),
    _shown("Δ gini", "gini", change=True, narrow=False),
    _shown("dead", "dead_neurons", narrow=False),
    Column(title="moved", cell=lambda row: Cell(text=row.moved), narrow=False),
)


_FIGURES = (
    Column(title="", cell=lambda row: Cell(text=row.label), right=False),
    Column(title="before", cell=lambda row: Cell(text=row.before)),
    Column(title="after", cell=lambda row: Cell(text=row.after)),
    Column(title="change", cell=lambda row: Cell(text=row.change, style=row.tone)),
)

_NOTE = Column(title="note", cell=lambda row: Cell(text=row.note), right=False)
_OUTPUTS = (
    Column(title="output", cell=lambda row: Cell(text=row.name), right=False),
    Column(title="largest", cell=lambda row: Cell(text=row.largest)),
    Column(title="mean", cell=lambda row: Cell(text=row.mean), spare=2),
    Column(title="RMS", cell=lambda row: Cell(text=row.rms), spare=1),
    Column(title="relative", cell=lambda row: Cell(text=row.relative)),
    Column(title="same class", cell=lambda row: Cell(text=row.agreement)),
)


def output_columns(rows: Sequence[OutputRow]) -> tuple[Column, ...]:
    """Return the columns of the outputs, notes where there are any."""
    return (*_OUTPUTS, _NOTE) if any(row.note for row in rows) else _OUTPUTS


def figure_columns(view: ComparisonView) -> tuple[Column, ...]:
    """Return the columns of the figures, under the names of the models."""
    first, before, after, change = _FIGURES
    return (first, replace(before, title=view.before), replace(after, title=view.after), change)
