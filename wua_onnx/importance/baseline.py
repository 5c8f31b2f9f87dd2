"""What the metrics of a layer read before any training: Gaussian weights, same shape, same activation means.

Gaussian weights are far from evenly important (utilization 0.753, Gini 0.414), so a metric says something about
training only beside this baseline.

How it is drawn. The importances are s_j·|g_ij|, g standard normal, s_j the mean activation of neuron j.

* Layers of up to `_SMALL` weights are drawn whole, 4 to 64 times, and each metric is the mean over the repeats, so
  that the finite-size bias of small layers is theirs too. Across the repeats each weight runs through equally likely
  slices of its distribution once (Latin hypercube: McKay, Beckman, Conover, 1979).
* Of larger layers every neuron stands with k inputs, k <= n, in place of n. Its k values take one quantile from each
  of k equally likely slices, at a height that differs by neuron: all neurons together hold an even grid of quantiles.
  The entropy between neurons is that of their activation means, less what n draws per neuron take from it.
"""

from __future__ import annotations

import functools
import math
from dataclasses import replace
from statistics import NormalDist, fmean
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from wua_onnx.errors import WuaError
from wua_onnx.importance.criteria import axis_of
from wua_onnx.importance.metric_values import LayerMetrics
from wua_onnx.importance.metrics import SPARSITY_THRESHOLDS, layer_metrics, share_entropy
from wua_onnx.importance.ranking import Array

_SMALL = 1 << 14
_DRAWS = 1 << 16
_MOST_REPEATS = 64
# Neurons with fewer inputs are never thinned, and those with more keep at least this many.
_LEAST_INPUTS = 8
_QUANTILES = 1 << 16
# Variance of |g| over the square of its mean.
_VARIATION = math.pi / 2 - 1


def untrained(
    shape: tuple[int, ...],
    neuron_axis: int,
    mean_activation: ArrayLike | None = None,
    *,
    seed: int = 0,
    scale: float | None = None,
) -> LayerMetrics:
    """Expected metrics of a layer of that shape with Gaussian weights, without ever looking at its weights.

    Args:
        shape: of the canonical weight.
        neuron_axis: the axis of `shape` whose index names the neuron.
        mean_activation: one mean|a_j| >= 0 per neuron; None where the criterion uses none (all equal). Neurons with a
            NaN or infinite mean are counted in `non_finite` and left out, as in `layer_metrics`.
        seed: of the draws for small layers; the same seed gives the same figures.
        scale: standard deviation of the weights, such as the root mean square of the trained ones. Only `sum` and
            `sparsity` depend on it; without it they are NaN, since an absolute threshold means nothing then.

    Error of utilization, redundancy, gini and coverage against the expectation over many draws:

    ==============================  =====================  ====================
    activation means                1,000 weights or more  fewer
    ==============================  =====================  ====================
    equal, or not given             0.002                  0.01
    spread over powers of ten       0.005                  0.03
    one neuron outweighs the rest   0.03                   0.03
    ==============================  =====================  ====================

    The last line is 0.07 where neurons have a single input. `sum` and `sparsity` are exact. `relative_sparsity` is the
    least certain, 0.02, and worse where the percentile it refers to falls between neurons of very different activity.

    Raises:
        WuaError: `neuron_axis` is no axis, a dimension or a mean is negative, or their number is not that of neurons.
    """
    axis = axis_of(np.empty((0,) * len(shape)), neuron_axis, "untrained layer")
    if min(shape) < 0:
        raise WuaError(f"untrained layer: expected dimensions >= 0, got {shape}")
    neurons, inputs = shape[axis], math.prod(shape[:axis] + shape[axis + 1 :])
    if mean_activation is None:
        return _scaled(_of_equal_means(neurons, inputs, seed), np.ones(neurons), inputs, scale)
    means = _checked(mean_activation, neurons)
    finite: Array = means[np.isfinite(means)]
    metrics = _drawn(finite, inputs, seed)
    left_out = (neurons - finite.size) * inputs
    metrics = replace(metrics, total=neurons * inputs, non_finite=left_out)
    return _scaled(metrics, finite, inputs, scale)


@functools.lru_cache(maxsize=1024)
def _of_equal_means(neurons: int, inputs: int, seed: int) -> LayerMetrics:
    return _drawn(np.ones(neurons), inputs, seed)


