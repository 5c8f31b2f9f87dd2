"""The recording of an audit: made from data, or given; and what the audit's JSON says of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wua_onnx import importance
from wua_onnx._text import clean
from wua_onnx.cost import CostReport
from wua_onnx.errors import DataError, RunError, WuaError
from wua_onnx.importance.score import can_score
from wua_onnx.layers import Layers
from wua_onnx.model.graph import Model

if TYPE_CHECKING:
    from wua_onnx.recording import Recorder, Recording
    from wua_onnx.running import Data

_LARGEST_BATCH = 256


def recording_of(
    recording: Recording | Recorder | str | Path | None, model: Model, layers: Layers, activation: str = "post"
) -> Recording | None:
    """Return what was recorded: from a recorder, from its result, or from the file it was saved to.

    Raises:
        DataError: it is none of these, of another model, or of other places of the neurons than `activation`.
    """
    from wua_onnx.recording import Recorder, Recording

    if recording is None:
        return None
    if isinstance(recording, str | Path):
        recording = Recorder.restore(model, recording, layers=layers.by_name)
    if isinstance(recording, Recorder):
        return recording.result_for(model, activation)
    if not isinstance(recording, Recording):
        raise DataError(f"recording: expected a Recorder, its result or a file, got {type(recording).__name__}")
    for name, parts in recording.layers.items():
        uses = layers.by_name[name].uses if name in layers.by_name else ()
        sizes = [use.arrangement.shape for use in uses]
        if len(sizes) != len(parts) or any(p.mean.size not in size for p, size in zip(parts, sizes, strict=True)):
            raise DataError(f"recording: expected one of this model, got one with another layer {clean(name)!r}")
    return recording


def fitting_batch(report: CostReport, memory: int) -> int | None:
    """Return how many samples fit into `memory` bytes at the peak of a run; None where that is not known."""
    peak = report.peak
    return min(max(memory // max(peak, 1), 1), _LARGEST_BATCH) if isinstance(peak, int) else None


def check_recorded(recorded: Recording, layers: Layers, criteria: Sequence[str]) -> None:
    """Raise WuaError where a recording that was given lacks what a criterion needs of every layer."""
    known = [(layers.by_name[name], parts) for name, parts in recorded.layers.items() if name in layers.by_name]
    for name in criteria:
        if known and not any(can_score(layer, name, parts) for layer, parts in known):
            needs = ", ".join(sorted(importance.recorded_for([name])))
            raise WuaError(f"criterion {name!r}: expected a recording with the statistics {needs}, got one without")


def static(criteria: tuple[str, ...]) -> tuple[str, ...]:
    """Return the criteria that need no recording; magnitude where none is left."""
    return tuple(name for name in criteria if not importance.get(name).needs) or ("magnitude",)


def record(
    model: Model, layers: Layers, data: Data, options: Mapping[str, Any], progress: Any
) -> tuple[Recording | None, str | None]:
    """Return the recording, or why there is none; one that a failure cut short is kept and says so."""
    from wua_onnx.recording import Recorder
    from wua_onnx.report.progress import reporting

    try:
        recorder = Recorder(model, layers=layers.by_name, **options)
    except RunError as error:
        return None, str(error)
    with reporting(progress, data.samples) as tell:
        try:
            recorder.update(data, progress=tell)
        except (RunError, DataError) as error:
            if isinstance(error, DataError) and not recorder.samples:
                raise
            if not recorder.samples:
                return None, str(error)
            return recorder.result(), f"{error} (after {recorder.samples:,} samples)"
    return recorder.result(), None


def recording_json(recorded: Recording | None, problem: str | None) -> dict[str, Any] | None:
    if recorded is None:
        return None if problem is None else {"samples": 0, "batches": 0, "error": problem}
    return {
        "samples": recorded.samples,
        "batches": recorded.batches,
        "batch_size": recorded.batch_size,
        "device": recorded.device,
        "seconds": recorded.seconds,
        "accuracy": recorded.correct / recorded.labelled if recorded.correct is not None else None,
        "missing": dict(recorded.missing),
        "partly": dict(recorded.partly),
        "mask": None if recorded.mask is None else clean(recorded.mask),
        "unmasked": list(recorded.unmasked),
        "mixes_samples": list(recorded.mixes_samples),
        "precision": recorded.precision,
        "error": problem,
    }
