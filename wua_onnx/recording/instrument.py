"""A copy of the model that also returns statistics of its neurons."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir

from wua_onnx.layers import Layer
from wua_onnx.layers.side import Side
from wua_onnx.model.graph import Model
from wua_onnx.model.symbols import all_values
from wua_onnx.recording.bodies import Bodies
from wua_onnx.recording.builder import Builder, Results
from wua_onnx.recording.masks import Mask, Masks
from wua_onnx.recording.plan import Place, Plan, check_layers
from wua_onnx.recording.taps import Tap
from wua_onnx.running.bfloat16 import can_widen, has_bfloat16, open_ends, widen
from wua_onnx.running.runnable import check_weights, folder_of, forget_shapes, serialized
from wua_onnx.running.time_first import time_first


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """The names of the graph outputs that a tap returns; see `Results` for what they hold."""

    means: tuple[str, ...]
    square: str | None
    firing: str | None
    largest: str | None
    smallest: str | None
    shape: str | None
    counts: str | None
    values: str | None
    map: str | None
    summed: bool

    def names(self) -> list[str]:
        """Return every output to fetch."""
        extremes = (self.largest, self.smallest)
        others = (self.square, self.firing, *extremes, self.shape, self.counts, self.values, self.map)
        return [*self.means, *(name for name in others if name is not None)]


@dataclass(frozen=True, kw_only=True, eq=False)
class Instrumented:
    """A model with taps.

    Attributes:
        model: its serialized form; big weights stay where they are on disk.
        folder: where they are.
        taps: what is recorded, and the outputs that hold it, by the place where.
        activations: the place of every use's neurons, by (layer name, index of the use).
        features: the place of what every use's weight is multiplied with, where that is asked for.
        outputs: the names of the model's own outputs.
        missing: why a use of a layer is not recorded, by the layer's name and the number of the use.
        unmasked: layers whose activation the mask does not reach.
        narrow: values of it are bfloat16, and could be float32 instead.
    """

    model: bytes
    folder: Path | None
    taps: Mapping[Place, tuple[Tap, Outputs]]
    activations: Mapping[tuple[str, int], Place]
    features: Mapping[tuple[str, int], Place]
    outputs: tuple[str, ...]
    missing: Mapping[tuple[str, int], str]
    unmasked: tuple[str, ...]
    narrow: bool = False


def instrument(
    model: Model,
    layers: Mapping[str, Layer],
    *,
    batch_axis: int = 0,
    statistics: Iterable[str] = ("mean",),
    precise: Set[Place] = frozenset(),
    mask: Mask | None = None,
    wide: bool = False,
) -> Instrumented:
    """Return `model` with a tap for every use of every layer; bfloat16 inputs and outputs become float32.

    Args:
        model: the model, its batch dimension not bound.
        layers: the layers to record.
        batch_axis: the axis of the inputs along which samples lie.
        statistics: what to record of the neurons, of "mean", "square", "firing", "range", "histogram", "map";
            "features" for the mean square of what the weights are multiplied with.
        precise: places whose means are taken in double precision.
        mask: which positions are valid.
        wide: compute in float32 what the model computes in bfloat16.

    Raises:
        DataError: `layers` are not those of `model`.
        ExternalDataError: weights of the model are missing on disk.
        LimitError: weights given in memory exceed what one message can hold.
    """
    check_weights(model)
    check_layers(model, layers)
    plan = Plan(model, batch_axis, frozenset(statistics), precise, mask)
    for layer in layers.values():
        plan.add(layer)
    copy = model.ir_model.clone()
    own = tuple(value.name or "" for value in copy.graph.outputs)
    outputs = _built(plan, copy, dict(zip(all_values(model.ir_model), all_values(copy), strict=True)))
    time_first(copy)
    open_ends(copy)
    if wide:
        widen(copy)
    forget_shapes(copy)
    return Instrumented(
        model=serialized(copy),
        folder=folder_of(model),
        taps={place: (tap, outputs[place]) for place, tap in plan.taps.items()},
        activations=plan.activations,
        features=plan.features,
        outputs=own,
        missing=plan.missing,
        unmasked=tuple(plan.unmasked) if mask is not None else (),
        narrow=not wide and has_bfloat16(copy) and can_widen(copy),
    )


def _built(plan: Plan, copy: ir.Model, same: Mapping[ir.Value, ir.Value]) -> dict[Place, Outputs]:
    """Build every tap into `copy`; `same` tells its values from those of the model that was planned on."""
    builder = Builder(copy, copy.opset_imports.setdefault("", 18))
    bodies = Bodies(copy)
    masks = Masks(builder, plan.mask, same[plan.mask.value]) if plan.mask is not None else None
    results: dict[Place, Results] = {}
    # The first layer's tap comes last: onnxruntime orders a graph depth first from its last leaf, so that each
    # activation is reduced, and freed, before the next layer runs.
    for place, tap in reversed(plan.taps.items()):
        value = bodies.current(same[tap.value]) if tap.side is None else _beside(tap.side, builder, bodies, same)
        if not value.name:
            value.name = builder.name()  # an output that the model left out
        if tap.quantization is not None:
            scale, zero = tap.quantization.scale, tap.quantization.zero
            value = builder.dequantized(value, same[scale], None if zero is None else same[zero])
        lengths = bodies.current(same[tap.lengths]) if tap.lengths is not None else None
        built = builder.build(tap, value, lengths, masks)
        results[place] = bodies.lifted(builder, tap, built) if bodies.around(value) else built
    return {place: _outputs(found, bodies, copy.graph) for place, found in results.items()}


def _beside(side: Side, builder: Builder, bodies: Bodies, same: Mapping[ir.Value, ir.Value]) -> ir.Value:
    """Add a side computation and return its result."""
    inputs = [None if value is None else bodies.current(same[value]) for value in side.inputs]
    for value in inputs:
        if value is not None and not value.name:
            value.name = builder.name()  # an output that the model left out
    return side.compute(builder, inputs)


def _outputs(results: Results, bodies: Bodies, graph: ir.Graph) -> Outputs:
    def name(value: ir.Value) -> str:
        value = bodies.current(value)
        assert value.name is not None
        if value not in graph.outputs:
            graph.outputs.append(value)
        return value.name

    fields = ("square", "firing", "largest", "smallest", "shape", "counts", "values", "map")
    singles = {field: getattr(results, field) for field in fields}
    return Outputs(
        means=tuple(name(value) for value in results.means),
        summed=results.summed,
        **{field: None if value is None else name(value) for field, value in singles.items()},
    )
