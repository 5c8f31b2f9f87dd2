"""Running a model over data and adding up what its neurons do."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Set
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from wua_onnx.errors import DataError
from wua_onnx.layers import Layer, find_layers
from wua_onnx.model.graph import Model
from wua_onnx.model.load import load
from wua_onnx.recording import saved
from wua_onnx.recording.instrument import Instrumented, instrument
from wua_onnx.recording.masks import find_mask
from wua_onnx.recording.plan import Place, check_settings, checked
from wua_onnx.recording.result import Recording, agreeing, first, joined, mixing, sample_axis
from wua_onnx.recording.runner import Runner
from wua_onnx.recording.slices import Slices
from wua_onnx.recording.sums import Sums
from wua_onnx.running import Batch, Data, InputSpec, input_specs
from wua_onnx.running.batches import copies_of_last
from wua_onnx.running.bfloat16 import NOTE
from wua_onnx.running.inputs import batch_symbol

Array: TypeAlias = np.ndarray[Any, Any]
Progress: TypeAlias = "Callable[[int, int | None], None]"  # samples done, samples in all where known

DEFAULT_BATCH = 32


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
        batch_size: samples in a batch; the model's own where it is fixed, else 32 by default. Large ones are run in
            slices (`slices.py`) where samples do not mix, which changes nothing but time and memory.
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
        statistics: str | Iterable[str] = (),
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
        self.statistics = checked(statistics)
        own = batch_symbol(self.model, batch_axis)
        self.fixed = isinstance(own, int)
        check_settings(batch_size, activation)
        self.batch_size = own if isinstance(own, int) else int(batch_size or DEFAULT_BATCH)
        self.mask = None if mask is False else find_mask(self.model, mask if isinstance(mask, str) else None, own)
        self.device, self.keep_outputs, self.activation, self._batch_axis = device, keep_outputs, activation, batch_axis
        self._sums = Sums(self.layers)
        self._kept: list[dict[str, Array]] = []
        self.samples = self.batches = self.correct = self.labelled = 0
        self.seconds = 0.0
        self.precision: str | None = None
        self._runner = Runner(self._prepare, device, isolate=isolate)
        whole = self.fixed or keep_outputs or device != "cpu"
        self._slices = Slices(self.model, self.specs, self._plan, whole=whole)
        if run:
            self._runner.start()

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

    def _prepare(self, *, precise: Set[Place], wide: bool) -> Instrumented:
        return instrument(
            self.model,
            self.layers,
            batch_axis=self._batch_axis,
            statistics=self.statistics,
            precise=precise,
            mask=self.mask,
            wide=wide,
        )

    @property
    def _plan(self) -> Instrumented:
        return self._runner.plan

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
            DataError: it is of another model, recorded something else, or is this one; nothing is added then.
        """
        if not isinstance(other, Recorder):
            raise DataError(f"merge: expected a Recorder, got {type(other).__name__}")
        if other is self:
            raise DataError("merge: expected another Recorder, got the same one: its samples would count twice")
        saved.check_same(saved.identity(self), saved.identity(other))
        self._sums.merge(self._plan, other._sums.of(other._plan))
        self._count(saved.counters(other))
        self.precision = self.precision or other.precision
        self._kept += other._kept

    def save(self, path: str | Path) -> Path:
        """Write the recording to an .npz file, whole or not at all; `load` reads it back.

        Kept outputs are not part of it.

        Raises:
            DataError: the file cannot be written.
        """
        head = saved.identity(self) | {"precision": self.precision}
        return saved.write(Path(path), head, saved.counters(self), self._sums.of(self._plan))

    def load(self, path: str | Path) -> None:
        """Add a saved recording of the same model in the same way.

        Raises:
            DataError: the file is no recording, or one of another model or plan; nothing is added then.
        """
        identity, counters, sums = saved.read(Path(path))
        saved.check_same(saved.identity(self), identity)
        self._sums.merge(self._plan, sums)
        self.precision = self.precision or (NOTE if identity.get("precision") == NOTE else None)
        self._count(counters)

    def _count(self, counters: Mapping[str, Any]) -> None:
        for name, number in counters.items():
            setattr(self, name, getattr(self, name) + number)

    def result(self) -> Recording:
        """Return what was recorded so far."""
        layers, missing, partly = self._sums.layers(self._plan)
        return Recording(
            layers=layers,
            missing=missing if self.samples else {name: reason for (name, _), reason in self._plan.missing.items()},
            partly=partly if self.samples else {},
            samples=self.samples,
            batches=self.batches,
            seconds=self.seconds,
            batch_size=self.batch_size,
            device=self.device,
            correct=self.correct if self.labelled else None,
            labelled=self.labelled,
            mask=self.mask.value.name if self.mask is not None else None,
            unmasked=self._plan.unmasked,
            mixes_samples=mixing(self.model) if self.batch_size > 1 else (),
            precision=self.precision,
            outputs=self._outputs(),
        )

    def result_for(self, model: Model, activation: str) -> Recording:
        """Return what was recorded; DataError where it is of another model, or of neurons read elsewhere."""
        saved.check_same(saved.kind(self.model, self.activation), saved.kind(model, activation))
        return self.result()

    def _outputs(self) -> dict[str, Array]:
        names = self._plan.outputs if self._kept else ()
        parts = {name: [kept[name] for kept in self._kept] for name in names}
        return {
            name: joined(several, sample_axis(self.model, name, self._batch_axis)) for name, several in parts.items()
        }

    def _run(self, batch: Batch) -> None:
        started = time.perf_counter()
        own = self._plan.outputs if self.keep_outputs else self._plan.outputs[:1] if batch.labels is not None else ()
        runs = self._runner.runs(tuple(self._slices.of(batch)), own)
        self.precision = self.precision or self._runner.precision
        padding = self.batch_size - batch.samples if self.fixed else 0
        if padding:
            copies = self._runner.run(copies_of_last(batch, self.specs, self.batch_size))
            self._sums.add_without(self._plan, runs[0][0], batch.samples, copies, self.batch_size)
        else:
            self._sums.add(self._plan, runs)
        self.samples += batch.samples
        self.batches += 1
        if self.keep_outputs:
            self._kept.append({name: first(runs[0][0][name], batch.samples, padding) for name in own})
        if batch.labels is not None and own:
            output = joined([results[own[0]] for results, _ in runs], 0)
            correct, labelled = agreeing(output, batch.labels, batch.samples)
            self.correct += correct
            self.labelled += labelled
        self.seconds += time.perf_counter() - started
