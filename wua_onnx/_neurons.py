"""`Neurons`: what an audit says of the neurons of one layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from wua_onnx.importance import neuron_importance

if TYPE_CHECKING:
    from wua_onnx._layer_audit import LayerAudit
    from wua_onnx.recording import NeuronStatistics

Array: TypeAlias = np.ndarray[Any, Any]

_BLOCK = 1024  # neurons whose directions are compared at once


class Duplicate(NamedTuple):
    """Two neurons whose incoming weights point the same way, or opposite ways where `cosine` is negative."""

    first: int
    second: int
    cosine: float


class Neurons:
    """The neurons of a layer: columns of a dense layer, filters, hidden units, rows of a table.

    Arrays have one value per neuron, shape (neurons,), and are computed when asked for. What was not recorded is None:
    ask for it by `analyze(..., statistics=["firing", "range", "square", "map"])`. Of several uses of one weight those
    that see it as the first does are averaged; extremes are over all of them.

    Raises:
        WuaError: an array of an audit that was read from JSON, where there are none.
    """

    def __init__(self, layer: LayerAudit, count: int) -> None:
        self._layer, self._count = layer, count

    def __len__(self) -> int:
        return self._count

    def __repr__(self) -> str:
        dead = self.dead
        return f"<{self._count} neurons of {self._layer.name!r}{f', {len(dead)} dead' if dead else ''}>"

    @property
    def importance(self) -> Array:
        """Sum of the importances of each neuron's weights, by the first criterion."""
        return neuron_importance(self._layer.importance, self._layer.neuron_axis)

    @property
    def mean(self) -> Array | None:
        """Mean |a| over every sample and position; for the rows of a table their shares of all lookups."""
        return self._layer.mean_activation

    @property
    def standard_error(self) -> Array | None:
        """Standard error of `mean` over the samples (of the first use that ran)."""
        recorded = self._recorded()
        return recorded[0].standard_error if recorded else None

    @property
    def rms(self) -> Array | None:
        """sqrt(mean a²); needs the statistic "square"."""
        squares = self._average("rms", power=2)
        return None if squares is None else np.sqrt(squares)

    @property
    def firing_rate(self) -> Array | None:
        """Share of samples and positions with a > 0; needs the statistic "firing"."""
        return self._average("firing_rate")

    @property
    def largest(self) -> Array | None:
        """Max a; needs the statistic "range"."""
        found = [part.largest for part in self._recorded() if part.largest is not None]
        return np.maximum.reduce(found) if found else None

    @property
    def smallest(self) -> Array | None:
        """Min a; needs the statistic "range"."""
        found = [part.smallest for part in self._recorded() if part.smallest is not None]
        return np.minimum.reduce(found) if found else None

    @property
    def map(self) -> Array | None:
        """Where neurons fire: mean |a| at every position, shape (neurons, ...); needs the statistic "map"."""
        return self._average("map")

    @property
    def dead(self) -> tuple[int, ...] | None:
        """Indices of the neurons that never answer; None where it cannot be said."""
        return self._layer.dead_neurons

    @property
    def always_on(self) -> tuple[int, ...] | None:
        """Indices of the neurons with a > 0 at every sample and position, so that a ReLU after them does nothing."""
        rate = self.firing_rate
        return None if rate is None else tuple(int(i) for i in np.flatnonzero(rate >= 1.0))

    def duplicates(self, threshold: float = 0.99) -> list[Duplicate]:
        """Return pairs of neurons whose incoming weights have nearly the same direction, the nearest pair first.

        One of a pair can be removed where the other takes over its outgoing weights (times the ratio of their norms,
        for a homogeneous activation function such as ReLU). Takes neurons² · inputs multiplications.

        Args:
            threshold: the least |cosine| between the weights of two neurons.
        """
        directions = _directions(self._layer.weight, self._layer.neuron_axis)
        found: list[Duplicate] = []
        for start in range(0, len(directions), _BLOCK):
            cosines = np.clip(directions[start : start + _BLOCK] @ directions.T, -1, 1)
            rows, columns = np.nonzero(np.triu(np.abs(cosines) >= threshold, k=start + 1))
            found += [
                Duplicate(int(start + i), int(j), float(cosines[i, j])) for i, j in zip(rows, columns, strict=True)
            ]
        return sorted(found, key=lambda pair: -abs(pair.cosine))

    def _recorded(self) -> tuple[NeuronStatistics, ...]:
        """Return what was recorded of the uses that see the weight as the first does, of those that ran."""
        live = self._layer._live_or_raise("neurons")
        uses = live.layer.uses
        return tuple(
            part
            for use, part in zip(uses, live.statistics, strict=False)
            if part.positions and use.order == uses[0].order
        )

    def _average(self, field: str, power: int = 1) -> Array | None:
        parts = [(getattr(part, field), part.positions) for part in self._recorded()]
        if not parts or any(array is None for array, _ in parts):
            return None
        return np.asarray(sum(array**power * n for array, n in parts) / max(sum(n for _, n in parts), 1))


def _directions(weight: Array, axis: int) -> Array:
    """Return the weights of each neuron divided by their norm, shape (neurons, inputs); zeros where all are 0."""
    rows = np.moveaxis(weight, axis, 0).reshape(weight.shape[axis], -1).astype(np.float32)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(norms > 0, norms, 1)
