"""The JSON of a comparison -> one HTML file, and a fragment for a notebook."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wua_onnx.report.comparison_columns import LAYERS, figure_columns, output_columns
from wua_onnx.report.comparison_table import change_columns
from wua_onnx.report.comparison_view import comparison_view
from wua_onnx.report.html import asset, environment, script
from wua_onnx.report.layer_columns import embedded

SHOWN = 200  # layers in the table of a page without script
NAMED = 500  # of unchanged layers
DETAILED = 100  # layers with all their figures
INLINE = 50


def render_comparison(comparison: Mapping[str, Any]) -> str:
    """Return the page of a comparison: it needs no network and no file beside it.

    Raises:
        WuaError: `comparison` is of another schema version.
    """
    template, view = environment().get_template("comparison.html.jinja"), comparison_view(comparison)
    return template.render(
        view=view,
        outputs=output_columns(view.outputs),
        css=asset("report.css"),
        **script("comparison.js"),
        data=embedded(change_columns(f"{view.before}-{view.after}", view.layers)),
        words={"good": "better", "poor": "worse"},
        most=SHOWN,
        named=NAMED,
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
