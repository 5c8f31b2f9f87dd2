"""How alike the heads of an attention are: what each does to what it attends to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import numpy as np

from wua_onnx.importance.ranking import Array
from wua_onnx.layers import Layer
from wua_onnx.layers.chunks import read_slab, slabs

# Returns what lies at some indices along an axis of a weight: its columns (axis 1) or rows (axis 0).
Taking: TypeAlias = Callable[[Array, int], Array]
MOST = 2**20  # columns and rows of heads that are multiplied together, times each other


def circuit_similarity(
    value: Taking, columns: Sequence[Array], output: Taking, rows: Sequence[Array], most: int = MOST
) -> Array | None:
    """Return the cosine between what each two heads do to what they attend to, shape (heads, heads).

    Head h writes x · V_h · O_h for every position x it attends to; the cosine is that between the matrices V_h · O_h
    in the Frobenius inner product. It does not change when V_h is scaled or turned and O_h is scaled or turned back,
    as cosines of the weights alone would. <V_g O_g, V_h O_h> = sum((V_gᵀ V_h) ∘ (O_g O_hᵀ)), so that the matrices
    themselves, (in, out) for each head, are never made. Takes columns² · (in + out) / 2 multiplications.

    Source: Elhage et al., "A Mathematical Framework for Transformer Circuits", 2021 (the OV circuit).

    Args:
        value: takes columns of the canonical weight of the values, shape (in, columns).
        columns: those of each head.
        output: takes rows of the canonical weight of the output projection, shape (rows, out).
        rows: those of each head.
        most: products of a column and another that are in memory at once, or those of one head.

    Returns:
        None where a head has another number of columns than of rows. In the precision of the weights.
    """
    sizes = [part.size for part in columns]
    if not sizes or 0 in sizes or sizes != [part.size for part in rows]:
        return None
    products = np.zeros((len(sizes), len(sizes)))
    groups = list(_groups(sizes, most))

    def parts(group: slice) -> tuple[Array, Array]:
        return value(np.concatenate(columns[group]), 1), output(np.concatenate(rows[group]), 0)

    for place, first in enumerate(groups):
        v, o = parts(first)
        for second in groups[place:]:
            w, p = (v, o) if second is first else parts(second)
            both = (v.T @ w) * (o @ p.T)
            inner = np.add.reduceat(both, _starts(sizes[second]), axis=1, dtype=np.float64)
            products[first, second] = np.add.reduceat(inner, _starts(sizes[first]), axis=0)
            products[second, first] = products[first, second].T
    norms = np.sqrt(np.maximum(np.diag(products), 0.0))
    scale = np.outer(norms, norms)
    return np.asarray(np.divide(products, scale, out=np.zeros_like(products), where=scale > 0))


def _groups(sizes: Sequence[int], most: int) -> Iterator[slice]:
    """Yield heads that are taken together: as many as have `most` products with each other."""
    start, taken = 0, 0
    for head, size in enumerate(sizes):
        if head > start and (taken + size) ** 2 > most:
            yield slice(start, head)
            start, taken = head, 0
        taken += size
    yield slice(start, len(sizes))


def _starts(sizes: Sequence[int]) -> list[int]:
    return [0, *np.cumsum(sizes)[:-1].tolist()]


def taking(layer: Layer, most: int) -> Taking | None:
    """Return what takes columns and rows of a layer's weight, reading at most `most` weights at once.

    None for a weight that is no matrix, or larger than that and only read whole.
    """
    if len(layer.shape) != 2:
        return None
    if layer.size <= most:
        weight = layer.weight()
        return lambda indices, axis: weight.take(indices, axis)
    if slabs(layer, most) is None:
        return None
    return lambda indices, axis: _taken(layer, indices, axis, most)


def _taken(layer: Layer, indices: Array, axis: int, most: int) -> Array:
    taken = np.empty([indices.size if i == axis else size for i, size in enumerate(layer.shape)], np.float32)
    for slab in slabs(layer, most) or ():
        wanted = (indices >= slab.start) & (indices < slab.stop)
        if slab.axis != axis:
            taken[_at(slab.axis, slice(slab.start, slab.stop))] = read_slab(layer, 0, slab)[0].take(indices, axis)
        elif wanted.any():
            taken[_at(axis, wanted)] = read_slab(layer, 0, slab)[0].take(indices[wanted] - slab.start, axis)
    factor = np.broadcast_to(layer.factors[0], layer.neurons).astype(np.float32)
    if layer.neuron_axis == axis:
        factor = factor[indices]
    taken *= factor[:, None] if layer.neuron_axis == 0 else factor
    return taken


def _at(axis: int, chosen: slice | Array) -> tuple[slice | Array, ...]:
    return (*[slice(None)] * axis, chosen)
