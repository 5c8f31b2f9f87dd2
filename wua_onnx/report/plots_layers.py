"""What matplotlib draws of layers: histograms of their importance, and how much of it few weights hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np

from wua_onnx.report.plots_axes import FRAME, GRAY, plain

Array: TypeAlias = np.ndarray[Any, Any]
Json: TypeAlias = Mapping[str, Any]
Curve: TypeAlias = "tuple[Array, Array]"

LINES = 8  # layers that have a colour and a line of their own
ROWS = 40  # of a map of layers
_COLOURS = ("#4269d0", "#efb118", "#ff725c", "#6cc5b0", "#3ca951", "#9c6b4e", "#a463f2", "#97bbf5")
_LEAST, _STEP = -4.0, 0.1  # of the columns of a map: decimal logarithms
_DENSITY = f"% of the layer's weights per {_STEP} in log₁₀"


def histograms(ax: Any, scored: Mapping[str, Json]) -> None:
    """Draw a line a layer, or bars where there is one: % of its weights per `_STEP`."""
    for colour, (name, part) in zip(_COLOURS, scored.items(), strict=False):
        edges, share = _histogram(part)
        density = 100 * share * _STEP / np.diff(edges)
        ax.stairs(density, edges, color=colour, fill=len(scored) == 1, linewidth=1.5, label=plain(name))
    ax.axvline(0.0, color=FRAME, linewidth=1)
    ax.set_ylabel(_DENSITY)
    if len(scored) > 1:
        ax.legend(frameon=False, fontsize="small")


def histogram_map(ax: Any, scored: Mapping[str, Json]) -> None:
    """Draw a row a layer, the darker the more of its weights."""
    rows = list(scored.items())[:ROWS]
    parts = [_histogram(part) for _, part in rows]
    edges = np.arange(_LEAST, max(own[-1] for own, _ in parts) + _STEP, _STEP)
    values = np.array([100 * np.diff(np.interp(edges, own, np.cumsum([0.0, *share]))) for own, share in parts])
    mesh = ax.pcolormesh(edges, np.arange(len(rows) + 1) - 0.5, values, cmap="Blues", rasterized=True)
    ax.axvline(0.0, color=FRAME, linewidth=1)
    ax.set_yticks(range(len(rows)), [plain(name) for name, _ in rows], fontsize="x-small")
    ax.invert_yaxis()
    ax.figure.colorbar(mesh, ax=ax, label=_DENSITY)
    if len(scored) > len(rows):
        ax.set_ylabel(f"the first {len(rows)} of {len(scored):,} layers")


def _histogram(part: Json) -> Curve:
    """Return the edges of a layer's histogram and the share of its weights between them."""
    counts = np.asarray(part["histogram"]["counts"], dtype=np.float64)
    return np.asarray(part["histogram"]["edges"], dtype=np.float64), counts / max(counts.sum(), 1.0)


def coverages(ax: Any, scored: Mapping[str, Json]) -> None:
    """Draw a line a layer: how much of its importance its most important weights hold."""
    curves = {name: _curve(part) for name, part in scored.items()}
    steepest = sorted(curves, key=lambda name: float(curves[name][0].mean()))
    named = steepest if len(steepest) <= LINES else [*steepest[:2], *steepest[-2:]]
    colours = dict(zip(named, _COLOURS, strict=False))
    for name in sorted(curves, key=lambda name: name in colours):
        shares, held = curves[name]
        thick = name in colours
        ax.plot(100 * shares, 100 * held, color=colours.get(name, GRAY), linewidth=1.5 if thick else 0.6)
    for name in named:
        ax.plot([], [], color=colours[name], label=plain(name))
    if len(named) < len(curves):
        ax.plot([], [], color=GRAY, linewidth=0.6, label=f"{len(curves) - len(named):,} between them")
    ax.plot([0, 100], [0, 100], color=FRAME, linewidth=1, linestyle=(0, (3, 3)), zorder=0)
    ax.set(xlim=(0, 100), ylim=(0, 100))
    ax.set_xlabel("% of a layer's weights, the most important first")
    ax.set_ylabel("% of its importance")
    ax.legend(frameon=False, fontsize="small", loc="lower right")


def _curve(part: Json) -> Curve:
    """Return shares of weights, and the share of importance that as many of the most important hold."""
    known = [value for value in part.get("lorenz") or () if value is not None]
    if len(known) == len(part.get("lorenz") or ()) > 1:
        points = list(zip(known, np.linspace(0.0, 1.0, len(known)), strict=True))
    else:
        levels = part["metrics"]["coverage"].items()
        points = [(0.0, 0.0), *sorted((share, float(level)) for level, share in levels if share is not None)]
    shares, held = np.array([*points, (1.0, 1.0)], dtype=np.float64).T
    return shares, held
