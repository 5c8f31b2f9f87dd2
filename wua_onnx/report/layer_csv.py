"""The layers of an audit as CSV: one row a layer and criterion, every number with all its digits."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from wua_onnx.report.cost_tables import cell

Json: TypeAlias = Mapping[str, Any]

_HEAD = ("name", "kind", "op", "uses", "dtype", "weight_shape", "weights", "neurons", "dead_neurons", "non_finite",
         "activation", "macs", "module", "module_class", "source")  # fmt: skip
_METRICS = ("effective", "utilization", "redundancy", "gini", "entropy", "normalized_entropy")


def layer_csv(audit: Json) -> str:
    """Return the layers as CSV, metrics beside the untrained ones; what a spreadsheet would evaluate is quoted."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    untrained = [f"untrained_{name}" for name in _METRICS]
    writer.writerow([*_HEAD, "criterion", *_METRICS, *untrained])
    for layer in audit["layers"]:
        writer.writerows([cell(value) for value in row] for row in _rows(layer))
    return out.getvalue()


def _rows(layer: Json) -> Iterator[list[Any]]:
    shape = "×".join(map(str, layer["weight_shape"]))
    head = [shape if name == "weight_shape" else layer.get(name) for name in _HEAD]
    for criterion, scored in layer["criteria"].items():
        sides = (scored["metrics"], scored["baseline"] or {})
        yield [*head, criterion, *(side.get(name) for side in sides for name in _METRICS)]
    if not layer["criteria"]:
        yield [*head, *[None] * (1 + 2 * len(_METRICS))]
