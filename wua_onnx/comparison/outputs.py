"""How far the outputs of two models lie apart, run on the same data, batch by batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, TypeAlias

import numpy as np

from wua_onnx._text import visible
from wua_onnx.errors import DataError, ModelError, RunError
from wua_onnx.model.graph import Model
from wua_onnx.running import Batch, Data, InputSpec, Session, input_specs
from wua_onnx.running.inputs import batch_symbol
from wua_onnx.running.isolated import IsolatedSession
from wua_onnx.running.runnable import check_weights, folder_of, forget_shapes, serialized
from wua_onnx.running.time_first import time_first

Array: TypeAlias = np.ndarray[Any, Any]

_BATCH = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputDifference:
    """One output of both models.

    Attributes:
        name, after_name: of the output, before and after.
        elements: how many values were compared.
        largest, mean: of |after - before|.
        rms: the root of the mean of (after - before)².
        relative: the length of the difference over the length of the output before; None where that is 0.
        agreement: the share of samples with the same largest element, of outputs (samples, classes); None of others.
        non_finite: values that are finite on one side only, or differ in what they are; they are in nothing above.
        error: why the two cannot be compared; None where they can.
    """

    name: str
    after_name: str
    elements: int = 0
    largest: float | None = None
    mean: float | None = None
    rms: float | None = None
    relative: float | None = None
    agreement: float | None = None
    non_finite: int = 0
    error: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it in JSON's own types."""
        return {one.name: getattr(self, one.name) for one in fields(self)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """The outputs of both models.

    Attributes:
        samples: that both ran on.
        each: output by output, in the order of the model before.
        error: why they were not compared, or not on all samples; None where nothing failed.
    """

    samples: int = 0
    each: tuple[OutputDifference, ...] = ()
    error: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it in JSON's own types."""
        return {"samples": self.samples, "each": [one.to_dict() for one in self.each], "error": self.error}


def compare_outputs(
    before: Model,
    after: Model,
    X: Any,
    *,
    batch_axis: int = 0,
    batch_size: int | None = None,
    device: str = "cpu",
    isolate: bool = False,
) -> Outputs:
    """Run both models on X, read once, and return how far their outputs lie apart.

    Outputs are matched by name, then by place. What fails is said in `error`.

    Args:
        before: a model whose batch is not bound.
        after: likewise.
        X: data of `before`, as for `wua_onnx.analyze`; `after` gets the same arrays, by name or by place.
        batch_axis: the axis of the inputs along which samples lie.
        batch_size: samples in a run; the model's own where it is fixed, else 32 by default.
        device: "cpu" or "cuda".
        isolate: run onnxruntime in child processes.
    """
    sums: dict[tuple[str, str], _Sums] = {}
    samples = 0
    try:
        runs = [_Runs(model, batch_axis, batch_size, device, isolate) for model in (before, after)]
        pairs = _matched(runs[0].outputs, runs[1].outputs)
        sums = {pair: _Sums() for pair in pairs}
        for batch in Data(X, runs[0].specs).batches(runs[0].size, fixed=runs[0].fixed):
            results = runs[0].run(batch), runs[1].run_on(_feeds(batch, runs[0].specs, runs[1].specs), batch.samples)
            for (one, two), held in sums.items():
                held.add(results[0][one], results[1][two])
            samples += batch.samples
    except (RunError, DataError, ModelError) as error:
        return Outputs(samples=samples, each=_told(sums) if samples else (), error=visible(error, 600))
    return Outputs(samples=samples, each=_told(sums))


class _Runs:
    """A model opened for runs."""

    def __init__(self, model: Model, batch_axis: int, batch_size: int | None, device: str, isolate: bool) -> None:
        check_weights(model)
        copy = model.ir_model.clone()
        time_first(copy)
        forget_shapes(copy)
        own = batch_symbol(model, batch_axis)
        self.fixed = isinstance(own, int)
        self.size = own if isinstance(own, int) else batch_size or _BATCH
        self.specs = input_specs(model, batch_axis)
        kind = IsolatedSession if isolate else Session
        self._session = kind(serialized(copy), folder_of(model), device=device)
        self.outputs = self._session.outputs

    def run(self, batch: Batch) -> dict[str, Any]:
        """Return the outputs for the samples of a batch, without the copies that fill it up."""
        results = self._session.run(batch.feeds)
        padded = self.fixed and batch.samples < self.size
        return {name: array[: batch.samples] if padded and np.ndim(array) else array for name, array in results.items()}

    def run_on(self, feeds: Mapping[str, Array], samples: int) -> dict[str, Any]:
        """Return the outputs for arrays of `samples` samples, in as many runs as the model's own batch needs."""
        batches = Data(dict(feeds), self.specs).batches(self.size if self.fixed else max(samples, 1), fixed=self.fixed)
        parts = [self.run(batch) for batch in batches]
        return parts[0] if len(parts) == 1 else {name: _joined([part[name] for part in parts]) for name in parts[0]}


def _joined(parts: Sequence[Any]) -> Any:
    fit = all(isinstance(part, np.ndarray) and part.ndim for part in parts)
    return np.concatenate(parts) if fit and len({part.shape[1:] for part in parts}) == 1 else list(parts)


def _feeds(batch: Batch, one: Sequence[InputSpec], two: Sequence[InputSpec]) -> dict[str, Array]:
    """Return the arrays of a batch under the names of the other model, without the copies that fill it up."""
    if len(one) != len(two):
        raise DataError(f"outputs: expected as many inputs after as before, {len(one)}, got {len(two)}")
    same = {spec.name for spec in one} == {spec.name for spec in two}
    given = {}
    for place, spec in enumerate(one):
        array = batch.feeds[spec.name]
        if spec.sample_axis is not None:
            array = array.take(range(batch.samples), axis=spec.sample_axis)
        given[spec.name if same else two[place].name] = array
    return given


def _matched(one: Sequence[str], two: Sequence[str]) -> list[tuple[str, str]]:
    """Return outputs of the same name, and those left over by place, in the order of `one`."""
    rest = iter([name for name in two if name not in one])
    partners = {name: name if name in two else next(rest, None) for name in one}
    return [(name, other) for name, other in partners.items() if other is not None]


@dataclass(slots=True)
class _Sums:
    """Sums over the batches of one output; differences are taken in double precision."""

    elements: int = 0
    largest: float = 0.0
    absolute: float = 0.0
    squares: float = 0.0
    length: float = 0.0
    same: int = 0
    rows: int = 0
    non_finite: int = 0
    error: str | None = None
    classes: bool = field(default=True)

    def add(self, before: Any, after: Any) -> None:
        """Add the outputs of one batch; what cannot be compared is said in `error`."""
        if self.error is not None:
            return
        self.error = _problem(before, after)
        if self.error is not None:
            return
        one, two = before.astype(np.float64), after.astype(np.float64)
        finite = np.isfinite(one) & np.isfinite(two)
        alike = finite | (one == two) | (np.isnan(one) & np.isnan(two))
        apart = np.abs(two[finite] - one[finite])
        self.elements += int(finite.sum())
        self.non_finite += int((~alike).sum())
        if apart.size:
            self.largest = max(self.largest, float(apart.max()))
            self.absolute += float(apart.sum())
            self.squares += float(np.square(apart).sum())
            self.length += float(np.square(one[finite]).sum())
        self._agree(one, two)

    def _agree(self, one: Array, two: Array) -> None:
        self.classes = self.classes and one.ndim == 2 and one.shape[1] > 1
        if self.classes:
            self.same += int((one.argmax(axis=1) == two.argmax(axis=1)).sum())
            self.rows += len(one)


def _problem(before: Any, after: Any) -> str | None:
    arrays = [side for side in (before, after) if isinstance(side, np.ndarray) and side.dtype.kind in "fiub"]
    if len(arrays) < 2:
        return "one of them is no array of numbers"
    if before.shape != after.shape:
        return f"shapes {list(before.shape)} against {list(after.shape)}"
    return None


def _told(sums: Mapping[tuple[str, str], _Sums]) -> tuple[OutputDifference, ...]:
    return tuple(_difference(one, two, held) for (one, two), held in sums.items())


def _difference(one: str, two: str, held: _Sums) -> OutputDifference:
    names: dict[str, Any] = {"name": visible(one), "after_name": visible(two)}
    if held.error is not None:
        return OutputDifference(**names, error=held.error)
    count = held.elements
    return OutputDifference(
        **names,
        elements=count,
        largest=held.largest if count else None,
        mean=held.absolute / count if count else None,
        rms=(held.squares / count) ** 0.5 if count else None,
        relative=(held.squares / held.length) ** 0.5 if held.length else None,
        agreement=held.same / held.rows if held.classes and held.rows else None,
        non_finite=held.non_finite,
    )
