"""Criteria: what makes one weight more important than another. One small function each, side by side.

A criterion maps a canonical weight (and what was recorded of the layer's neurons) to scores of the weight's own
shape, each >= 0. A new one is one function here under `@criterion`; nothing else has to know of it.

Statistics that a recording can hold:

=========  ==========================================================================================
``mean``   mean of |a_j| over every sample and every other position, in units of the activation; one
           value per neuron
``input``  ‖x_i‖₂ over every sample and position, of what each weight is multiplied with, in units of
           the input; an array that broadcasts against the weight
=========  ==========================================================================================

Which to take. Within the weights of one neuron ``activation`` ranks as ``magnitude`` does, and across layers it
favours late ones, because activations grow with depth: pruning 80 % of all weights of a digit classifier by it left
17 % accuracy, by ``magnitude`` 89 %. To compare weights of different layers take ``activation_normalized`` or
``wanda``, and measure the pruned network before believing any of them.

Scores are float32 where the weight has at most 32 bits, which halves the memory traffic and the time of the sort
that follows; one product rounds by 6e-8 of itself, far below the 1e-5 that audits are compared to. They are float64
for wider weights, and where the products would leave the comfortable range of float32 (1e-20 to 1e30).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wua_onnx.errors import WuaError

Array = NDArray[Any]
Statistics = Mapping[str, Array]
Rule = Callable[[Array, int, Statistics], Array]

# What a recorder calls the statistics that criteria need.
_RECORDED_AS = {"mean": "mean", "input": "features"}
_FLOAT32_RANGE = (1e-20, 1e30)
_NOTHING_RECORDED: Statistics = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion:
    """A registered criterion: call it with a weight, its neuron axis and the statistics of the layer.

    Attributes:
        name: what users type, ``criterion="activation"``.
        needs: names of the statistics it reads; empty when the weight alone is enough.
        rule: the function under the decorator.
    """

    name: str
    needs: tuple[str, ...]
    rule: Rule

    @property
    def summary(self) -> str:
        """First line of the rule's docstring, for tables."""
        return (self.rule.__doc__ or "").strip().partition("\n")[0]

    def __call__(self, weight: Array, neuron_axis: int, statistics: Statistics = _NOTHING_RECORDED) -> Array:
        """Scores of `weight`, same shape, float32 or float64.

        Raises:
            WuaError: `neuron_axis` is no axis of `weight`, a statistic that is needed is absent, or its length is
                not the number of neurons.
        """
        weight = np.asarray(weight)
        axis = axis_of(weight, neuron_axis, f"criterion '{self.name}'")
        for need in self.needs:
            _check_statistic(self.name, need, statistics, weight.shape, axis)
        return self.rule(weight, axis, statistics)


_REGISTRY: dict[str, Criterion] = {}


def criterion(name: str, *, needs: tuple[str, ...] = ()) -> Callable[[Rule], Rule]:
    """Register the function below under `name`; a name that is taken raises WuaError."""

    def register(rule: Rule) -> Rule:
        if name in _REGISTRY:
            raise WuaError(f"criterion '{name}': expected a name not yet registered, got it a second time")
        _REGISTRY[name] = Criterion(name=name, needs=needs, rule=rule)
        return rule

    return register


def criterion_names() -> tuple[str, ...]:
    """Names of all criteria, in the order of registration: the default comes first."""
    return tuple(_REGISTRY)


def get(name: str) -> Criterion:
    """The criterion called `name`; WuaError, listing the known ones, when there is none."""
    if name not in _REGISTRY:
        raise WuaError(f"criterion: expected one of {', '.join(criterion_names())}, got {name!r}")
    return _REGISTRY[name]


def recorded_for(names: Iterable[str]) -> frozenset[str]:
    """Which statistics a recorder has to be asked for, so that these criteria can be computed."""
    return frozenset(_RECORDED_AS[need] for name in names for need in get(name).needs)


def axis_of(array: Array, axis: int, where: str) -> int:
    """`axis` counted from the front; WuaError, beginning with `where`, when `array` has no such axis."""
    if not -array.ndim <= axis < array.ndim:
        raise WuaError(f"{where}: expected a neuron axis of an array of shape {array.shape}, got {axis}")
    return axis % array.ndim


@criterion("activation", needs=("mean",))
def _activation(weight: Array, neuron_axis: int, statistics: Statistics) -> Array:
    """|w_ij| · mean|a_j|: how strong a weight is, times how active its neuron is.

    Source: the measure of the weight-usage library for multilayer perceptrons that this one grew out of.
    Invariant to: the signs of weights and activations; the scale of X up to one common factor where the layers are
    homogeneous (which all metrics but the absolute sparsity divide out).
    Not invariant to: scaling a ReLU unit by c and its outgoing weights by 1/c (its incoming weights gain c²), nor
    comparable across layers, since activations grow with depth.
    """
    return _times(weight, _along(statistics["mean"], weight, neuron_axis))


