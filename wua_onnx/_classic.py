"""The short functions of the original library, with the same meaning, for every kind of model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from wua_onnx._audit import analyze
from wua_onnx._layer_audit import LayerAudit
from wua_onnx._sources import opened, with_sample
from wua_onnx.cost.energy import Constants
from wua_onnx.diagrams import dot
from wua_onnx.diagrams.diagram import Diagram, form_of
from wua_onnx.diagrams.from_audit import feeds
from wua_onnx.diagrams.neurons import DenseLayer, network_json
from wua_onnx.errors import DataError, WuaError
from wua_onnx.importance import layer_metrics, neuron_importance
from wua_onnx.layers import Layer
from wua_onnx.model.load import Dims

Array: TypeAlias = np.ndarray[Any, Any]


def print_flops_report(
    model: Any,
    nb_epochs: int = 1,
    dataset: Any = None,
    *,
    dims: Dims | None = None,
    factor: float | None = None,
    optimizer: str | None = None,
    batch_size: int | None = None,
    energy: Constants | None = None,
) -> None:
    """Print what a forward pass costs, per operator, what a training over `dataset` costs, and their energy.

    A batch symbol that is the only free one counts as 1.

    Args:
        model: as for `analyze`.
        nb_epochs: how often training sees each sample.
        dataset: the training data (as X for `analyze`), or the number of its samples; None for one sample.
        dims: values of symbolic dimensions, or shapes by input name, where no data tell them.
        factor: backward as a multiple of forward (2 is the usual rule of thumb) instead of counting each operator.
        optimizer: "sgd", "momentum" or "adam", to count its steps too.
        batch_size: samples of a step of the optimizer.
        energy: constants of `wua_onnx.cost.energy.energy` to use instead of its defaults, such as
            `{"grams_per_kwh": 56}`; `watts` and `seconds` are those of the training.

    Raises:
        WuaError: as `cost` does, a dimension stays free, or a number of samples or epochs is below 0.
    """
    from wua_onnx.report.training import print_training

    number = isinstance(dataset, int | np.integer) and not isinstance(dataset, bool)
    samples, X = (int(dataset), None) if number else (1, dataset)
    X, sample = with_sample(X)
    with opened(model, sample, dims) as source:
        data = source.data(X, None, 0) if X is not None else None
        report = source.cost(dims, data, 0)
        if data is not None:
            samples = data.samples or sum(batch.samples for batch in data.batches(1024))
    for name, value in (("nb_epochs", nb_epochs), ("dataset", samples)):
        if value < 0:
            raise DataError(f"print_flops_report: {name}: expected a number >= 0, got {value}")
    training = report.training(
        samples=samples, epochs=nb_epochs, factor=factor, optimizer=optimizer, batch_size=batch_size
    )
    print_training(report.per_sample(), training, energy or {})


def compute_weight_importance(
    model: Any, X: Any = None, compute_activations: bool = True
) -> list[tuple[Array, Array, str]]:
    """Return (importance, weights, name) of every layer; both arrays in canonical order.

    Args:
        model: as for `analyze`.
        X: data; without it, or without activations, importance is |w|.
        compute_activations: whether importance is |w|·mean|a| rather than |w|.

    Raises:
        WuaError: as `analyze` does.
    """
    audit = analyze(model, X, compute_activations=compute_activations)
    return [(layer.importance, layer.weight, name) for name, layer in audit.layers.items()]


def generate_report(importance: Any, weights: Any, neuron_axis: int | None = None) -> tuple[dict[str, Any], Array]:
    """Return (report, normalized importance) of one layer.

    Args:
        importance: of every weight, >= 0.
        weights: of the same shape.
        neuron_axis: along which neurons lie; the last for matrices, the first otherwise.

    Returns:
        The report: `total_weights`; `nodes`, the number of neurons; `entropy` in nats; `effective_weights`;
        `top_90_contribution`, the smallest share of weights that holds 90 % of the importance; `low_weights`, the
        share of weights with an importance below 0.01; `neuron_importance`, shape (neurons,); `non_finite`, how many
        importances are NaN or infinite and left out of the rest; and the other metrics of `LayerMetrics`.
        The normalized importance, float64 of the same shape, sums to 1, or is 0 throughout for a dead layer;
        non-finite values stay in it as they are.

    Raises:
        WuaError: the shapes differ, an importance is negative or no number, or there is no such axis.
    """
    scores, values = np.asarray(importance), np.asarray(weights)
    if scores.shape != values.shape:
        raise DataError(f"weights: expected the shape of importance, {scores.shape}, got {values.shape}")
    if scores.ndim == 0:
        raise DataError("importance: expected at least one axis, got a single number")
    axis = neuron_axis if neuron_axis is not None else -1 if scores.ndim == 2 else 0
    metrics = layer_metrics(scores, axis)
    normalized: Array = scores.astype(np.float64) / (metrics.sum or 1.0)
    report = {
        "total_weights": metrics.total,
        "non_finite": metrics.non_finite,
        "nodes": scores.shape[axis],
        "entropy": metrics.entropy,
        "effective_weights": metrics.effective,
        "top_90_contribution": metrics.coverage[0.9],
        "low_weights": metrics.sparsity[0.01],
        "utilization": metrics.utilization,
        "redundancy": metrics.redundancy,
        "normalized_entropy": metrics.normalized_entropy,
        "gini": metrics.gini,
        "sparsity": dict(metrics.sparsity),
        "relative_sparsity": dict(metrics.relative_sparsity),
        "coverage": dict(metrics.coverage),
        "neuron_importance": neuron_importance(scores, axis),
    }
    return report, normalized


def print_report(report: dict[str, Any]) -> None:
    """Print a report of `generate_report` as an aligned table."""
    from wua_onnx.report.training import print_layer_report

    print_layer_report(report)


def plot_importance_histogram(normalized_importance: Any, entropy: float, ax: Any = None) -> Any:
    """Plot how the importance is spread over the weights; return the matplotlib Axes.

    A notebook shows the plot; in a script, follow with `ax.figure.savefig("importance.svg")` or pyplot's `show()`.

    Args:
        normalized_importance: as `generate_report` returns it.
        entropy: of the layer, in nats.
        ax: the Axes to draw into; those of a new pyplot figure by default.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    from wua_onnx.report.plots import importance_axes

    values = np.asarray(normalized_importance, dtype=np.float64).reshape(-1)
    effective = math.exp(entropy) if values.any() else 0.0
    return importance_axes(values, f"H = {entropy:.4f} nats, {effective:,.1f} effective weights of {values.size:,}", ax)


