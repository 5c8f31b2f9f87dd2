"""`Recording`: what was recorded, and what is kept of the model's own outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from wua_onnx.model.graph import Model
from wua_onnx.model.node import NodeView
from wua_onnx.recording.statistics import NeuronStatistics
from wua_onnx.running.inputs import batch_symbol

Array: TypeAlias = np.ndarray[Any, Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Recording:
    """What was recorded.

    Attributes:
        layers: statistics by layer name, one for each use of its weight; of 0 positions for a use in `partly`.
        missing: why a layer has none, by name.
        partly: of layers that have some uses recorded and others not, which those are, and why, by name.
        samples, batches, seconds: how much data, in how many batches, and how long it took.
        batch_size, device: how it was run.
        correct: how many samples the largest output agreed with the label; None without labels.
        labelled: samples that had a label.
        mask: the input that told padded positions, which are in no statistic; None where none did.
        unmasked: layers whose activation the mask does not reach: their padded positions count.
        mixes_samples: operators whose result for one sample depends on the others in its batch (dynamic quantization,
            say): what is recorded then depends on how the data is cut into batches.
        precision: where the model was not computed in its own element types, in which: "bfloat16 computed in float32";
            None where it was.
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
    precision: str | None = None
    partly: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, Array] = field(default_factory=dict)


# Dynamic quantization takes the range of a whole batch.
_MIXING = frozenset({"DynamicQuantizeLinear", "DynamicQuantizeMatMul", "DynamicQuantizeLSTM"})


def mixing(model: Model) -> tuple[str, ...]:
    """Return the operators whose result for one sample depends on the others of its batch."""
    views = (NodeView(node, model) for node in model.all_nodes())
    mixing = (
        view.name
        for view in views
        if view.op_type in _MIXING or (view.op_type == "BatchNormalization" and view.attr("training_mode", 0))
    )
    return tuple(dict.fromkeys(mixing))


def sample_axis(model: Model, output: str, batch_axis: int) -> int:
    """Return the axis of an output along which samples lie: that of the model's free batch dimension, else 0."""
    batch = batch_symbol(model, batch_axis)
    value = next((value for value in model.ir_model.graph.outputs if value.name == output), None)
    dims = [] if value is None or value.shape is None else [model.dim(dim) for dim in value.shape]
    return dims.index(batch) if batch is not None and not isinstance(batch, int) and batch in dims else 0


def agreeing(output: Any, labels: Array, samples: int) -> tuple[int, int]:
    """Return for how many samples the largest output is the label, and how many could be compared."""
    if not isinstance(output, np.ndarray) or output.ndim != 2 or output.shape[1] < 2:
        return 0, 0
    output = output[:samples]
    if labels.shape == output.shape:  # one-hot
        labels = labels.argmax(axis=1)
    if labels.size != samples or labels.dtype.kind not in "iuf":
        return 0, 0
    return int((output.argmax(axis=1) == labels.reshape(-1)).sum()), samples


def joined(parts: Sequence[Array], axis: int) -> Array:
    """Return the parts one behind the other; an array of arrays where their shapes do not allow that."""
    if len(parts) == 1:
        return parts[0]
    fit = all(isinstance(part, np.ndarray) and part.ndim > axis for part in parts)
    if fit and len({(*part.shape[:axis], *part.shape[axis + 1 :]) for part in parts}) == 1:
        return np.concatenate(parts, axis)
    whole = np.empty(len(parts), dtype=object)
    whole[:] = list(parts)
    return whole


def first(output: Any, samples: int, padding: int) -> Any:
    """Return an output without what belongs to the copies that fill up a batch."""
    return output[:samples] if padding and isinstance(output, np.ndarray) and output.ndim else output
