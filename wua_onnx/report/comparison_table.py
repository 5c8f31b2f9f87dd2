"""The layers of a comparison as columns, embedded in its page for the script that sorts and filters them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wua_onnx.report.comparison_layers import LayerChange
from wua_onnx.report.html import unbroken
from wua_onnx.report.layer_columns import coded

METRICS = ("utilization", "redundancy", "gini")
_COUNTS = ("weights", "macs")
_SORTED = (*_COUNTS, *METRICS, "dead_neurons", "weight_change")
_BOTH = (*_COUNTS, *METRICS, "dead_neurons")
_SIDES = ("before", "after")
_EXPORTED = ("name", "status", "shape", "notes", *(f"{name}_{side}" for name in _BOTH for side in _SIDES), "moved")


def change_columns(name: str, layers: Sequence[LayerChange]) -> dict[str, Any]:
    """Return the columns: what each cell shows as texts, and what it is sorted by, the difference, as numbers.

    Args:
        name: of the comparison.
        layers: the rows.
    """
    numbers = {name: [_rounded(layer.difference(name)) for layer in layers] for name in _SORTED}
    texts = {part: [getattr(layer, part) for layer in layers] for part in ("name", "notes", "status", "shape", "moved")}
    texts |= {f"{name}_step": [layer.step(name) for layer in layers] for name in _COUNTS}
    texts |= {f"{name}_change": [layer.change(name) for layer in layers] for name in (*_COUNTS, *METRICS)}
    texts |= {f"{name}_line": [layer.line(name) for layer in layers] for name in (*METRICS, "dead_neurons")}
    texts |= {f"{name}_tone": [_tone(layer, name) for layer in layers] for name in METRICS}
    for position, side in enumerate(_SIDES):
        numbers |= {f"{name}_{side}": [_number(layer, name, position) for layer in layers] for name in _BOTH}
        texts |= {f"{name}_{side}_text": [_expression(layer, name, side) for layer in layers] for name in _COUNTS}
    texts = {name: column if name == "name" else list(map(unbroken, column)) for name, column in texts.items()}
    return {
        "model": name,
        "searched": ("name", "status", "shape", "notes"),
        "picked": "status",
        "cumulated": (),
        "exported": _EXPORTED,
        "numbers": numbers,
        "texts": {name: coded(column) for name, column in texts.items()},
    }


def _tone(layer: LayerChange, name: str) -> str:
    return layer.figures[name].tone if name in layer.figures else ""


def _number(layer: LayerChange, name: str, position: int) -> float | None:
    row = layer.figures.get(name)
    return None if row is None else _rounded(row.numbers[position])


def _expression(layer: LayerChange, name: str, side: str) -> str:
    """Return a figure of free dimensions; empty where it is a number."""
    text: str = getattr(layer.figures[name], side) if name in layer.figures else ""
    return "" if text.replace(",", "").isdigit() else text


def _rounded(value: float | None) -> float | None:
    return None if value is None else int(value) if value.is_integer() else float(f"{value:.5g}")
