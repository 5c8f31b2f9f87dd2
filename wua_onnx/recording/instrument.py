"""A copy of the model that also returns statistics of its neurons."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import onnx_ir as ir

from wua_onnx.layers import Layer
from wua_onnx.layers.activations import Quantization
from wua_onnx.model import dims as d
from wua_onnx.model.graph import Model
from wua_onnx.model.symbols import all_values
from wua_onnx.recording.bodies import Bodies, CannotLift
from wua_onnx.recording.builder import Builder, Results
from wua_onnx.recording.masks import Mask, Masks
from wua_onnx.recording.taps import Tap
from wua_onnx.running.inputs import batch_symbol
from wua_onnx.running.runnable import check_weights, folder_of, forget_shapes, serialized

Place: TypeAlias = "tuple[ir.Value, tuple[int, ...]]"  # an activation and the axes of its neurons

_FLOATS = frozenset({ir.DataType.FLOAT, ir.DataType.DOUBLE, ir.DataType.FLOAT16, ir.DataType.BFLOAT16})
_QUANTIZED = frozenset({ir.DataType.INT8, ir.DataType.UINT8})
_INTEGERS = frozenset({ir.DataType.INT32, ir.DataType.INT64})
_UNKNOWN_RANK = "the rank of its activation is unknown"


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
        missing: why a layer is not recorded, by name.
        unmasked: layers whose activation the mask does not reach.
    """

    model: bytes
    folder: Path | None
    taps: Mapping[Place, tuple[Tap, Outputs]]
    activations: Mapping[tuple[str, int], Place]
    features: Mapping[tuple[str, int], Place]
    outputs: tuple[str, ...]
    missing: Mapping[str, str]
    unmasked: tuple[str, ...]


def instrument(
    model: Model,
    layers: Mapping[str, Layer],
    *,
    batch_axis: int = 0,
    statistics: Iterable[str] = ("mean",),
    precise: Set[Place] = frozenset(),
    mask: Mask | None = None,
) -> Instrumented:
    """Return `model` with a tap for every use of every layer.

    Args:
        model: the model, its batch dimension not bound.
        layers: the layers to record.
        batch_axis: the axis of the inputs along which samples lie.
        statistics: what to record of the neurons, of "mean", "square", "firing", "range", "histogram", "map";
            "features" for the mean square of what the weights are multiplied with.
        precise: places whose means are taken in double precision.
        mask: which positions are valid.

    Raises:
        ExternalDataError: weights of the model are missing on disk.
        LimitError: weights given in memory exceed what one message can hold.
    """
    check_weights(model)
    plan = _Plan(model, batch_axis, frozenset(statistics), precise, mask)
    for layer in layers.values():
        plan.add(layer)
    copy = model.ir_model.clone()
    own = tuple(value.name or "" for value in copy.graph.outputs)
    outputs = _built(plan, copy, dict(zip(all_values(model.ir_model), all_values(copy), strict=True)))
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
    )


