"""Plots with matplotlib."""

from __future__ import annotations

from typing import Any

import numpy as np

from wua_onnx.errors import MissingDependency


def importance_axes(values: np.ndarray[Any, Any], title: str, ax: Any = None) -> Any:
    """Draw the histogram of log10(p·N), where 0 is a weight with the mean importance; return the Axes.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    if ax is None:
        try:
            from matplotlib import pyplot
        except ImportError as error:
            raise MissingDependency("matplotlib", "plot", "a plot") from error
        ax = pyplot.subplots(figsize=(6.4, 3.6), layout="constrained")[1]
    positive = values[np.isfinite(values) & (values > 0)]
    zeros = int(np.count_nonzero(values == 0))
    ax.hist(
        np.log10(positive * values.size), bins=_bins(positive.size), color="#4269d0", edgecolor="white", linewidth=0.5
    )
    ax.axvline(0.0, color="#888888", linewidth=1)
    ax.set_xlabel("log₁₀ of importance over its mean")
    ax.set_ylabel("weights")
    ax.yaxis.get_major_locator().set_params(integer=True)
    ax.set_title(title + (f"; {zeros:,} weights with none" if zeros else ""), fontsize="medium")
    return ax


def _bins(count: int) -> int:
    """Return how many bars show `count` values: twice its root, 20 to 40."""
    return int(min(max(2 * np.sqrt(count), 20), 40))
