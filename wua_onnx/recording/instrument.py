"""A copy of the model that also returns statistics of its neurons."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir

from wua_onnx.layers import Layer
from wua_onnx.model import dims as d
from wua_onnx.model.graph import Model
from wua_onnx.recording.taps import Builder, Outputs, Tap
from wua_onnx.running.inputs import batch_symbol
from wua_onnx.running.runnable import check_weights, folder_of, forget_shapes, serialized

_FLOATS = frozenset({ir.DataType.FLOAT, ir.DataType.DOUBLE, ir.DataType.FLOAT16, ir.DataType.BFLOAT16})


@dataclass(frozen=True, kw_only=True, eq=False)
class Instrumented:
    """A model with taps.

    Attributes:
        model: its serialized form; big weights stay where they are on disk.
        folder: where they are.
        taps: what is recorded, and the outputs that hold it, by (layer name, index of the use).
        outputs: the names of the model's own outputs.
        missing: why a layer is not recorded, by name.
    """

    model: bytes
    folder: Path | None
    taps: Mapping[tuple[str, int], tuple[Tap, Outputs]]
    outputs: tuple[str, ...]
    missing: Mapping[str, str]


def instrument(
    model: Model, layers: Mapping[str, Layer], *, batch_axis: int = 0, precise: Set[str] = frozenset()
) -> Instrumented:
    """Return `model` with a tap for every use of every layer.

    Args:
        model: the model, its batch dimension not bound.
        layers: the layers to record.
        batch_axis: the axis of the inputs along which samples lie.
        precise: activations whose means are taken in double precision, by name.

    Raises:
        ExternalDataError: weights of the model are missing on disk.
        LimitError: weights given in memory exceed what one message can hold.
    """
    check_weights(model)
    copy = model.ir_model.clone()
    own = tuple(value.name or "" for value in copy.graph.outputs)
    by_name = {value.name: value for node in copy.graph for value in node.outputs}
    opset = copy.opset_imports.setdefault("", 18)
    builder = Builder(copy, opset)
    batch = batch_symbol(model, batch_axis)
    wanted: dict[tuple[str, int], Tap] = {}
    missing: dict[str, str] = {}
    for layer in layers.values():
        for index in range(len(layer.uses)):
            tap = _tap(layer, index, model, batch, precise)
            if isinstance(tap, str):
                missing[layer.name] = tap
            else:
                wanted[layer.name, index] = tap
    # The first layer's tap comes last: onnxruntime orders a graph depth first from its last leaf, so that each
    # activation is reduced, and freed, before the next layer runs.
    built = {tap: builder.build(tap, by_name[tap.value]) for tap in reversed(dict.fromkeys(wanted.values()))}
    taps = {key: (tap, built[tap]) for key, tap in wanted.items()}
    forget_shapes(copy)
    return Instrumented(model=serialized(copy), folder=folder_of(model), taps=taps, outputs=own, missing=missing)


def _tap(layer: Layer, index: int, model: Model, batch: d.Dim | None, precise: Set[str]) -> Tap | str:
    activation = layer.activations[index]
    value = activation.value
    if value.shape is None or value.name is None:
        return "the rank of its activation is unknown"
    if value.dtype not in _FLOATS:
        return f"its activation is of type {value.dtype}, which no reduction takes"
    dims = tuple(model.dim(dim) for dim in value.shape)
    own_axis = next((i for i, dim in enumerate(dims) if isinstance(batch, d.Expr) and dim == batch), None)
    function = activation.function
    return Tap(
        value=value.name,
        dims=dims,
        axis=activation.axis,
        sample_axis=own_axis if own_axis != activation.axis else None,
        non_negative=function is not None and function.non_negative,
        with_range=function is not None and function.smooth,
        precise=value.name in precise or value.dtype == ir.DataType.DOUBLE,
    )