@criterion("magnitude")
def _magnitude(weight: Array, neuron_axis: int, statistics: Statistics) -> Array:
    """|w_ij|: the size of the weight, whatever the data.

    Source: Han, Pool, Tran, Dally, "Learning both Weights and Connections for Efficient Neural Networks", 2015.
    Invariant to: the signs of weights, the data, the scale of X.
    Not invariant to: scaling a ReLU unit by c and its outgoing weights by 1/c (its incoming weights gain c).
    """
    return _absolute(weight)


@criterion("activation_normalized", needs=("mean",))
def _activation_normalized(weight: Array, neuron_axis: int, statistics: Statistics) -> Array:
    """|w_ij| · mean|a_j| / mean over the layer's neurons of mean|a|: activation, made comparable across layers.

    Source: as `activation`; the division takes out that activations grow with depth.
    Invariant to: the signs of weights and activations; the scale of X where the layers are homogeneous.
    Not invariant to: scaling one ReLU unit by c and its outgoing weights by 1/c.
    """
    mean = np.asarray(statistics["mean"], dtype=np.float64)
    finite = mean[np.isfinite(mean)]
    typical = float(finite.mean()) if finite.size else 0.0
    return _times(weight, _along(mean / typical if typical > 0 else mean, weight, neuron_axis))


@criterion("wanda", needs=("input",))
def _wanda(weight: Array, neuron_axis: int, statistics: Statistics) -> Array:
    """|w_ij| · ‖x_i‖₂: how strong a weight is, times how large what it is multiplied with.

    Source: Sun, Liu, Bair, Kolter, "A Simple and Effective Pruning Approach for Large Language Models", 2023. The norm
    is over all samples and positions; for a convolution over those of the input channel, for an embedding over the
    lookups of the row, for recurrent weights over the states before each step.
    Invariant to: the signs of weights and inputs; the scale of X up to one common factor; scaling a ReLU unit by c and
    its outgoing weights by 1/c leaves the scores of the outgoing weights as they are.
    Not invariant to: the number of samples (all scores grow alike); the same rescaling for the incoming weights, which
    gain c.
    """
    return _times(weight, np.asarray(statistics["input"], dtype=np.float64))


def _along(values: Any, weight: Array, axis: int) -> Array:
    """One value per neuron as an array that broadcasts against `weight`."""
    shape = [1] * weight.ndim
    shape[axis] = -1
    return np.asarray(values, dtype=np.float64).reshape(shape)


def _times(weight: Array, factors: Array) -> Array:
    """|weight| · factors, of a type that holds it."""
    scores = _absolute(weight, largest_factor=float(np.fmax.reduce(factors, axis=None, initial=0.0)))
    with np.errstate(invalid="ignore"):  # 0 · inf: counted as not finite by the metrics
        scores *= factors.astype(scores.dtype)
    return scores


def _absolute(weight: Array, largest_factor: float = 1.0) -> Array:
    """|weight| in a new array, of a type that holds its product with factors up to `largest_factor`."""
    if weight.dtype.kind in "cOSUMm":
        raise WuaError(f"weight of shape {weight.shape}: expected real numbers, got {weight.dtype}")
    dtype = np.result_type(weight.dtype, np.float32)
    if dtype != np.float32:
        return np.abs(weight, dtype=np.float64)
    scores = np.abs(weight, dtype=np.float32)
    peak = float(np.fmax.reduce(scores, axis=None, initial=0.0)) * largest_factor
    low, high = _FLOAT32_RANGE
    return scores if peak == 0.0 or low < peak < high else scores.astype(np.float64)


def _check_statistic(name: str, need: str, statistics: Statistics, shape: tuple[int, ...], axis: int) -> None:
    if need not in statistics:
        recorded = ", ".join(statistics) or "nothing"
        raise WuaError(f"criterion '{name}': expected the statistic '{need}' of the neurons, got {recorded}")
    got = np.shape(statistics[need])
    if need != "input" and got != (shape[axis],):
        raise WuaError(f"criterion '{name}': expected '{need}' of shape ({shape[axis]},), got {got}")
    if need == "input" and (
        len(got) != len(shape) or any(n not in (1, size) for n, size in zip(got, shape, strict=True))
    ):
        raise WuaError(f"criterion '{name}': expected 'input' to broadcast against {shape}, got {got}")
