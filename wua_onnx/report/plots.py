"""Plots with matplotlib, from the JSON of an audit: importance, cost, coverage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np

from wua_onnx._text import visible
from wua_onnx.errors import WuaError
from wua_onnx.report.plots_axes import BLUE, FRAME, axes, plain
from wua_onnx.report.plots_cost import UNITS, bars, sorted_cost
from wua_onnx.report.plots_layers import LINES, ROWS, coverages, histogram_map, histograms

Json: TypeAlias = Mapping[str, Any]


class Plots:
    """Plots of an audit, each into the matplotlib Axes `ax`, or into those of a new figure; they return the Axes.

    Every method raises MissingDependency where matplotlib is not installed.
    """

    def __init__(self, audit: Json) -> None:
        self._audit = audit

    def importance(self, layer: str | None = None, *, criterion: str | None = None, ax: Any = None) -> Any:
        """Draw how importance is spread: the histogram of log10(importance / mean) of a layer, or of all of them.

        Several layers are lines of equal area; more than eight are rows of a map.

        Args:
            layer: the name of a layer; all of them by default.
            criterion: by which importance is measured; the first one of the audit by default.
            ax: the Axes to draw into.

        Raises:
            WuaError: there is no such layer or criterion.
        """
        scored = self._scored(layer, criterion)
        many = len(scored) > LINES
        ax = axes(ax, 1.2 + 0.17 * min(len(scored), ROWS) if many else 3.6)
        (histogram_map if many else histograms)(ax, scored)
        ax.set_xlabel("log₁₀ of importance over the layer's mean (the first bin: that and less)")
        ax.set_title(self._title("Importance", criterion, layer), fontsize="medium")
        return ax

    def cost(self, figure: str = "macs", *, by: str = "operator", ax: Any = None) -> Any:
        """Draw what holds most of a figure, the largest first, with the share of each.

        Args:
            figure: "macs", "flops", "int_ops", "bytes" or "params".
            by: "operator", "module", "node", or "layer" (MACs and parameters).
            ax: the Axes to draw into.

        Raises:
            WuaError: there is no such figure, or its values are expressions of different dimensions.
        """
        names, values = sorted_cost(self._audit, figure, by)
        ax = bars(axes(ax, 1.1 + 0.28 * len(names)), names, values)
        name = plain(self._audit["model"]["name"], 60)
        ax.set_title(f"{UNITS[figure]} by {by}, {name}", fontsize="medium")
        return ax

    def coverage(self, *, criterion: str | None = None, ax: Any = None) -> Any:
        """Draw how much of a layer's importance its most important weights hold: a line a layer.

        A line on the diagonal belongs to a layer whose weights all count alike. More than eight layers are gray, but
        for those that hold most and least.

        Args:
            criterion: by which importance is measured; the first one of the audit by default.
            ax: the Axes to draw into.

        Raises:
            WuaError: there is no such criterion.
        """
        ax = axes(ax)
        coverages(ax, self._scored(None, criterion))
        ax.set_title(self._title("Coverage", criterion, None), fontsize="medium")
        return ax

    def _title(self, what: str, criterion: str | None, layer: str | None) -> str:
        whose = self._audit["model"]["name"] if layer is None else layer
        return f"{what} by {plain(_criterion(self._audit, criterion))}, {plain(whose, 60)}"

    def _scored(self, layer: str | None, criterion: str | None) -> dict[str, Json]:
        """Return what is known of each layer by a criterion."""
        layers = {part["name"]: part for part in self._audit["layers"]}
        if layer is not None and layer not in layers:
            there = ", ".join(visible(name, 40) for name in list(layers)[:LINES])
            raise WuaError(f"plot: expected a layer, one of {there}, got {visible(layer)!r}")
        wanted = _criterion(self._audit, criterion)
        chosen = layers.values() if layer is None else [layers[layer]]
        found = {part["name"]: part["criteria"][wanted] for part in chosen if wanted in part["criteria"]}
        if not found:
            there = ", ".join(self._audit["settings"]["criterion"])
            raise WuaError(f"plot: expected layers measured by {visible(wanted)} ({visible(there)}), got none")
        return found


def _criterion(audit: Json, criterion: str | None) -> str:
    return criterion or next(iter(audit["settings"]["criterion"]), "")


def importance_axes(values: np.ndarray[Any, Any], title: str, ax: Any = None) -> Any:
    """Draw the histogram of log10(p·N), where 0 is a weight with the mean importance; return the Axes.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    ax = axes(ax)
    positive = values[np.isfinite(values) & (values > 0)]
    zeros = int(np.count_nonzero(values == 0))
    ax.hist(np.log10(positive * values.size), bins=_bins(positive.size), color=BLUE, edgecolor="white", linewidth=0.5)
    ax.axvline(0.0, color=FRAME, linewidth=1)
    ax.set_xlabel("log₁₀ of importance over its mean")
    ax.set_ylabel("weights")
    ax.yaxis.get_major_locator().set_params(integer=True)
    ax.set_title(title + (f"; {zeros:,} weights with none" if zeros else ""), fontsize="medium")
    return ax


def _bins(count: int) -> int:
    """Return how many bars show `count` values: twice its root, 20 to 40."""
    return int(min(max(2 * np.sqrt(count), 20), 40))
