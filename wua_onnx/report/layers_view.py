"""The section on layers: the table's cumulated shares, the details of the first layers, the columns of the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from wua_onnx.report import numbers as n
from wua_onnx.report.charts_tree import rows_of_a_sample
from wua_onnx.report.layer_columns import cumulated, cumulative, embedded, layer_columns
from wua_onnx.report.layer_detail import LayerDetail, layer_detail
from wua_onnx.report.layer_pictures import pictures_of
from wua_onnx.report.rows import NOTHING, LayerRow

Json = Mapping[str, Any]

ROWS = 200  # layers in the table of a page without script
DETAILS = 100  # layers whose details are in the page; the script makes those of the rest from the columns
WORDS = {"macs": "MACs", "weights": "weights", "effective": "effective weights"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A share and its length as a bar, in percent."""

    text: str
    length: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LayersView:
    """What the section shows beside the rows of its table.

    Attributes:
        count: how many layers there are.
        shown: how many rows stand in the page.
        cumulated: what can be added up over layers, the first of it in the table.
        words: what these are called.
        cumulative: the share that each layer and those before it hold together.
        details: the first layers in full.
        data: JSON of all layers for the script.
    """

    count: str
    shown: int
    cumulated: tuple[str, ...]
    words: Mapping[str, str]
    cumulative: tuple[Share, ...]
    details: tuple[LayerDetail, ...]
    data: Markup


def layers_view(audit: Json, rows: Sequence[LayerRow]) -> LayersView:
    """Return the section on layers."""
    layers, attention = audit["layers"], audit.get("attention") or ()
    what, detailed = cumulated(layers), rows_of_a_sample(layers[:DETAILS], audit["cost"])
    return LayersView(
        count=n.count(len(layers)),
        shown=ROWS,
        cumulated=what,
        words=WORDS,
        cumulative=tuple(map(_share, cumulative(layers, what[0])[:ROWS])),
        details=tuple(
            layer_detail(layer, index, attention, pictures)
            for index, (layer, pictures) in enumerate(zip(detailed, pictures_of(detailed), strict=True))
        ),
        data=embedded(layer_columns(audit, rows)),
    )


def _share(value: float | None) -> Share:
    if value is None:
        return Share(text=NOTHING, length=0.0)
    return Share(text=n.percent(value), length=round(100 * value, 2))