def _drawn(means: Array, inputs: int, seed: int) -> LayerMetrics:
    """Metrics, but for those that depend on scale, for these finite means."""
    neurons, size = means.size, means.size * inputs
    if not size or not means.any():
        return replace(layer_metrics(np.zeros((0, 0)), 0), total=size)
    means = means / means.max()
    if size > _SMALL:
        kept = min(inputs, max(_DRAWS // neurons, _LEAST_INPUTS))
        return _extended(layer_metrics(_thinned(means, kept), 0), means, inputs, kept)
    repeats = min(_DRAWS // size, _MOST_REPEATS)
    draws = _hypercube(repeats, size, np.random.default_rng(seed)).reshape(repeats, neurons, inputs) * means[:, None]
    return _mean([layer_metrics(draw, 0) for draw in draws])


@functools.cache
def _half_normal() -> Array:
    """Quantiles of |g| in the middles of `_QUANTILES` equally likely slices, ascending."""
    quantile = NormalDist().inv_cdf
    return np.array([quantile((1 + (i + 0.5) / _QUANTILES) / 2) for i in range(_QUANTILES)])


def _at(heights: Array) -> Array:
    """|g| at heights (0 … 1) of its distribution function."""
    return _half_normal()[np.minimum((heights * _QUANTILES).astype(np.intp), _QUANTILES - 1)]


def _hypercube(repeats: int, size: int, rng: np.random.Generator) -> Array:
    """Draws of |g|, shape `(repeats, size)`; each column has one in each of `repeats` equally likely slices."""
    heights = rng.random((repeats, size))
    heights += rng.permuted(np.tile(np.arange(repeats)[:, None], (1, size)), axis=0)
    return _at(heights / repeats)


def _thinned(means: Array, kept: int) -> Array:
    """Importances of shape `(neurons, kept)`: an even grid of |g| over all, and nearly one over each neuron.

    The most active neuron has the middles of its slices; the next ones follow at the golden ratio, so that neurons
    of similar activity cover all heights.
    """
    golden = (0.5 + np.arange(means.size) * (math.sqrt(5) - 1) / 2) % 1
    heights = np.empty(means.size)
    heights[np.argsort(-means, kind="stable")] = (np.argsort(np.argsort(golden)) + 0.5) / means.size
    return _at((np.arange(kept) + heights[:, None]) / kept) * means[:, None]


def _extended(metrics: LayerMetrics, means: Array, inputs: int, kept: int) -> LayerMetrics:
    """Metrics of a sample with `kept` inputs per neuron, as those of the whole."""
    size = means.size * inputs
    entropy = metrics.entropy + math.log(inputs / kept)
    # Sums of n draws vary by their coefficient of variation² / n, which the entropy loses half of (second order).
    shares = means / means.sum()
    loss = _VARIATION / (2 * inputs) * (1 - float(np.dot(shares, shares)))
    between = min(max(share_entropy(means) - loss, 0.0), entropy)
    normalized = min(entropy / math.log(size), 1.0)
    return replace(
        metrics,
        total=size,
        entropy=entropy,
        between_neurons=between,
        within_neurons=entropy - between,
        normalized_entropy=normalized,
        effective=metrics.utilization * size,
        redundancy=1.0 - normalized,
    )


def _mean(draws: list[LayerMetrics]) -> LayerMetrics:
    """The mean of each metric; the numbers of weights are the same in all."""

    def shares(name: str) -> dict[float, float]:
        each = [getattr(draw, name) for draw in draws]
        return {key: fmean(one[key] for one in each) for key in each[0]}

    first = draws[0]
    means: dict[str, Any] = {name: shares(name) for name in ("relative_sparsity", "coverage")}
    for name in first.__slots__:
        if isinstance(getattr(first, name), float):
            means[name] = fmean(getattr(draw, name) for draw in draws)
    return replace(first, **means)


def _scaled(metrics: LayerMetrics, means: Array, inputs: int, scale: float | None) -> LayerMetrics:
    """Fill in what depends on the scale of the weights: E|g| = sqrt(2/π), P(|g| < x) = erf(x / sqrt 2)."""
    if scale is None:
        return replace(metrics, sum=math.nan, sparsity=dict.fromkeys(SPARSITY_THRESHOLDS, math.nan))
    with np.errstate(over="ignore"):
        deviations = scale * means
        total = inputs * math.sqrt(2 / math.pi) * float(deviations.sum())
    return replace(metrics, sum=total, sparsity={t: _share_below(t, deviations) for t in SPARSITY_THRESHOLDS})


def _share_below(threshold: float, deviations: Array) -> float:
    """Share of values below `threshold` when each deviation has equally many."""
    if not deviations.size:
        return 1.0
    with np.errstate(divide="ignore", over="ignore"):  # a dead neuron: all of its importances are 0
        heights = threshold / (math.sqrt(2) * deviations)
    return math.fsum(math.erf(height) for height in heights.tolist()) / deviations.size


def _checked(mean_activation: ArrayLike, neurons: int) -> Array:
    means = np.asarray(mean_activation, dtype=np.float64)
    if means.shape != (neurons,):
        raise WuaError(f"untrained layer: expected activation means of shape ({neurons},), got {means.shape}")
    if (means < 0).any():
        raise WuaError(f"untrained layer: expected activation means >= 0, got {np.nanmin(means):g}")
    return means
