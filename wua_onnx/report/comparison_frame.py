"""The JSON of a comparison as rows: a data frame, and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import Any

from wua_onnx._frames import data_frame
from wua_onnx.report.cost_tables import cell
from wua_onnx.report.numbers import number


def comparison_frame(comparison: Mapping[str, Any]) -> Any:
    """Return a row a layer: its status, what it was matched by, and every figure before and after.

    Raises:
        MissingDependency: pandas is not installed.
    """
    return data_frame(_rows(comparison))


def comparison_csv(comparison: Mapping[str, Any]) -> str:
    """Return the rows of `comparison_frame` as CSV; what a spreadsheet would evaluate is quoted."""
    out, rows = io.StringIO(), _rows(comparison)
    writer = csv.DictWriter(out, list(dict.fromkeys(name for row in rows for name in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: cell(value) for name, value in row.items()} for row in rows)
    return out.getvalue()


def _rows(comparison: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows = [_row(layer) for layer in comparison["layers"]]
    return rows + [_lone(layer, word) for word in ("added", "removed") for layer in comparison[word]]


def _row(layer: Mapping[str, Any]) -> dict[str, Any]:
    row = {"name": layer["name"], "after_name": layer["after_name"], "kind": layer["kind"]}
    row |= {"status": "changed" if layer["changed"] else "same", "matched": layer["matched"]}
    for side, shape in zip(("before", "after"), layer["shapes"], strict=True):
        row[f"shape_{side}"] = "×".join(map(str, shape))
    for delta in layer["figures"]:
        row |= {f"{delta['name']}_{side}": number(delta[side]) for side in ("before", "after")}
    return row


def _lone(layer: Mapping[str, Any], status: str) -> dict[str, Any]:
    side = "after" if status == "added" else "before"
    row = {"after_name" if status == "added" else "name": layer["name"], "kind": layer["kind"], "status": status}
    row[f"shape_{side}"] = "×".join(map(str, layer["weight_shape"]))
    return row | {f"{name}_{side}": number(layer[name]) for name in ("weights", "neurons", "macs", "utilization")}
