"""Running a model over data and adding up what its neurons do."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from wua_onnx.errors import DataError
from wua_onnx.layers import Layer, find_layers
from wua_onnx.model.graph import Model, NodeView
from wua_onnx.model.load import load
from wua_onnx.recording import saved
from wua_onnx.recording.instrument import Instrumented, Place, instrument
from wua_onnx.recording.masks import find_mask
from wua_onnx.recording.reading import Reading, lengths, read
from wua_onnx.recording.statistics import Accumulator, NeuronStatistics
from wua_onnx.running import Batch, Data, InputSpec, Session, input_specs
from wua_onnx.running.inputs import batch_symbol
from wua_onnx.running.isolated import IsolatedSession

Array: TypeAlias = np.ndarray[Any, Any]
Progress: TypeAlias = "Callable[[int, int | None], None]"  # samples done, samples in all where known

STATISTICS = ("mean", "square", "firing", "range", "histogram", "map", "features")
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
        mask: the input that told padded positions, which are in no statistic; None where none did.
        unmasked: layers whose activation the mask does not reach: their padded positions count.
        mixes_samples: operators whose result for one sample depends on the others in its batch (dynamic quantization,
            say): what is recorded then depends on how the data is cut into batches.
        outputs: the model's own outputs by name, where they were kept.
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
    mask: str | None = None
    unmasked: tuple[str, ...] = ()
    mixes_samples: tuple[str, ...] = ()
    outputs: Mapping[str, Array] = field(default_factory=dict)


class Recorder:
    """Runs a model over data, batch by batch, and keeps a few numbers per neuron.

    A recording can be split: recorders of the same model and plan `merge`, and `save` writes one that `load` reads.

    Args:
        model: a path, an `onnx.ModelProto`, an `onnx_ir.Model` or a loaded `Model` whose batch is not bound.
        layers: the layers to record; all of them by default.
        activation: "post" or "pre", see `wua_onnx.analyze`.
        statistics: what to record of each neuron: "mean" of |a| (always), "square", "firing", "range", "histogram",
            "map"; "features" for the norms of what the weights are multiplied with.
        batch_axis: the axis of the inputs along which samples lie.
        batch_size: samples in a run; the model's own where it is fixed, else 32 by default.
        mask: the input of shape (samples, positions) that is 0 at padded positions, which are left out; by default the
            one whose name says so (attention_mask). False for none.
        keep_outputs: keep the model's own outputs too, samples joined along their axis; an array of arrays, one for
            each run, where an output has no such axis.
        device: "cpu" or "cuda".
        isolate: run onnxruntime in a child process.
        run: False for a recorder that only joins what others recorded; onnxruntime is not needed then.

    Raises:
        RunError: onnxruntime cannot load the model.
        DeviceError: the device is not there.
        DataError: the batch size is below 1, a statistic is not known, or the mask is no such input.
    """

    def __init__(
        self,
        model: Any,
        *,
        layers: Mapping[str, Layer] | None = None,
        activation: str = "post",
        statistics: Iterable[str] = (),
        batch_axis: int = 0,
        batch_size: int | None = None,
        mask: str | bool | None = None,
        keep_outputs: bool = False,
        device: str = "cpu",
        isolate: bool = False,
        run: bool = True,
    ) -> None:
        self.model: Model = model if isinstance(model, Model) else load(model)
        self.layers = layers if layers is not None else find_layers(self.model, activation=activation).by_name
        self.specs: tuple[InputSpec, ...] = input_specs(self.model, batch_axis)
        self.statistics = _checked(statistics)
        own = batch_symbol(self.model, batch_axis)
        self.fixed = isinstance(own, int)
        if batch_size is not None and batch_size < 1:
            raise DataError(f"batch_size: expected at least 1, got {batch_size}")
        self.batch_size = own if isinstance(own, int) else batch_size or DEFAULT_BATCH
        self.mask = None if mask is False else find_mask(self.model, mask if isinstance(mask, str) else None, own)
        self.device, self.keep_outputs = device, keep_outputs
        self._batch_axis, self._isolate, self._activation = batch_axis, isolate, activation
        self._sums: dict[Place, Accumulator] = {}
        self._kept: list[dict[str, Array]] = []
        self.samples = self.batches = self.correct = self.labelled = 0
        self.seconds = 0.0
        self._open(frozenset())
        if run:
            self._start()

    @classmethod
    def restore(cls, model: Any, path: str | Path, *, layers: Mapping[str, Layer] | None = None) -> Recorder:
        """Return a recorder of `model` with what was saved at `path`, recording the same statistics in the same way.

        Raises:
            DataError: the file is no recording, or one of another model.
        """
        plan, _, _ = saved.read(Path(path))
        recorder = cls(
            model,
            layers=layers,
            activation=plan["activation"],
            statistics=plan["statistics"],
            batch_axis=plan["batch_axis"],
            mask=plan["mask"] or False,
            run=False,
        )
        recorder.load(path)
        return recorder

    def _open(self, precise: frozenset[Place]) -> None:
        """Place the taps and load the model; the means of `precise` activations are taken in double precision."""
        self._plan: Instrumented = instrument(
            self.model,
            self.layers,
            batch_axis=self._batch_axis,
            statistics=self.statistics,
            precise=precise,
            mask=self.mask,
        )
        self._opened: Session | IsolatedSession | None = None
        self._wanted = list(dict.fromkeys(name for _, outputs in self._plan.taps.values() for name in outputs.names()))

    def _start(self) -> Session | IsolatedSession:
        """Return the session, opened when first needed."""
        if self._opened is None:
            kind = IsolatedSession if self._isolate else Session
            self._opened = kind(self._plan.model, self._plan.folder, device=self.device)
        return self._opened

    def update(self, batch: Any, y: Any = None, *, progress: Progress | None = None) -> None:
        """Run the model over `batch`, which may be any X that `wua_onnx.analyze` takes, and add to the recording.

        Raises:
            DataError: the data does not fit the model, or its iterator failed; what was recorded before is kept.
            DeviceError: the device is not there.
            RunError: onnxruntime cannot load the model, or a run failed; what was recorded before it is kept.
        """
        data = batch if isinstance(batch, Data) else Data(batch, self.specs, y)
        for part in data.batches(self.batch_size, fixed=self.fixed):
            self._run(part)
            if progress is not None:
                progress(self.samples, data.samples)

    def merge(self, other: Recorder) -> None:
        """Add what `other` recorded, of the same model in the same way.

        Raises:
            DataError: it is of another model, or recorded something else; nothing is added then.
        """
        saved.check_same(saved.identity(self), saved.identity(other))
        for place, sums in zip(self._plan.taps, (other._sums.get(place) for place in other._plan.taps), strict=True):
            if sums is not None:
                self._sums.setdefault(place, Accumulator(sums.neurons)).merge(sums)
        self.samples += other.samples
        self.batches += other.batches
        self.correct += other.correct
        self.labelled += other.labelled
        self.seconds += other.seconds
        self._kept += other._kept

    def save(self, path: str | Path) -> Path:
        """Write the recording to an .npz file, whole or not at all; `load` reads it back.

        Kept outputs are not part of it.

        Raises:
            DataError: the file cannot be written.
        """
        sums = [self._sums.get(place) for place in self._plan.taps]
        return saved.write(Path(path), saved.identity(self), saved.counters(self), sums)

    def load(self, path: str | Path) -> None:
        """Add a saved recording of the same model in the same way.

        Raises:
            DataError: the file is no recording, or one of another model or plan; nothing is added then.
        """
        identity, counters, sums = saved.read(Path(path))
        saved.check_same(saved.identity(self), identity)
        for place, part in zip(self._plan.taps, sums, strict=True):
            if part is not None:
                self._sums.setdefault(place, Accumulator(part.neurons)).merge(part)
        for name, number in counters.items():
            setattr(self, name, getattr(self, name) + number)

    def result(self) -> Recording:
        """Return what was recorded so far."""
        layers: dict[str, list[NeuronStatistics]] = {}
        norms = {key: self._norms(place) for key, place in self._plan.features.items()}
        missing = dict(self._plan.missing)
        for key, place in self._plan.activations.items():
            name = key[0]
            if name in missing:
                continue
            if place not in self._sums:
                missing[name] = "the part of the model that it is in never ran"
                layers.pop(name, None)
                continue
            layers.setdefault(name, []).append(self._sums[place].result(norms.get(key)))
        return Recording(
            layers={name: tuple(parts) for name, parts in layers.items()},
            missing=missing if self.samples else dict(self._plan.missing),
            samples=self.samples,
            batches=self.batches,
            seconds=self.seconds,
            batch_size=self.batch_size,
            device=self.device,
            correct=self.correct if self.labelled else None,
            labelled=self.labelled,
            mask=self.mask.value.name if self.mask is not None else None,
            unmasked=self._plan.unmasked,
            mixes_samples=_mixing(self.model) if self.batch_size > 1 else (),
            outputs=self._outputs(),
        )

    def _norms(self, place: Place) -> Array | None:
        sums = self._sums.get(place)
        return None if sums is None or "square" not in sums.totals else np.sqrt(sums.totals["square"])

    def _outputs(self) -> dict[str, Array]:
        names = self._plan.outputs if self._kept else ()
        parts = {name: [kept[name] for kept in self._kept] for name in names}
        return {name: _joined(several, self._sample_axis(name)) for name, several in parts.items()}

    def _sample_axis(self, output: str) -> int:
        """Return the axis of an output along which samples lie: that of the model's free batch dimension, else 0."""
        batch = batch_symbol(self.model, self._batch_axis)
        value = next((value for value in self.model.ir_model.graph.outputs if value.name == output), None)
        dims = [] if value is None or value.shape is None else [self.model.dim(dim) for dim in value.shape]
        return dims.index(batch) if batch is not None and not isinstance(batch, int) and batch in dims else 0

    def _run(self, batch: Batch) -> None:
        started = time.perf_counter()
        own = self._plan.outputs if self.keep_outputs else self._plan.outputs[:1] if batch.labels is not None else ()
        results = self._results(batch.feeds, own)
        padding = self.batch_size - batch.samples if self.fixed else 0
        copies = self._copies(batch, padding)
        readings = {place: self._reading(place, results, batch.samples, padding, copies) for place in self._plan.taps}
        for place, reading in readings.items():
            if reading is not None:
                self._sums.setdefault(place, Accumulator(self._neurons(place, reading))).add(reading)
        self.samples += batch.samples
        self.batches += 1
        if self.keep_outputs:
            self._kept.append({name: _first(results[name], batch.samples, padding) for name in own})
        if batch.labels is not None and own:
            self._compare(results[own[0]], batch)
        self.seconds += time.perf_counter() - started

    def _neurons(self, place: Place, reading: Reading) -> int:
        if reading.rows is None:
            average = next(a for a in (reading.mean, reading.square, reading.firing) if a is not None)
            return int(average.shape[1])
        return next(
            self.layers[name].uses[i].arrangement.shape[0]
            for (name, i), at in self._plan.activations.items()
            if at == place
        )

    def _reading(
        self, place: Place, results: Mapping[str, Array], samples: int, padding: int, copies: Mapping[str, Array] | None
    ) -> Reading | None:
        tap, outputs = self._plan.taps[place]
        reading = read(tap, outputs, results, samples)
        if copies is None or reading is None:
            return reading
        added = read(tap, outputs, copies, self.batch_size)
        return reading if added is None else reading.without(added, padding / self.batch_size)

    def _results(self, feeds: Mapping[str, Array], also: Sequence[str] = ()) -> dict[str, Array]:
        """Run; again with double precision where an activation turns out longer than single precision bears."""
        wanted = list(dict.fromkeys([*self._wanted, *also]))
        results = self._start().run(feeds, wanted)
        taps = self._plan.taps
        long = {place for place, (tap, outputs) in taps.items() if tap.is_too_long(lengths(tap, outputs, results))}
        if not long:
            return results
        self._open(frozenset(long | {place for place, (tap, _) in taps.items() if tap.precise}))
        return self._start().run(feeds, list(dict.fromkeys([*self._wanted, *also])))

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


