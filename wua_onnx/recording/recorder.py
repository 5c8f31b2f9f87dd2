"""Running a model over data and adding up what its neurons do."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from wua_onnx.errors import DataError
from wua_onnx.layers import Layer, find_layers
from wua_onnx.model.graph import Model
from wua_onnx.model.load import load
from wua_onnx.recording.instrument import Instrumented, instrument
from wua_onnx.recording.statistics import Accumulator, NeuronStatistics
from wua_onnx.recording.taps import Outputs, Tap
from wua_onnx.running import Batch, Data, InputSpec, Session, input_specs
from wua_onnx.running.inputs import batch_symbol
from wua_onnx.running.isolated import IsolatedSession

Array: TypeAlias = np.ndarray[Any, Any]
Progress: TypeAlias = "Callable[[int, int | None], None]"  # samples done, samples in all where known

Place: TypeAlias = tuple[str, int]  # an activation and the axis of its neurons

DEFAULT_BATCH = 32


@dataclass(frozen=True, kw_only=True, eq=False)
class Recording:
    """What was recorded.

    Attributes:
        layers: statistics by layer name, one for each use of its weight.
        missing: why a layer has none, by name.
        samples, batches, seconds: how much data, in how many runs, and how long it took.
        batch_size, device: how it was run.
        correct: how many samples the largest output agreed with the label; None without labels.
        labelled: samples that had a label.
    """

    layers: Mapping[str, tuple[NeuronStatistics, ...]]
    missing: Mapping[str, str]
    samples: int
    batches: int
    seconds: float
    batch_size: int
    device: str
    correct: int | None
    labelled: int


class Recorder:
    """Runs a model over data, batch by batch, and keeps a few numbers per neuron.

    Args:
        model: a path, an `onnx.ModelProto`, an `onnx_ir.Model` or a loaded `Model` whose batch is not bound.
        layers: the layers to record; all of them by default.
        activation: "post" or "pre", see `wua_onnx.analyze`.
        batch_axis: the axis of the inputs along which samples lie.
        batch_size: samples in a run; the model's own where it is fixed, else 32 by default.
        device: "cpu" or "cuda".
        isolate: run onnxruntime in a child process.

    Raises:
        RunError: onnxruntime cannot load the model.
        DeviceError: the device is not there.
        DataError: the batch size is below 1.
    """

    def __init__(
        self,
        model: Any,
        *,
        layers: Mapping[str, Layer] | None = None,
        activation: str = "post",
        batch_axis: int = 0,
        batch_size: int | None = None,
        device: str = "cpu",
        isolate: bool = False,
    ) -> None:
        self.model: Model = model if isinstance(model, Model) else load(model)
        self.layers = layers if layers is not None else find_layers(self.model, activation=activation).by_name
        self.specs: tuple[InputSpec, ...] = input_specs(self.model, batch_axis)
        own = batch_symbol(self.model, batch_axis)
        self.fixed = isinstance(own, int)
        if batch_size is not None and batch_size < 1:
            raise DataError(f"batch_size: expected at least 1, got {batch_size}")
        self.batch_size = own if isinstance(own, int) else batch_size or DEFAULT_BATCH
        self.device = device
        self._batch_axis, self._isolate = batch_axis, isolate
        self._open(frozenset())
        self._sums: dict[Place, Accumulator] = {}
        self.samples = self.batches = self.correct = self.labelled = 0
        self.seconds = 0.0

    def _open(self, precise: Set[str]) -> None:
        """Place the taps and load the model; the means of `precise` activations are taken in double precision."""
        self._plan: Instrumented = instrument(self.model, self.layers, batch_axis=self._batch_axis, precise=precise)
        kind = IsolatedSession if self._isolate else Session
        self._session: Session | IsolatedSession = kind(self._plan.model, self._plan.folder, device=self.device)
        self._wanted = list(dict.fromkeys(name for _, outputs in self._plan.taps.values() for name in outputs.names()))
        self._taps = {_place(tap): (tap, outputs) for tap, outputs in self._plan.taps.values()}

    def update(self, batch: Any, y: Any = None, *, progress: Progress | None = None) -> None:
        """Run the model over `batch`, which may be any X that `wua_onnx.analyze` takes, and add to the recording.

        Raises:
            DataError: the data does not fit the model.
            RunError: a run failed; what was recorded before it is kept.
        """
        data = batch if isinstance(batch, Data) else Data(batch, self.specs, y)
        for part in data.batches(self.batch_size, fixed=self.fixed):
            self._run(part)
            if progress is not None:
                progress(self.samples, data.samples)

    def result(self) -> Recording:
        """Return what was recorded so far."""
        layers: dict[str, list[NeuronStatistics]] = {}
        for (name, _), (tap, _) in self._plan.taps.items():
            if _place(tap) in self._sums and name not in self._plan.missing:
                layers.setdefault(name, []).append(self._sums[_place(tap)].result())
        return Recording(
            layers={name: tuple(parts) for name, parts in layers.items()},
            missing=dict(self._plan.missing),
            samples=self.samples,
            batches=self.batches,
            seconds=self.seconds,
            batch_size=self.batch_size,
            device=self.device,
            correct=self.correct if self.labelled else None,
            labelled=self.labelled,
        )

    def _run(self, batch: Batch) -> None:
        started = time.perf_counter()
        scored = self._plan.outputs[:1] if batch.labels is not None else ()
        results = self._results(batch.feeds, scored)
        padding = self.batch_size - batch.samples if self.fixed else 0
        copies = self._copies(batch, padding)
        for tap, outputs in self._taps.values():
            self._add(tap, outputs, results, batch.samples, padding, copies)
        self.samples += batch.samples
        self.batches += 1
        if batch.labels is not None and scored:
            self._compare(results[scored[0]], batch)
        self.seconds += time.perf_counter() - started

    def _results(self, feeds: Mapping[str, Array], also: Sequence[str] = ()) -> dict[str, Array]:
        """Run; again with double precision where an activation turns out longer than single precision bears."""
        results = self._session.run(feeds, [*self._wanted, *also])
        long = {tap.value for tap, outputs in self._taps.values() if tap.is_too_long(_lengths(tap, outputs, results))}
        if not long:
            return results
        self._open(long | {tap.value for tap, _ in self._taps.values() if tap.precise})
        return self._session.run(feeds, [*self._wanted, *also])

    def _copies(self, batch: Batch, padding: int) -> dict[str, Array] | None:
        """Run a batch of copies of the last sample, where the last of a fixed batch's samples are such copies.

        Samples do not mix, so what the copies added to a sum over the whole batch can be taken out of it again.
        """
        if not padding:
            return None
        feeds = dict(batch.feeds)
        for spec in self.specs:
            if spec.sample_axis is not None:
                last = feeds[spec.name].take([-1], axis=spec.sample_axis)
                feeds[spec.name] = np.repeat(last, self.batch_size, axis=spec.sample_axis)
        return self._results(feeds)

    def _add(
        self,
        tap: Tap,
        outputs: Outputs,
        results: Mapping[str, Array],
        samples: int,
        padding: int,
        copies: Mapping[str, Array] | None,
    ) -> None:
        means = _means(tap, outputs, results)
        sums = self._sums.setdefault(_place(tap), Accumulator(means.shape[1]))
        positions = _positions(tap, outputs, results)
        if copies is not None:
            share = padding / self.batch_size
            with np.errstate(invalid="ignore"):
                means = (means - share * _means(tap, outputs, copies)) / (1 - share)
            positions = positions * samples // self.batch_size
        sums.add(means, positions)
        if outputs.largest is not None and outputs.smallest is not None:
            sums.extend_range(results[outputs.largest], results[outputs.smallest])

    def _compare(self, output: Array, batch: Batch) -> None:
        labels = batch.labels
        if labels is None or not isinstance(output, np.ndarray) or output.ndim != 2 or output.shape[1] < 2:
            return
        output = output[: batch.samples]
        if labels.shape == output.shape:  # one-hot
            labels = labels.argmax(axis=1)
        if labels.size == batch.samples and labels.dtype.kind in "iuf":
            self.correct += int((output.argmax(axis=1) == labels.reshape(-1)).sum())
            self.labelled += batch.samples


def _place(tap: Tap) -> Place:
    """Return what a tap records, however it does it."""
    return tap.value, tap.axis


def _means(tap: Tap, outputs: Outputs, results: Mapping[str, Array]) -> Array:
    """Return mean |a| as (units, neurons)."""
    parts = [results[name].astype(np.float64) for name in outputs.means]
    with np.errstate(invalid="ignore"):  # infinite on both sides
        mean = parts[0] if len(parts) == 1 else 2 * parts[0] - parts[1]
    if tap.sample_axis is None:
        return mean.reshape(1, -1)
    if len(parts) > 1 or mean.ndim > 2:  # pooled: (samples, neurons, 1, ...)
        return mean.reshape(mean.shape[0], mean.shape[1])
    return mean if tap.sample_axis < tap.axis else mean.T


def _lengths(tap: Tap, outputs: Outputs, results: Mapping[str, Array]) -> list[int | None]:
    """Return how long the reduced axes were in a run; None where the tap does not tell (they are known beforehand)."""
    if outputs.shape is None:
        return [None] * len(tap.reduced)
    return [int(results[outputs.shape][axis]) for axis in tap.reduced]


def _positions(tap: Tap, outputs: Outputs, results: Mapping[str, Array]) -> int:
    """Return how many values were averaged for each neuron and unit."""
    if tap.fixed_positions is not None:
        return tap.fixed_positions
    assert outputs.shape is not None
    return int(np.prod([results[outputs.shape][axis] for axis in tap.reduced], dtype=np.int64))
