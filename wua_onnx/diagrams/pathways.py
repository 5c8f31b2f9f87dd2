"""The strongest pathways from the inputs of a stack of dense layers to its outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

MAX_PATHWAYS = 3
_AT_ONCE = 2**21  # products in memory at the same time


@dataclass(frozen=True, slots=True, kw_only=True)
class Pathway:
    """A neuron of every layer, the input first; `share` of the strength of all pathways together."""

    neurons: tuple[int, ...]
    share: float | None


def strongest(strengths: Sequence[Array], count: int = MAX_PATHWAYS) -> tuple[Pathway, ...]:
    """Return the `count` pathways with the largest product of strengths along them, the strongest first.

    Dynamic programming over the layers: the best `count` ways to a neuron begin with ones among the best `count` to
    the neurons before it (Lawler, "A procedure for computing the k best solutions", Management Science 18, 1972).

    Args:
        strengths: of the connections of each layer, shape (in, out), at least 0: |w|, or |w|·mean|a|.
        count: pathways at most; those with a product of 0 are none.
    """
    scaled = [strength / (strength.max(initial=0.0) or 1.0) for strength in strengths]  # against overflow
    best = np.ones((1, len(scaled[0])))  # (rank, neuron): the products of the best ways to each neuron
    origins: list[Array] = []
    for strength in scaled:
        width = max(_AT_ONCE // max(best.size, 1), 1)
        parts = [_extended(best, strength[:, at : at + width], count) for at in range(0, strength.shape[1], width)]
        best, origin = (np.concatenate(arrays, axis=1) for arrays in zip(*parts, strict=True))
        origins.append(origin)
    whole = float(_sum(scaled))
    ends = np.argsort(-best, axis=None, kind="stable")[:count]
    found = [(divmod(int(end), best.shape[1]), float(best.flat[end])) for end in ends]
    return tuple(
        Pathway(neurons=_traced(origins, scaled, *at), share=product / whole if np.isfinite(whole) else None)
        for at, product in found
        if product > 0
    )


def _extended(best: Array, strength: Array, count: int) -> tuple[Array, Array]:
    """Return the products of the best ways to each neuron, and where each comes from: rank · inputs + input."""
    ways = (best[:, :, None] * strength).reshape(-1, strength.shape[1])  # (rank · inputs, out)
    order = np.argsort(-ways, axis=0, kind="stable")[:count]
    return np.take_along_axis(ways, order, axis=0), order


def _traced(origins: Sequence[Array], strengths: Sequence[Array], rank: int, neuron: int) -> tuple[int, ...]:
    """Return the neurons of the way that ends at `neuron` as the one of this rank there."""
    way = [neuron]
    for origin, strength in zip(reversed(origins), reversed(strengths), strict=True):
        rank, neuron = divmod(int(origin[rank, neuron]), strength.shape[0])
        way.append(neuron)
    return tuple(reversed(way))


def _sum(strengths: Sequence[Array]) -> float:
    """Return the sum of the products of all pathways: that of the product of the matrices."""
    reached = np.ones(len(strengths[0]))
    for strength in strengths:
        reached = reached @ strength
    return float(reached.sum())