# Dynamic quantization takes the range of a whole batch.
_MIXING = frozenset({"DynamicQuantizeLinear", "DynamicQuantizeMatMul", "DynamicQuantizeLSTM"})


def _mixing(model: Model) -> tuple[str, ...]:
    views = (NodeView(node, model) for node in model.all_nodes())
    mixing = (
        view.name
        for view in views
        if view.op_type in _MIXING or (view.op_type == "BatchNormalization" and view.attr("training_mode", 0))
    )
    return tuple(dict.fromkeys(mixing))


def _checked(statistics: Iterable[str]) -> frozenset[str]:
    wanted = frozenset(statistics)
    unknown = sorted(wanted - set(STATISTICS))
    if unknown:
        raise DataError(f"statistics: expected some of {', '.join(STATISTICS)}, got {', '.join(map(repr, unknown))}")
    return wanted | {"mean"}


def _joined(parts: Sequence[Array], axis: int) -> Array:
    """Return the parts one behind the other; an array of arrays where their shapes do not allow that."""
    if len(parts) == 1:
        return parts[0]
    fit = all(isinstance(part, np.ndarray) and part.ndim > axis for part in parts)
    if fit and len({(*part.shape[:axis], *part.shape[axis + 1 :]) for part in parts}) == 1:
        return np.concatenate(parts, axis)
    whole = np.empty(len(parts), dtype=object)
    whole[:] = list(parts)
    return whole


def _first(output: Any, samples: int, padding: int) -> Any:
    return output[:samples] if padding and isinstance(output, np.ndarray) and output.ndim else output
