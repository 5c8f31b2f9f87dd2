"""The short functions of the original library, with the same meaning, for every kind of model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from wua_onnx._audit import analyze
from wua_onnx._audit import cost as count_cost
from wua_onnx._files import write_bytes, write_text
from wua_onnx._layer_audit import LayerAudit
from wua_onnx.diagrams import dot, draw
from wua_onnx.diagrams.neurons import DenseLayer, network_json
from wua_onnx.errors import DataError, OutputError, WuaError
from wua_onnx.importance import layer_metrics, neuron_importance

if TYPE_CHECKING:
    import graphviz

Array: TypeAlias = np.ndarray[Any, Any]


def print_flops_report(model: Any, nb_epochs: int = 1, dataset: Any = None, *, factor: float | None = None) -> None:
    """Print what a forward pass costs, per operator, and what a training over `dataset` costs.

    Args:
        model: as for `analyze`.
        nb_epochs: how often training sees each sample.
        dataset: the training data (as X for `analyze`), or the number of its samples; None for one sample.
        factor: backward as a multiple of forward (2 is the usual rule of thumb) instead of counting each operator.

    Raises:
        WuaError: as `cost` does, or a dimension stays free.
    """
    from wua_onnx.report.training import print_training

    is_number = isinstance(dataset, int)
    report = count_cost(model, None if is_number else dataset)
    samples = int(dataset) if is_number else _samples(dataset) if dataset is not None else 1
    free = report.symbols
    if len(free) == 1:  # the batch is what a static model leaves free: figures are per sample
        report = report.at({free[0]: 1})
    training = report.training(samples=samples, epochs=nb_epochs, factor=factor)
    print_training(report, training)


def _samples(dataset: Any) -> int:
    if isinstance(dataset, tuple):
        return _samples(dataset[0])
    if isinstance(dataset, dict):
        return _samples(next(iter(dataset.values())))
    if isinstance(dataset, str | Path):
        with np.load(dataset, allow_pickle=False) as loaded:
            return len(loaded if isinstance(loaded, np.ndarray) else loaded[loaded.files[0]])
    try:
        return len(dataset.dataset if hasattr(dataset, "dataset") else dataset)
    except TypeError as error:
        raise DataError(f"dataset: expected data of known length, got {type(dataset).__name__}") from error


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
        share of weights with an importance below 0.01; and every other metric of `LayerMetrics`. The normalized
        importance sums to 1, or is 0 throughout for a dead layer.

    Raises:
        DataError: the shapes differ.
    """
    scores, values = np.asarray(importance), np.asarray(weights)
    if scores.shape != values.shape:
        raise DataError(f"weights: expected the shape of importance, {scores.shape}, got {values.shape}")
    if scores.ndim == 0:
        raise DataError("importance: expected at least one axis, got a single number")
    axis = neuron_axis if neuron_axis is not None else -1 if scores.ndim == 2 else 0
    metrics = layer_metrics(scores, axis)
    total = float(np.nansum(np.where(np.isfinite(scores), scores, 0.0), dtype=np.float64))
    normalized = np.asarray(scores / total if total else np.zeros_like(scores, dtype=np.float64), dtype=np.float64)
    report = {
        "total_weights": metrics.total,
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

    Args:
        normalized_importance: as `generate_report` returns it.
        entropy: of the layer, in nats.
        ax: the Axes to draw into; new ones by default.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    from wua_onnx.report.plots import importance_axes

    values = np.asarray(normalized_importance, dtype=np.float64).reshape(-1)
    return importance_axes(values, f"H = {entropy:.4f} nats, effective weights {math.exp(entropy):,.1f}", ax)


@dataclass(frozen=True, slots=True)
class NetworkDrawing:
    """A neuron diagram. In a notebook it shows itself.

    Attributes:
        digraph: its DOT form.
        left_out: connections that are not drawn.
    """

    digraph: graphviz.Digraph
    left_out: int

    def to_svg(self) -> str:
        """Return the diagram as SVG; raises OutputError where nothing can draw it."""
        drawing = draw.to_svg(self.digraph)
        if drawing.svg is None:
            raise OutputError(f"neuron diagram: {drawing.reason}")
        return drawing.svg

    def save(self, path: str | Path) -> Path:
        """Write the diagram to `path`: .svg, .png or .dot by its suffix.

        Raises:
            OutputError: the suffix is another, nothing can draw it, or the path cannot be written.
        """
        target = Path(path)
        if target.suffix == ".svg":
            write_text(target, self.to_svg())
        elif target.suffix == ".png":
            picture = draw.to_png(self.digraph)
            if picture.png is None:
                raise OutputError(f"neuron diagram: {picture.reason}")
            write_bytes(target, picture.png)
        elif target.suffix == ".dot":
            write_text(target, self.digraph.source)
        else:
            raise OutputError(f"{target}: expected a name ending in .svg, .png or .dot, got {target.suffix!r}")
        return target

    def _repr_svg_(self) -> str:
        return self.to_svg()


def show(
    model: Any,
    X: Any = None,
    *,
    path: str | Path | None = None,
    threshold: float = 0.1,
    max_neurons: int = 24,
) -> NetworkDrawing:
    """Draw the neurons of a model's dense layers: lines as thick as |weight|, red above `threshold`, gray below.

    Wide layers keep their strongest neurons and connections, and the drawing says how many are left out. Of a model
    with other layers, the longest run of dense layers that follow each other is drawn.

    Args:
        model: as for `analyze`.
        X: data, to mark dead neurons.
        path: where to save the drawing (.svg, .png or .dot); not saved by default.
        threshold: |weight| above which a line is red.
        max_neurons: circles per layer.

    Raises:
        WuaError: the model has no dense layer, or `path` cannot be written.
    """
    audit = analyze(model, X)
    run = _longest_run(list(audit.layers.values()))
    if not run:
        raise WuaError(f"show: expected a model with dense layers, got {audit.model['name']!r} without any")
    diagram = network_json([_dense(layer) for layer in run], max_neurons=max_neurons, threshold=threshold)
    drawing = NetworkDrawing(dot.network(diagram), diagram["left_out"])
    if path is not None:
        drawing.save(path)
    return drawing


def _longest_run(layers: Sequence[LayerAudit]) -> list[LayerAudit]:
    best: list[LayerAudit] = []
    run: list[LayerAudit] = []
    for layer in layers:
        follows = bool(run) and layer.kind == "dense" and layer.weight_shape[0] == run[-1].weight_shape[1]
        run = [*run, layer] if follows else [layer] if layer.kind == "dense" else []
        best = run if len(run) > len(best) else best
    return best


def _dense(layer: LayerAudit) -> DenseLayer:
    dead = np.zeros(layer.neurons, dtype=bool)
    dead[list(layer.dead_neurons or ())] = True
    return layer.name, layer.weight, layer.mean_activation, dead