def show(
    model: Any,
    X: Any = None,
    *,
    path: str | Path | None = None,
    threshold: float = 0.1,
    max_neurons: int = 24,
    pathways: int = 3,
) -> Diagram:
    """Draw the neurons of a model's dense layers: lines as thick as |weight|, red above `threshold`, gray below.

    The strongest pathways from input to output are blue, dead neurons crossed. Wide layers keep their strongest neurons
    and connections, and the drawing says how many are left out. Of a model with other layers or branches, the longest
    run of dense layers that follow each other is drawn.

    Args:
        model: as for `analyze`.
        X: data, to mark dead neurons.
        path: where to save the drawing (.svg, .png, .dot or .gv); not saved by default.
        threshold: |weight| above which a line is red.
        max_neurons: circles per layer.
        pathways: how many pathways are blue: those with the largest product of |w|·mean|a|, or of |w| without X.

    Returns:
        The diagram, a `graphviz.Digraph`; `left_out` says how many connections are not drawn.

    Raises:
        WuaError: a number is below what makes sense, the model has no dense layer, or `path` cannot be written.
    """
    if max_neurons < 1 or pathways < 0:
        name, value, least = ("pathways", pathways, 0) if max_neurons >= 1 else ("max_neurons", max_neurons, 1)
        raise WuaError(f"show: {name}: expected at least {least}, got {value}")
    if path is not None:
        form_of(Path(path))
    audit = analyze(model, X)
    run = _longest_run([layer._live_or_raise("show").layer for layer in audit.layers.values()])
    if not run:
        raise WuaError(f"show: expected a model with dense layers, got {audit.model['name']!r} without any")
    stack = [_dense(audit.layers[layer.name]) for layer in run]
    diagram = network_json(stack, max_neurons=max_neurons, threshold=threshold, paths=pathways)
    drawing = dot.network(diagram, with_legend=True)
    if path is not None:
        drawing.write(path)
    return drawing


def _longest_run(layers: Sequence[Layer]) -> list[Layer]:
    """Return the longest run of dense layers of which each has the neurons of the one before as its inputs."""
    found: list[list[Layer]] = []
    for layer in layers:
        if layer.kind == "dense" and len(layer.uses) == 1:
            fits = (run for run in found if run[-1].shape[1] == layer.shape[0] and feeds(run[-1], layer))
            run = next(fits, None)
            if run is None:
                found.append([layer])
            else:
                run.append(layer)
    return max(found, key=len, default=[])


def _dense(layer: LayerAudit) -> DenseLayer:
    dead = np.zeros(len(layer.neurons), dtype=bool)
    dead[list(layer.dead_neurons or ())] = True
    return layer.name, layer.weight, layer.mean_activation, dead
