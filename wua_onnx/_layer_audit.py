"""`LayerAudit`: what an audit says of one layer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

from wua_onnx._neurons import Neurons
from wua_onnx.errors import WuaError
from wua_onnx.importance import LayerMetrics, get, neuron_importance
from wua_onnx.importance.gates import Gate
from wua_onnx.importance.score import combined_mean, score
from wua_onnx.layers import Layer
from wua_onnx.recording import NeuronStatistics

Array: TypeAlias = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class LiveLayer:
    """What the big arrays of a layer are computed from; absent in an audit read from JSON."""

    layer: Layer
    statistics: tuple[NeuronStatistics, ...]


class _Scores(Mapping[str, Array]):
    """The scores of a layer by criterion, computed when asked for and not kept."""

    def __init__(self, owner: LayerAudit) -> None:
        self._owner = owner

    def __getitem__(self, criterion: str) -> Array:
        if criterion not in self._owner.metrics_by:
            raise KeyError(criterion)
        live = self._owner._live_or_raise("scores")
        return score(live.layer, criterion, live.statistics if get(criterion).needs else ())

    def __iter__(self) -> Iterator[str]:
        return iter(self._owner.metrics_by)

    def __len__(self) -> int:
        return len(self._owner.metrics_by)


class LayerAudit:
    """One layer of an audit. Big arrays are computed when asked for and never kept.

    Attributes:
        name: unique and stable; the module path where the exporter left one.
        kind: dense, convolution, …
        nodes: names of the operators that use the weight.
        module: path of the module that owns the first of them; None where the exporter left none.
        module_class: its class, with its package where the exporter tells it (`torch.nn.modules.linear.Linear`).
        source: `file:line` of the author's code that called it; None where the exporter left none.
        folded: path of the batch normalisation whose scale is in the weights; None where none is known.
        uses: how many operators that is.
        weight_shape: of the canonical weight: dense (in, out), convolution (out, in / groups, ...).
        neuron_axis: the axis of it along which neurons lie.
        neurons: the neurons (see `Neurons`); `len(layer.neurons)` is their number.
        macs: multiply-accumulates per run; an integer, or a SymPy expression while dimensions are free. Inside of a
            loop those of every trip, inside of a branch those of taking it; None where the count says nothing of it.
        activation: the activation function that was found; None for a linear layer.
        metrics_by: `LayerMetrics` by criterion, each with `.baseline`, the same metrics of an untrained layer.
    """

    def __init__(self, data: Mapping[str, Any], macs: Any, live: LiveLayer | None = None) -> None:
        self._data, self._live = data, live
        self.name: str = data["name"]
        self.kind: str = data["kind"]
        self.nodes: tuple[str, ...] = tuple(data["nodes"])
        self.module: str | None = data.get("module")
        self.module_class: str | None = data.get("module_class")
        self.source: str | None = data.get("source")
        self.folded: str | None = data.get("folded")
        self.uses: int = data["uses"]
        self.weight_shape: tuple[int, ...] = tuple(data["weight_shape"])
        self.neuron_axis: int = data["neuron_axis"]
        self.neurons = Neurons(self, data["neurons"])
        self.macs = macs
        self.activation: str | None = data["activation"]

    @cached_property
    def metrics_by(self) -> Mapping[str, LayerMetrics]:
        """Metrics by criterion."""
        return {
            name: LayerMetrics.from_dict(
                part["metrics"], None if part["baseline"] is None else LayerMetrics.from_dict(part["baseline"])
            )
            for name, part in self._data["criteria"].items()
        }

    @property
    def metrics(self) -> LayerMetrics:
        """Metrics of the first criterion."""
        return next(iter(self.metrics_by.values()))

    @property
    def gates(self) -> tuple[Gate, ...]:
        """The gates of a recurrent layer by the first criterion; none for other kinds."""
        first: Mapping[str, Any] = next(iter(self._data["criteria"].values()), {})
        return tuple(Gate(**gate) for gate in first.get("gates", ()))

    @property
    def scores(self) -> Mapping[str, Array]:
        """Importance of every weight by criterion, in the shape of `weight_shape`; raises WuaError after from_json."""
        return _Scores(self)

    @property
    def importance(self) -> Array:
        """Scores of the first criterion."""
        return self.scores[next(iter(self.metrics_by))]

    @property
    def weight(self) -> Array:
        """The canonical weight with its per-neuron scales; raises WuaError for an audit read from JSON."""
        return self._live_or_raise("weight").layer.weight()

    @property
    def mean_activation(self) -> Array | None:
        """Mean |a| of each neuron, shape (neurons,); None where nothing was recorded."""
        live = self._live_or_raise("mean_activation")
        return combined_mean(live.layer, live.statistics) if live.statistics else None

    @property
    def neuron_importance(self) -> Array:
        """Sum of the importances of each neuron's weights, shape (neurons,)."""
        return neuron_importance(self.importance, self.neuron_axis)

    @property
    def dead_neurons(self) -> tuple[int, ...] | None:
        """Indices of the dead neurons; None where it cannot be said."""
        dead = self._data["dead"]
        return None if dead is None else tuple(dead)

    def _live_or_raise(self, what: str) -> LiveLayer:
        if self._live is None:
            raise WuaError(f"layer {self.name!r}: {what}: big arrays are not in an audit's JSON: run analyze() again")
        return self._live

    def __repr__(self) -> str:
        shape = "×".join(map(str, self.weight_shape))
        return f"<LayerAudit {self.name!r} {self.kind} {shape} utilization={self.metrics.utilization:.3f}>"