class _Plan:
    """Which taps the layers need."""

    def __init__(
        self, model: Model, batch_axis: int, statistics: frozenset[str], precise: Set[Place], mask: Mask | None
    ) -> None:
        self.model, self.statistics, self.precise, self.mask = model, statistics, precise, mask
        self.batch = batch_symbol(model, batch_axis)
        self.bodies = Bodies(model.ir_model)
        self.taps: dict[Place, Tap] = {}
        self.activations: dict[tuple[str, int], Place] = {}
        self.features: dict[tuple[str, int], Place] = {}
        self.missing: dict[str, str] = {}
        self.unmasked: dict[str, None] = {}

    def add(self, layer: Layer) -> None:
        """Plan the taps of one layer, or note why it has none."""
        for index, use in enumerate(layer.uses):
            try:
                tap = self._tap_of_neurons(layer, index)
            except CannotLift as reason:
                self.missing[layer.name] = str(reason)
                continue
            self.activations[layer.name, index] = self._wanted(tap)
            if self.mask is not None and tap.masked_axis is None:
                self.unmasked[layer.name] = None
            if "features" in self.statistics and use.features is not None:
                try:
                    features = use.features
                    square = self._tap(features.value, features.axes, frozenset({"square"}), features.quantization)
                except CannotLift:
                    continue
                self.features[layer.name, index] = self._wanted(square)

    def _wanted(self, tap: Tap) -> Place:
        known = self.taps.get(tap.place)
        if known is not None:
            tap = replace(known, statistics=known.statistics | tap.statistics)
        self.taps[tap.place] = tap
        return tap.place

    def _tap_of_neurons(self, layer: Layer, index: int) -> Tap:
        activation = layer.activations[index]
        if activation.unread:
            raise CannotLift(activation.unread)
        if activation.lookups:
            return self._tap(activation.value, (), frozenset({"lookups"}), types=_INTEGERS)
        function = activation.function
        statistics = (self.statistics - {"features"}) | (
            {"range"} if function is not None and function.smooth else set()
        )
        tap = self._tap(activation.value, activation.axes, statistics, activation.quantization)
        non_negative = function is not None and function.non_negative
        if activation.valid is None:
            return replace(tap, non_negative=non_negative)
        lengths, steps = activation.valid
        return replace(tap, lengths=lengths, masked_axis=steps, joined=False)

    def _tap(
        self,
        value: ir.Value,
        axes: tuple[int, ...],
        statistics: frozenset[str],
        quantization: Quantization | None = None,
        *,
        types: frozenset[ir.DataType] = _FLOATS,
    ) -> Tap:
        if value.shape is None:
            raise CannotLift(_UNKNOWN_RANK)
        if quantization is not None:
            types = types | _QUANTIZED
        if value.dtype is not None and value.dtype not in types:
            raise CannotLift(f"its activation is of type {value.dtype}, which no reduction takes")
        self.bodies.check(value)
        dims = tuple(self.model.dim(dim) for dim in value.shape)
        own = next((i for i, dim in enumerate(dims) if isinstance(self.batch, d.Expr) and dim == self.batch), None)
        tap = Tap(
            value=value,
            dims=dims,
            axes=axes,
            sample_axis=own if own not in axes else None,
            statistics=statistics,
            precise=(value, axes) in self.precise or value.dtype == ir.DataType.DOUBLE,
            quantization=quantization,
        )
        inside = bool(self.bodies.around(value))
        if inside and statistics & {"histogram", "lookups"}:
            raise CannotLift("what is looked up inside of a branch or a loop cannot be brought out")
        if inside and tap.fixed_positions is None:
            tap = replace(tap, precise=True)  # how long it is could not be told in a run
        return tap if inside else self._masked(tap)

    def _masked(self, tap: Tap) -> Tap:
        if self.mask is None:
            return tap
        axis = self.mask.axis_in(tap.dims, tap.axes, tap.sample_axis)
        joined = None
        if axis is None:
            joined = self.mask.joined_axis_in(tap.value, tap.dims, tap.axes, self.model)
        return replace(tap, masked_axis=axis if joined is None else joined, joined=joined is not None)


def _built(plan: _Plan, copy: ir.Model, same: Mapping[ir.Value, ir.Value]) -> dict[Place, Outputs]:
    """Build every tap into `copy`; `same` tells its values from those of the model that was planned on."""
    builder = Builder(copy, copy.opset_imports.setdefault("", 18))
    bodies = Bodies(copy)
    masks = Masks(builder, plan.mask, same[plan.mask.value]) if plan.mask is not None else None
    results: dict[Place, Results] = {}
    # The first layer's tap comes last: onnxruntime orders a graph depth first from its last leaf, so that each
    # activation is reduced, and freed, before the next layer runs.
    for place, tap in reversed(plan.taps.items()):
        value = bodies.current(same[tap.value])
        if not value.name:
            value.name = builder.name()  # an output that the model left out
        if tap.quantization is not None:
            scale, zero = tap.quantization.scale, tap.quantization.zero
            value = builder.dequantized(value, same[scale], None if zero is None else same[zero])
        lengths = bodies.current(same[tap.lengths]) if tap.lengths is not None else None
        built = builder.build(tap, value, lengths, masks)
        results[place] = bodies.lifted(builder, tap, built) if bodies.around(value) else built
    return {place: _outputs(found, bodies, copy.graph) for place, found in results.items()}


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
