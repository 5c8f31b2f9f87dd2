"""The layers as columns, embedded in the page for its script: sorting, filtering, grouping, copying, the rest of them.

Every string is already what the page may show; every float has five digits.
"""

from __future__ import annotations

import base64
import itertools
import json
import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from wua_onnx._text import visible
from wua_onnx.report import numbers as n
from wua_onnx.report.rows import LayerRow, first_criterion, place

Json = Mapping[str, Any]

_METRICS = ("utilization", "redundancy", "gini")
# What is copied and downloaded of each layer; `cumulative` is worked out in the page.
EXPORTED = (
    "name", "kind", "operator", "shape", "activation", "module", "module_class", "source",
    "weights", "effective", "macs", "share", "cumulative",
    "utilization", "untrained_utilization", "redundancy", "untrained_redundancy", "gini", "untrained_gini", "coverage",
    "untrained_coverage", "dead", "neurons", "notes",
)  # fmt: skip


def layer_columns(audit: Json, rows: Sequence[LayerRow]) -> dict[str, Any]:
    """Return the columns: texts as lists of distinct words and where they stand, numbers as lists with null.

    `macs` is what the column is sorted by: where it is symbolic, the factor of a product; `macs_text` what is shown.
    """
    layers = audit["layers"]
    numbers: dict[str, list[float | None]] = {
        "weights": _each(layers, lambda layer: layer["weights"]),
        "macs": [row.macs_key for row in rows],
        "share": _each(layers, lambda layer: n.ratio(layer["macs"], audit["cost"]["macs"])),
        "dead": _each(layers, lambda layer: layer["dead_neurons"]),
        "neurons": _each(layers, lambda layer: layer["neurons"]),
        "effective": _metric(layers, "metrics", "effective"),
        "coverage": _each(layers, lambda layer: _covered(layer, "metrics")),
        "untrained_coverage": _each(layers, lambda layer: _covered(layer, "baseline")),
    }
    for name in _METRICS:
        numbers[name] = _metric(layers, "metrics", name)
        numbers[f"untrained_{name}"] = _metric(layers, "baseline", name)
    texts = {
        "name": [row.name for row in rows],
        "kind": [row.kind for row in rows],
        "operator": [visible(layer["op"]) for layer in layers],
        "shape": [row.shape for row in rows],
        "activation": [row.activation for row in rows],
        "module": [row.module for row in rows],
        "module_class": [visible(layer.get("module_class") or "") for layer in layers],
        "source": [place(layer.get("source") or "") for layer in layers],
        "notes": [" · ".join(row.notes) for row in rows],
        "macs_text": [
            row.macs if isinstance(layer["macs"], Mapping) else "" for row, layer in zip(rows, layers, strict=True)
        ],
    }
    texts |= {f"{name}_band": [getattr(row, name).band for row in rows] for name in _METRICS}
    return {
        "model": visible(audit["model"]["name"]),
        "criterion": visible(next(iter(audit["settings"]["criterion"]), "")),
        "searched": ("name", "kind", "operator", "activation", "module", "module_class", "source"),
        "picked": "kind",
        "cumulated": cumulated(layers),
        "exported": EXPORTED,
        "numbers": numbers,
        "texts": {name: coded(column) for name, column in texts.items()},
        "histogram": ["".join(_digit(height) for height in row.spark_heights) for row in rows],
        "ends": [_ends(layer) for layer in layers],
        "lorenz": [[_rounded(x, 4) for x in first_criterion(layer).get("lorenz") or ()] for layer in layers],
    }


def cumulated(layers: Sequence[Json]) -> tuple[str, ...]:
    """Return what can be added up over the layers, the default first: `macs`, `weights`, `effective`."""
    macs = [layer["macs"] for layer in layers]
    some = any(n.factor(value) for value in macs)
    return ("macs",) * (some and n.comparable(macs)) + ("weights", "effective")


def cumulative(layers: Sequence[Json], what: str) -> tuple[float | None, ...]:
    """Return the share of `what` that each layer and those before it hold together; None where there is none."""
    own = _metric(layers, "metrics", what) if what == "effective" else [n.factor(layer[what]) for layer in layers]
    total = math.fsum(value or 0.0 for value in own)
    sums = itertools.accumulate(value or 0.0 for value in own)
    return tuple(value / total if total > 0 else None for value in sums)


def embedded(columns: Json) -> Markup:
    """Return JSON as it stands inside of a script element: deflated, in base64, a seventh of its size."""
    text = json.dumps(columns, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Markup(base64.b64encode(zlib.compress(text.encode(), 9)).decode())


def coded(column: Sequence[str]) -> Json:
    """Return a column of texts, as distinct words and where they stand if that is shorter."""
    words = list(dict.fromkeys(column))
    if len(words) * 2 > len(column):
        return {"words": list(column), "at": None}
    places = {word: place for place, word in enumerate(words)}
    return {"words": words, "at": [places[word] for word in column]}


def _each(layers: Sequence[Json], value: Callable[[Json], n.Number]) -> list[float | None]:
    return [_rounded(n.ratio(value(layer), 1)) for layer in layers]


def _metric(layers: Sequence[Json], side: str, name: str) -> list[float | None]:
    return _each(layers, lambda layer: (first_criterion(layer).get(side) or {}).get(name))


def _covered(layer: Json, side: str) -> n.Number:
    found: n.Number = ((first_criterion(layer).get(side) or {}).get("coverage") or {}).get("0.9")
    return found


def _ends(layer: Json) -> list[float]:
    """Return the first and last edge of the histogram, powers of ten over the mean."""
    edges = (first_criterion(layer).get("histogram") or {}).get("edges") or ()
    return [edges[0], edges[-1]] if edges else []


def _rounded(value: float | None, digits: int = 5) -> float | None:
    if value is None:
        return None
    return int(value) if value.is_integer() and abs(value) < 2**53 else float(f"{value:.{digits}g}")


def _digit(height: int) -> str:
    return "0123456789abcdefghijklmnopqrstuvwxyz"[height]
