"""The JSON of a comparison -> one HTML file without scripts, a fragment for a notebook, and a data frame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wua_onnx.errors import MissingDependency
from wua_onnx.report.comparison_columns import LAYERS, figure_columns, output_columns
from wua_onnx.report.comparison_view import comparison_view
from wua_onnx.report.html import asset, environment
from wua_onnx.report.numbers import number

SHOWN = 500  # layers on the page; all of them are in the JSON
DETAILED = 100  # layers with all their figures
INLINE = 50


def render_comparison(comparison: Mapping[str, Any]) -> str:
    """Return the page of a comparison: it needs no network, no file beside it and no script.

    Raises:
        WuaError: `comparison` is of another schema version.
    """
    template, view = environment().get_template("comparison.html.jinja"), comparison_view(comparison)
    return template.render(
        view=view,
        outputs=output_columns(view.outputs),
        css=asset("report.css"),
        words={"good": "better", "poor": "worse"},
        most=SHOWN,
        detailed=DETAILED,
    )


def render_comparison_inline(comparison: Mapping[str, Any]) -> str:
    """Return a comparison as a fragment for a notebook: no script, at most `INLINE` layers.

    Raises:
        WuaError: `comparison` is of another schema version.
    """
    template, view = environment().get_template("_comparison_inline.html.jinja"), comparison_view(comparison)
    tables = {"figures": figure_columns(view), "outputs": output_columns(view.outputs), "layers": LAYERS}
    return template.render(view=view, columns=tables, most=INLINE)


def comparison_frame(comparison: Mapping[str, Any]) -> Any:
    """Return a row a layer: its status, what it was matched by, and every figure before and after.

    Raises:
        MissingDependency: pandas is not installed.
    """
    try:
        import pandas
    except ImportError as error:
        raise MissingDependency("pandas", "pandas", "a data frame") from error
    rows = [_row(layer) for layer in comparison["layers"]]
    rows += [_lone(layer, word) for word in ("added", "removed") for layer in comparison[word]]
    return pandas.DataFrame(rows)


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
