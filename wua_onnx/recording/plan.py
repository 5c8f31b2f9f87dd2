"""Which activations of a model are recorded, and how."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import replace
from numbers import Integral
from typing import TypeAlias

import onnx_ir as ir

from wua_onnx._text import clean
from wua_onnx.errors import DataError
from wua_onnx.layers import Layer
from wua_onnx.layers.activations import Activation
from wua_onnx.layers.layer import Features
from wua_onnx.layers.quantization import Quantization
from wua_onnx.layers.side import Side
from wua_onnx.model import dims as d
from wua_onnx.model.graph import Model
from wua_onnx.model.symbols import all_values
from wua_onnx.recording.bodies import Bodies, CannotLift
from wua_onnx.recording.masks import Mask
from wua_onnx.recording.taps import Tap
from wua_onnx.running.inputs import batch_symbol

Place: TypeAlias = "tuple[ir.Value, tuple[int, ...]]"  # an activation and the axes of its neurons

STATISTICS = ("mean", "square", "firing", "range", "histogram", "map", "features")
_FLOATS = frozenset({ir.DataType.FLOAT, ir.DataType.DOUBLE, ir.DataType.FLOAT16, ir.DataType.BFLOAT16})
_QUANTIZED = frozenset({ir.DataType.INT8, ir.DataType.UINT8})
_INTEGERS = frozenset({ir.DataType.INT32, ir.DataType.INT64})
_UNKNOWN_RANK = "the rank of its activation is unknown"


class Plan:
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
        self.missing: dict[tuple[str, int], str] = {}
        self.unmasked: dict[str, None] = {}

    def add(self, layer: Layer) -> None:
        """Plan the taps of one layer, or note why one of its uses has none."""
        for index, use in enumerate(layer.uses):
            try:
                tap = self._tap_of_neurons(layer, index)
            except CannotLift as reason:
                self.missing[layer.name, index] = str(reason)
                continue
            self.activations[layer.name, index] = self._wanted(tap)
            if self.mask is not None and tap.masked_axis is None and tap.lengths is None:
                self.unmasked[layer.name] = None
            if "features" in self.statistics and use.features is not None:
                try:
                    square = self._tap_of_features(use.features)
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
            return self._tap(activation.value, (), frozenset({"lookups"}), side=activation.side, types=_INTEGERS)
        function = activation.function
        statistics = (self.statistics - {"features"}) | (
            {"range"} if function is not None and function.smooth else set()
        )
        tap = self._tap(activation.value, activation.axes, statistics, activation.quantization, activation.side)
        non_negative = function is not None and function.non_negative
        if activation.valid is None:
            return replace(tap, non_negative=non_negative)
        lengths, steps = activation.valid
        return replace(tap, lengths=lengths, masked_axis=steps, joined=False)

    def _tap_of_features(self, features: Features) -> Tap:
        side, wanted = features.side, frozenset({"square"})
        if side is not None:
            return self._tap(side.value, side.axes, wanted, side=side)
        return self._tap(features.value, features.axes, wanted, features.quantization)

    def _tap(
        self,
        value: ir.Value,
        axes: tuple[int, ...],
        statistics: frozenset[str],
        quantization: Quantization | None = None,
        side: Side | None = None,
        *,
        types: frozenset[ir.DataType] = _FLOATS,
    ) -> Tap:
        if value.shape is None:
            raise CannotLift(_UNKNOWN_RANK)
        if quantization is not None:
            types = types | _QUANTIZED
        if value.dtype is not None and value.dtype not in types:
            raise CannotLift(f"its activation is of type {value.dtype}, which no reduction takes")
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
            side=side,
        )
        self.bodies.check(tap.inside)
        inside = bool(self.bodies.around(tap.inside))
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
            joined = self.mask.joined_axis_in(tap.inside, tap.dims, tap.axes, self.model)
        return replace(tap, masked_axis=axis if joined is None else joined, joined=joined is not None)


def check_layers(model: Model, layers: Mapping[str, Layer]) -> None:
    """Raise DataError where `layers` are not those of `model`: of another load of the same file, say."""
    known = set(all_values(model.ir_model))
    for name, layer in layers.items():
        if any(_value_of_the_model(activation) not in known for activation in layer.activations):
            raise DataError(
                f"layers: {clean(name)!r}: expected a layer found in the model that is recorded, got one of another: "
                "give the recorder the loaded model that they were found in"
            )


def _value_of_the_model(activation: Activation) -> ir.Value | None:
    return activation.value if activation.side is None else activation.side.inputs[0]


def checked(statistics: Iterable[str]) -> frozenset[str]:
    """Return what is recorded where `statistics` are asked for; DataError where one is not known."""
    wanted = frozenset((statistics,) if isinstance(statistics, str) else statistics)
    unknown = sorted(wanted - set(STATISTICS))
    if unknown:
        raise DataError(f"statistics: expected some of {', '.join(STATISTICS)}, got {', '.join(map(repr, unknown))}")
    return wanted | {"mean"}


def check_settings(batch_size: object, activation: str) -> None:
    """Raise DataError where the size of a batch or the place of the neurons makes no sense."""
    if batch_size is not None and not (isinstance(batch_size, Integral) and int(batch_size) >= 1):
        raise DataError(f"batch_size: expected a whole number, at least 1, got {batch_size!r}")
    if activation not in ("post", "pre"):
        raise DataError(f"activation: expected 'post' or 'pre', got {activation!r}")
