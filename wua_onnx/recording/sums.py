"""What was added up so far of every tap, and what it says of the layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from wua_onnx.errors import DataError
from wua_onnx.layers import Layer
from wua_onnx.recording.instrument import Instrumented
from wua_onnx.recording.plan import Place
from wua_onnx.recording.reading import Reading, Results, Run, read, readings
from wua_onnx.recording.statistics import Accumulator, NeuronStatistics

Array: TypeAlias = np.ndarray[Any, Any]

_ROOM = 2**20  # bytes of results that wait; few enough for the caches
_NEVER_RAN = "the part of the model that it is in never ran"
_NO_POSITION = "the data has no position for it: all are padded, or its tensor is empty"


class Sums:
    """An accumulator for each place that returned something.

    Args:
        layers: the layers that are recorded.
    """

    def __init__(self, layers: Mapping[str, Layer]) -> None:
        self._layers = layers
        self._by_place: dict[Place, Accumulator] = {}
        self._plan: Instrumented | None = None
        self._alike: object = None  # numbers of samples and shapes of the batch before
        self._waiting: list[Run] = []
        self._bytes = 0

    def add(self, plan: Instrumented, runs: Sequence[Run]) -> None:
        """Add what the runs of a batch returned.

        Batches whose results are alike wait for each other: to read many costs little more than to read one.
        """
        alike = [samples for _, samples in runs], [np.shape(array) for array in runs[0][0].values()]
        known = plan is self._plan and alike == self._alike
        if not known:
            self.settle()
            self._plan, self._alike = plan, alike
        self._waiting += runs
        self._bytes += sum(getattr(array, "nbytes", 0) for results, _ in runs for array in results.values())
        if not known or self._bytes > _ROOM:
            self.settle()

    def settle(self) -> None:
        """Add what still waits."""
        runs, self._waiting, self._bytes = self._waiting, [], 0
        if runs and self._plan is not None:
            for place, (tap, outputs) in self._plan.taps.items():
                self._add(self._plan, place, readings(tap, outputs, runs))

    def add_without(self, plan: Instrumented, results: Results, samples: int, copies: Results, size: int) -> None:
        """Add what a run of `size` samples returned, of which only the first `samples` are data.

        The others are copies of the last one, and `copies` is what a run of nothing else returned: samples do not mix,
        so that what copies add to a sum over the whole batch can be taken out of it again.
        """
        self.settle()
        for place, (tap, outputs) in plan.taps.items():
            found, added = read(tap, outputs, results, samples), read(tap, outputs, copies, size)
            if found is not None:
                found = found if added is None else found.without(added, (size - samples) / size)
                self._add(plan, place, [found])

    def _add(self, plan: Instrumented, place: Place, found: Sequence[Reading]) -> None:
        """Add readings; there are none where the part of the model that a tap is in did not run."""
        for reading in found:
            if place not in self._by_place:
                self._by_place[place] = Accumulator(self._neurons(plan, place, reading))
            self._by_place[place].add(reading)

    def of(self, plan: Instrumented) -> list[Accumulator | None]:
        """Return the accumulators in the order of the taps of `plan`, which is the same for every copy of a model."""
        self.settle()
        return [self._by_place.get(place) for place in plan.taps]

    def merge(self, plan: Instrumented, others: Sequence[Accumulator | None]) -> None:
        """Add the accumulators of another recorder of the same model, in the order of the taps.

        Raises:
            DataError: they do not fit; nothing is added then.
        """
        self.settle()
        if len(others) != len(plan.taps):
            raise DataError(f"recording: expected statistics of {len(plan.taps)} activations, got {len(others)}")
        pairs = [(place, other) for place, other in zip(plan.taps, others, strict=True) if other is not None]
        for place, other in pairs:
            mine = self._by_place.get(place)
            if mine is not None and mine.neurons != other.neurons:
                raise DataError(f"recording: expected statistics of {mine.neurons} neurons, got {other.neurons}")
        for place, other in pairs:
            self._by_place.setdefault(place, Accumulator(other.neurons)).merge(other)

    def layers(
        self, plan: Instrumented
    ) -> tuple[dict[str, tuple[NeuronStatistics, ...]], dict[str, str], dict[str, str]]:
        """Return the statistics of each layer, one for each use; why a layer has none; why some uses have none."""
        self.settle()
        reasons = dict(plan.missing)
        for key, place in plan.activations.items():
            if place not in self._by_place:
                reasons[key] = _NEVER_RAN
            elif not self._by_place[place].positions:
                reasons[key] = _NO_POSITION
        found: dict[str, tuple[NeuronStatistics, ...]] = {}
        missing: dict[str, str] = {}
        partly: dict[str, str] = {}
        for name, layer in self._layers.items():
            own = {index: reasons[name, index] for index in range(len(layer.uses)) if (name, index) in reasons}
            if len(own) == len(layer.uses):
                missing[name] = next(iter(own.values()))
                continue
            found[name] = tuple(self._of_use(plan, layer, index) for index in range(len(layer.uses)))
            if own:
                partly[name] = "; ".join(f"{layer.uses[index].node.where}: {reason}" for index, reason in own.items())
        return found, missing, partly

    def _of_use(self, plan: Instrumented, layer: Layer, index: int) -> NeuronStatistics:
        place = plan.activations.get((layer.name, index))
        if place is None or place not in self._by_place or not self._by_place[place].positions:
            return NeuronStatistics.none(layer.uses[index].arrangement.shape[layer.uses[index].neuron_axis])
        features = plan.features.get((layer.name, index))
        return self._by_place[place].result(None if features is None else self._norms(features))

    def _norms(self, place: Place) -> Array | None:
        sums = self._by_place.get(place)
        return None if sums is None or "square" not in sums.totals else np.sqrt(sums.totals["square"])

    def _neurons(self, plan: Instrumented, place: Place, reading: Reading) -> int:
        if reading.rows is None:
            average = next(a for a in (reading.mean, reading.square, reading.firing) if a is not None)
            return int(average.shape[1])
        name, index = next(key for key, at in plan.activations.items() if at == place)
        return self._layers[name].uses[index].arrangement.shape[0]
