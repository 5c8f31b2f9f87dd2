"""An audit's layers as a data frame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wua_onnx._frames import data_frame
from wua_onnx.report.numbers import number

_METRICS = ("effective", "utilization", "redundancy", "gini", "entropy", "normalized_entropy")


def layers_frame(audit: Mapping[str, Any]) -> Any:
    """Return one row a layer: shape, cost, and the metrics of the first criterion beside the untrained ones.

    Raises:
        MissingDependency: pandas is not installed.
    """
    return data_frame([_row(layer) for layer in audit["layers"]])


def _row(layer: Mapping[str, Any]) -> dict[str, Any]:
    row = {
        key: layer[key] for key in ("name", "kind", "op", "uses", "weights", "neurons", "activation", "dead_neurons")
    }
    row["weight_shape"] = "×".join(map(str, layer["weight_shape"]))
    row["macs"] = number(layer["macs"])
    row.update({key: layer.get(key) for key in ("module", "module_class", "source")})
    for scored in list(layer["criteria"].values())[:1]:
        row.update({name: scored["metrics"][name] for name in _METRICS})
        if scored["baseline"] is not None:
            row.update({f"untrained_{name}": scored["baseline"][name] for name in _METRICS})
        row["coverage_90"] = scored["metrics"]["coverage"]["0.9"]
    return row
