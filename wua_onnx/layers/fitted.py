"""Activation functions with parameters, which are read off the values of the function in question.

Each returns its own values for `x`, where those in question are `given`; NaN where they fit no parameter. `x` has shape
(points, 1), `given` (points, neurons) or (points, 1); the last two points are the lowest and the highest.
"""

from __future__ import annotations

from statistics import NormalDist
from typing import Any, TypeAlias

import numpy as np

from wua_onnx.layers import elementwise
from wua_onnx.layers.elementwise import normal_cdf, sigmoid

Array: TypeAlias = np.ndarray[Any, Any]

LOWEST, HIGHEST = -2, -1  # the points that are the ends
TOLERANCE = 2e-4  # half precision constants move GELU by 3e-5; its exact and its tanh form are 4.7e-4 apart


def sloped(x: Array, given: Array) -> Array:
    """Return x, and s x below 0, with an s of each neuron."""
    slope = given[LOWEST] / x[LOWEST]
    is_identity = bool((np.abs(slope - 1) < TOLERANCE).all())
    return np.full_like(given, np.nan) if is_identity else np.where(x < 0, slope * x, x)


def leaky(x: Array, given: Array) -> Array:
    """Return x, and s x below 0, with one s for all neurons."""
    slope = given[LOWEST] / x[LOWEST]
    return sloped(x, given) if np.ptp(slope) < TOLERANCE else np.full_like(given, np.nan)


def clipped(x: Array, given: Array) -> Array:
    """Return x within a and b; both are constants, and what is cut off is more than a rounding."""
    low = np.where(given[LOWEST] - x[LOWEST] > 0.1, given[LOWEST], -np.inf)
    high = np.where(x[HIGHEST] - given[HIGHEST] > 0.1, given[HIGHEST], np.inf)
    inside = (x > low) & (x < high)
    is_cut = np.isfinite(low) | np.isfinite(high)
    return np.where(is_cut & (inside.sum(axis=0) > 1), np.clip(x, low, high), np.nan)


def swish(x: Array, given: Array) -> Array:
    """Return x sigmoid(β x)."""
    at = np.abs(x[:, 0] - 1).argmin()
    share = given[at] / x[at]
    return np.asarray(x * sigmoid(np.log(share / (1 - share)) / x[at] * x))


def softplus(x: Array, given: Array) -> Array:
    """Return ln(1 + exp(β x)) / β, which falls as β rises: bisected, from 1/20 to 20, beyond which it is a ReLU."""
    at = np.abs(x[:, 0] + 1).argmin()
    low, high = np.full_like(given[at], 1 / 20), np.full_like(given[at], 20)
    for _ in range(50):
        beta = np.sqrt(low * high)
        above = elementwise.softplus(beta * x[at]) / beta > given[at]
        low, high = np.where(above, beta, low), np.where(above, high, beta)
    return np.asarray(elementwise.softplus(beta * x) / beta)


def celu(x: Array, given: Array) -> Array:
    """Return x, and α (exp(x/α) − 1) below 0."""
    alpha = -given[LOWEST]
    return np.asarray(np.where(alpha > 0, np.maximum(x, 0) + alpha * np.expm1(np.minimum(x, 0) / alpha), np.nan))


def elu(x: Array, given: Array) -> Array:
    """Return x, and α (exp(x) − 1) below 0."""
    alpha = -given[LOWEST]
    return np.where(alpha > 0, np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0))), np.nan)


def soft_shrink(x: Array, given: Array) -> Array:
    """Return sign(x) max(|x| − λ, 0)."""
    width = x[HIGHEST] - given[HIGHEST]
    return np.where(width > 0, np.sign(x) * np.maximum(np.abs(x) - width, 0), np.nan)


def hard_shrink(x: Array, given: Array) -> Array:
    """Return x where |x| > λ, else 0."""
    width = np.where(np.abs(given) < TOLERANCE, np.abs(x), -np.inf).max(axis=0)
    return np.where(width > 0, np.where(np.abs(x) > width, x, 0), np.nan)


def threshold(x: Array, given: Array) -> Array:
    """Return x where x > t, else v."""
    below = np.where(np.abs(given - x) > TOLERANCE, x, -np.inf).max(axis=0)
    return np.where(np.isfinite(below), np.where(x <= below, given[LOWEST], x), np.nan)


def thresholded_relu(x: Array, given: Array) -> Array:
    """Return x where x > t, else 0."""
    return np.where(np.abs(given[LOWEST]) < TOLERANCE, threshold(x, given), np.nan)


def squareplus(x: Array, given: Array) -> Array:
    """Return (x + √(x² + b)) / 2."""
    at = np.abs(x[:, 0] - 1).argmin()
    room = 4 * given[at] * (given[at] - x[at])
    return np.asarray(np.where(room > 0, (x + np.sqrt(x * x + room)) / 2, np.nan))


def gaussian(x: Array, given: Array) -> Array:
    """Return exp(−α x²)."""
    at = np.abs(x[:, 0] - 1).argmin()
    sharpness = -np.log(given[at]) / x[at] ** 2
    return np.where(sharpness > 0, np.exp(-sharpness * x * x), np.nan)


def normal(x: Array, given: Array) -> Array:
    """Return the distribution whose middle and width the two values nearest to 1/2 tell."""
    nearest = np.argsort(np.abs(given - 0.5), axis=0)[:2]
    inside = np.clip(np.take_along_axis(given, nearest, 0), 1e-12, 1 - 1e-12)
    (first, second), (left, right) = np.vectorize(NormalDist().inv_cdf)(inside), x[nearest, 0]
    width = (right - left) / (second - first)
    return np.where(width > 0, normal_cdf((x - (left - first * width)) / width), np.nan)


def clipped_gelu(x: Array, given: Array) -> Array:
    """Return min(GELU(x), b)."""
    high = np.where(x[HIGHEST] - given[HIGHEST] > 0.1, given[HIGHEST], np.nan)
    return np.asarray(np.minimum(x * normal_cdf(x), high))
