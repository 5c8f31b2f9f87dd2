"""What an audit says of the importances of a layer, within a budget of memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from threading import Condition

import numpy as np

from wua_onnx.importance import criteria
from wua_onnx.importance.gates import Gate, gates, gates_in_slabs
from wua_onnx.importance.heat_map import Heat, HeatMap
from wua_onnx.importance.histogram import histogram, histogram_ranges
from wua_onnx.importance.metric_values import LayerMetrics
from wua_onnx.importance.metrics import metric_ranges, metrics_of, neuron_importance
from wua_onnx.importance.ranking import Array, Distribution, rank
from wua_onnx.importance.score import recorded_of, scales_of, score, shares_of, untrained
from wua_onnx.importance.streaming import distribution
from wua_onnx.layers import Layer
from wua_onnx.layers.chunks import Slab, read_slab, slabs
from wua_onnx.recording.statistics import NeuronStatistics

MEMORY = 128 * 2**20  # bytes, for the layers that are measured at the same time
_PER_WEIGHT = 20  # bytes while a layer is sorted, of 32 bits or less each
_TABLES = 48 * 2**20  # bytes of counts while a layer is read in slabs
_SMALLEST_SLAB = 1 << 16  # weights
LORENZ_STEPS = 20  # parts of the importance between which the Lorenz curve is told


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Measured:
    """The importances of one layer by one criterion.

    Attributes:
        metrics: beside those of an untrained layer.
        histogram: edges and counts.
        lorenz: see `lorenz`.
        neurons: sum of the importances of each neuron, shape (neurons,).
        heat_map: a picture of them; None where there is nothing to be seen.
        gates: of a recurrent weight; none for other kinds.
        beyond_memory: bytes that it took at once where the budget is smaller and the weight is only read whole.
    """

    metrics: LayerMetrics
    histogram: tuple[Array, Array]
    lorenz: tuple[float, ...]
    neurons: Array
    heat_map: HeatMap | None
    gates: tuple[Gate, ...]
    beyond_memory: int | None = None


class Memory:
    """A budget that threads share: each waits until what it needs is free; one alone may take more than there is."""

    def __init__(self, budget: int = MEMORY) -> None:
        self.budget = budget
        self._taken = 0
        self._changed = Condition()

    @contextmanager
    def take(self, needed: int) -> Iterator[None]:
        """Hold `needed` bytes of the budget."""
        with self._changed:
            self._changed.wait_for(lambda: not self._taken or self._taken + needed <= self.budget)
            self._taken += needed
        try:
            yield
        finally:
            with self._changed:
                self._taken -= needed
                self._changed.notify_all()


def measured(layer: Layer, name: str, statistics: Sequence[NeuronStatistics], memory: Memory) -> Measured:
    """Measure a layer whole where half of the budget holds it, else in slabs where it can be read so.

    Args:
        layer: the layer; its weight is read.
        name: a registered criterion.
        statistics: one for each use; may be empty where the criterion needs none.
        memory: the budget.
    """
    statistics = statistics if criteria.get(name).needs else ()
    needed = layer.size * _PER_WEIGHT * (2 if layer.dtype.itemsize > 4 or len(layer.uses) > 1 else 1)
    if needed > memory.budget // 2:
        most = max((memory.budget // 2 - _TABLES) // (2 * _PER_WEIGHT), _SMALLEST_SLAB)
        pieces = slabs(layer, most)
        if pieces is not None:
            with memory.take(memory.budget // 2):
                return _in_slabs(layer, name, statistics, pieces)
    with memory.take(needed):
        found = _whole(layer, name, statistics)
    return replace(found, beyond_memory=needed) if needed > memory.budget else found


def _whole(layer: Layer, name: str, statistics: Sequence[NeuronStatistics]) -> Measured:
    scores = score(layer, name, statistics)
    ranking = rank(scores)
    neurons = neuron_importance(scores, layer.neuron_axis)
    heat = _heat(layer)
    heat.add(scores)
    metrics = metrics_of(ranking, np.minimum(neurons, np.finfo(np.float64).max))
    metrics = replace(metrics, baseline=untrained(layer, scales_of(layer, name, statistics)))
    return Measured(
        metrics=metrics,
        histogram=histogram(scores, ranking=ranking),
        lorenz=lorenz(ranking),
        neurons=neurons,
        heat_map=heat.drawn(neurons, scores),
        gates=gates(scores, layer.uses[0].gates, layer.neuron_axis) if layer.uses[0].gates else (),
    )


def _in_slabs(layer: Layer, name: str, statistics: Sequence[NeuronStatistics], pieces: list[Slab]) -> Measured:
    stream = _Stream(layer, name, statistics, pieces)
    cells = distribution(stream.chunks, lambda found: [*metric_ranges(found), *histogram_ranges(found)])
    assert stream.neurons is not None
    metrics = metrics_of(cells, np.minimum(stream.neurons, np.finfo(np.float64).max))
    metrics = replace(metrics, baseline=untrained(layer, scales_of(layer, name, statistics)))
    return Measured(
        metrics=metrics,
        histogram=histogram(np.empty(0), ranking=cells),
        lorenz=lorenz(cells),
        neurons=stream.neurons,
        heat_map=stream.heat.drawn(stream.neurons),
        gates=gates_in_slabs(stream.chunks, layer.uses[0].gates),
    )


def scored_slabs(
    layer: Layer, name: str, statistics: Sequence[NeuronStatistics], most: int
) -> Iterator[tuple[Slab, Array]]:
    """Yield the scores of a layer in slabs of `most` weights, each with where it lies; whole where it has no slabs."""
    statistics = statistics if criteria.get(name).needs else ()
    pieces = slabs(layer, most)
    if pieces is None:
        yield Slab(0, 0, layer.shape[0]), score(layer, name, statistics)
        return
    stream = _Stream(layer, name, statistics, pieces)
    for piece in pieces:
        yield piece, stream.scores(piece)


def _heat(layer: Layer) -> Heat:
    return Heat(layer.shape, convolution=layer.kind == "convolution")


def lorenz(spread: Distribution) -> tuple[float, ...]:
    """Return the Lorenz curve: the smallest share of the weights that holds 0, 1/20, … 1 of the importance.

    The weights that hold it are the largest: point i of the curve as it is drawn, from the smallest up, is
    (1 - share, 1 - i/20). Empty for a dead layer.
    """
    if not spread.size or not spread.peak > 0:
        return ()
    inner = (spread.count_covering(step / LORENZ_STEPS) / spread.size for step in range(1, LORENZ_STEPS))
    return (0.0, *inner, (spread.size - spread.count_zeros()) / spread.size)


class _Stream:
    """The scores of a layer slab by slab; the sums of its neurons are known after the first full pass."""

    def __init__(self, layer: Layer, name: str, statistics: Sequence[NeuronStatistics], pieces: Sequence[Slab]) -> None:
        self._layer, self._name, self._pieces = layer, name, pieces
        self._shares = shares_of(layer, statistics)
        self._factors = {index: _factors(layer, name, statistics, index) for index in self._shares}
        self.neurons: Array | None = None
        self.heat = _heat(layer)

    def chunks(self) -> Iterator[Array]:
        """Yield the scores of each slab, in the order of the first use."""
        layer, neurons = self._layer, np.zeros(self._layer.neurons)
        for slab in self._pieces:
            scores = self.scores(slab)
            if self.neurons is None:
                part = neuron_importance(scores, layer.neuron_axis)
                inside = slice(slab.start, slab.stop) if slab.axis == layer.neuron_axis else slice(None)
                with np.errstate(over="ignore"):
                    neurons[inside] += part
                self.heat.add(scores, slab.axis, slab.start)
                self.heat.add_kernels(scores, slab.axis, slab.start)
            yield scores
        if self.neurons is None:
            self.neurons = neurons

    def scores(self, slab: Slab) -> Array:
        """Return the scores of a slab, those of several uses averaged."""
        if len(self._layer.uses) == 1:
            return self._of_use(0, slab)
        parts = [share * self._of_use(index, slab).astype(np.float64) for index, share in self._shares.items()]
        return np.asarray(np.sum(parts, axis=0))

    def _of_use(self, index: int, slab: Slab) -> Array:
        use, factor = self._layer.uses[index], self._layer.factors[index]
        weight, order, axis = read_slab(self._layer, index, slab)
        if not np.all(factor == 1.0):
            along = [-1 if i == use.neuron_axis else 1 for i in range(weight.ndim)]
            weight *= slab.of(factor.reshape(along if factor.ndim else [1] * weight.ndim), axis).astype(weight.dtype)
        factors = self._factors[index]
        if factors is None:
            scores = criteria.get(self._name)(weight, use.neuron_axis)
        else:
            scores = criteria.get("wanda")(weight, use.neuron_axis, {"input": slab.of(factors, axis)})
        return np.transpose(scores, order)


def _factors(layer: Layer, name: str, statistics: Sequence[NeuronStatistics], index: int) -> Array | None:
    """Return what the criterion multiplies |w| with, as an array that broadcasts against the weight of one use."""
    rule, use = criteria.get(name), layer.uses[index]
    if not rule.needs:
        return None
    recorded = recorded_of(layer, index, statistics[index])
    shape = [1] * len(use.arrangement.shape)
    if "mean" in rule.needs:
        shape[use.neuron_axis] = recorded["mean"].size
    if "input" in rule.needs:
        shape = list(np.broadcast_shapes(tuple(shape), recorded["input"].shape))
    return rule(np.ones(shape), use.neuron_axis, recorded)
