"""Weights of dense layers -> JSON of `diagrams.network`: the strongest neurons and lines, and how many are left out."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wua_onnx.diagrams.pathways import MAX_PATHWAYS, Pathway, strongest

Array = NDArray[Any]
DenseLayer = tuple[str, Array, Array | None, Array | None]  # name, weight (in, out), value per neuron, dead mask

MAX_NEURONS, MAX_EDGES, THRESHOLD = 24, 300, 0.1


def network_json(
    layers: Sequence[DenseLayer],
    *,
    max_neurons: int = MAX_NEURONS,
    max_edges: int = MAX_EDGES,
    threshold: float = THRESHOLD,
    paths: int = MAX_PATHWAYS,
) -> dict[str, Any]:
    """Return the neuron diagram of consecutive dense layers.

    The strength of a connection is its importance, |w|·mean|a| of the neuron that it feeds; |w| in a layer without
    values.

    Args:
        layers: per layer its name, weight of shape (in, out), one value per output neuron (or None) and a mask of
            the dead ones (or None). The outputs of one layer are the inputs of the next.
        max_neurons: circles per layer; those of the strongest pathways are kept, then those with the largest sum of
            |weight| on both sides.
        max_edges: lines in the whole drawing beside those of the pathways, shared equally among the layers; the
            largest |weight| are kept.
        threshold: |weight| above which a line is drawn red.
        paths: pathways from input to output, by the product of the strengths along them.

    Raises:
        ValueError: no layer is given, a weight is no matrix, or two neighbours do not fit.
    """
    weights = _checked(layers)
    ways = strongest(_importances(weights, layers), min(paths, max_neurons)) if paths else ()
    kept = [
        _strongest(strength, [way.neurons[k] for way in ways], max_neurons)
        for k, strength in enumerate(_strengths(weights))
    ]
    columns = [_column("input", weights[0].shape[0], kept[0], None, None)]
    edges: list[dict[str, Any]] = []
    for index, (name, _, values, dead) in enumerate(layers):
        columns.append(_column(name, weights[index].shape[1], kept[index + 1], values, dead))
        always = {way.neurons[index : index + 2] for way in ways}
        edges += _edges(index, weights[index], kept[index], kept[index + 1], max_edges // len(layers), always)
    left_out = sum(int(np.count_nonzero(weight)) for weight in weights) - len(edges)
    return {
        "layers": columns, "edges": edges, "left_out": left_out, "threshold": threshold,
        "paths": [_path(way) for way in ways],
    }  # fmt: skip


def _path(way: Pathway) -> dict[str, Any]:
    return {"neurons": list(way.neurons), "share": None if way.share is None else float(f"{way.share:.6g}")}


def _importances(weights: Sequence[Array], layers: Sequence[DenseLayer]) -> list[Array]:
    """Return the strength of every connection; NaN and Inf count as none."""
    found = []
    for weight, (_, _, values, _) in zip(weights, layers, strict=True):
        means = np.ones(weight.shape[1]) if values is None else np.nan_to_num(np.abs(values), posinf=0.0)
        found.append(np.abs(weight) * means)
    return found


def _checked(layers: Sequence[DenseLayer]) -> list[Array]:
    """Return the weights as finite float64: NaN and Inf count as no line."""
    if not layers:
        raise ValueError("neuron diagram: expected at least one dense layer, got none")
    for name, weight, _, _ in layers:
        if weight.ndim != 2:
            raise ValueError(f"neuron diagram: {name!r}: expected a weight of shape (in, out), got {weight.shape}")
    for (_, before, _, _), (name, after, _, _) in pairwise(layers):
        if before.shape[1] != after.shape[0]:
            raise ValueError(f"neuron diagram: {name!r}: expected {before.shape[1]} inputs, got {after.shape[0]}")
    weights = [np.asarray(weight, np.float64) for _, weight, _, _ in layers]
    return [np.where(np.isfinite(weight), weight, 0.0) for weight in weights]


def _strengths(weights: Sequence[Array]) -> list[Array]:
    """Return for each column, the input first, the sum of |weight| on both sides of every neuron."""
    strengths = [np.abs(weights[0]).sum(axis=1)]
    for index, weight in enumerate(weights):
        after = np.abs(weights[index + 1]).sum(axis=1) if index + 1 < len(weights) else 0.0
        strengths.append(np.abs(weight).sum(axis=0) + after)
    return strengths


def _strongest(strength: Array, first: Sequence[int], limit: int) -> Array:
    """Return `limit` indices, ascending: `first`, then those of the largest; the lower index wins a tie."""
    order = np.argsort(-strength, kind="stable").tolist()
    return np.sort(np.array(list(dict.fromkeys([*first, *order]))[:limit], dtype=np.intp))


def _column(name: str, size: int, kept: Array, values: Array | None, dead: Array | None) -> dict[str, Any]:
    neurons = [{"index": int(i), "value": _value(values, i), "dead": bool(dead is not None and dead[i])} for i in kept]
    return {"name": name, "neurons": neurons, "left_out": size - len(neurons)}


def _value(values: Array | None, index: int) -> float | None:
    return float(values[index]) if values is not None and np.isfinite(values[index]) else None


def _edges(
    layer: int, weight: Array, rows: Array, columns: Array, limit: int, always: set[tuple[int, ...]]
) -> list[dict[str, Any]]:
    """Return the heaviest connections between the neurons shown, and those that are `always` shown."""
    shown = weight[np.ix_(rows, columns)]
    order = np.argsort(-np.abs(shown), axis=None, kind="stable")
    places = [divmod(int(flat), len(columns)) for flat in order]
    ends = [(int(rows[i]), int(columns[j]), float(shown[i, j])) for i, j in places if shown[i, j] != 0]
    return [
        {"layer": layer, "from": tail, "to": head, "weight": weight}
        for rank, (tail, head, weight) in enumerate(ends)
        if rank < limit or (tail, head) in always
    ]
