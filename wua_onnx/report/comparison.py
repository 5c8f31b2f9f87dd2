"""The JSON of a comparison in the terminal and as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from wua_onnx.report.comparison_columns import LAYERS, figure_columns, output_columns
from wua_onnx.report.comparison_layers import LayerChange
from wua_onnx.report.comparison_view import ComparisonView, comparison_view
from wua_onnx.report.markdown import escape
from wua_onnx.report.markdown import table as markdown_table
from wua_onnx.report.terminal import section, table

SHOWN = 200  # layers in a table; all of them are in the JSON


def print_comparison(comparison: Mapping[str, Any], console: Console | None = None) -> None:
    """Print the figures of both models, how their outputs differ, and the layers that changed.

    The change of a share is in percentage points (pp), that of everything else in percent.
    """
    console, view = console or Console(), comparison_view(comparison)
    console.print(Text(view.sentence, style="bold"))
    for note in view.notes:
        console.print(Text(f"{note}.", style="yellow"))
    console.print()
    console.print(table(figure_columns(view), view.figures, console))
    if view.outputs:
        section(console, "Outputs", table(output_columns(view.outputs), view.outputs, console))
    if view.outputs or comparison["outputs"]:
        console.print(Text(view.ran, style="dim"))
    if view.layers:
        section(console, f"Layers: {', '.join(view.counts)}", table(LAYERS, view.layers[:SHOWN], console))
    for line in _rest(view):
        console.print(Text(line, style="dim"))


def _rest(view: ComparisonView) -> list[str]:
    """Return what is said of the layers that the table does not show."""
    lines = []
    if len(view.layers) > SHOWN:
        lines.append(f"{len(view.layers) - SHOWN:,} more layers are in the JSON.")
    if view.same and view.layers:
        lines.append(f"Nothing changed in {_names(view.same)}.")
    return lines


def _names(layers: Sequence[LayerChange], most: int = 8) -> str:
    names = ", ".join(layer.name for layer in layers[:most])
    return f"{names} and {len(layers) - most:,} more" if len(layers) > most else names


def comparison_markdown(comparison: Mapping[str, Any]) -> str:
    """Return a comparison as GitHub-flavoured Markdown, everything of the models escaped."""
    view = comparison_view(comparison)
    parts = [
        f"# {escape(view.before)} → {escape(view.after)}",
        f"**{escape(view.sentence)}**",
        *(f"{escape(note)}." for note in view.notes),
        markdown_table(figure_columns(view), view.figures),
        "## Outputs",
        *([markdown_table(output_columns(view.outputs), view.outputs)] if view.outputs else []),
        escape(view.ran),
        "## Layers",
        f"{escape(', '.join(view.counts))}.",
        *([markdown_table(LAYERS, view.layers[:SHOWN])] if view.layers else []),
        *map(escape, _rest(view)),
        "## Method",
        "\n".join(["| | before | after |", "| --- | --- | --- |", *(_row(line) for line in view.sides)]),
    ]
    return "\n\n".join(parts) + "\n"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(escape, cells))} |"
