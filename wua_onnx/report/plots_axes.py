"""What all plots have in common: Axes, colours, and names that matplotlib shows as they are."""

from __future__ import annotations

from typing import Any

from wua_onnx._text import shortened
from wua_onnx.errors import MissingDependency

BLUE, GRAY, FRAME = "#4269d0", "#b8bec9", "#888888"
_NAME = 32  # characters of a name beside an axis


def axes(ax: Any, height: float = 3.6) -> Any:
    """Return `ax`, or the Axes of a new figure `height` inches high.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    if ax is not None:
        return ax
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise MissingDependency("matplotlib", "plot", "a plot") from error
    return pyplot.subplots(figsize=(6.4, height), layout="constrained")[1]


def plain(text: str, limit: int = _NAME) -> str:
    """Return a name as a label: a dollar sign would begin a formula, an underscore at its start hide it."""
    shown = shortened(text, limit).replace("$", r"\$")
    return f" {shown}" if shown.startswith("_") else shown or "–"
