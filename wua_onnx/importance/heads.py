"""Heads of attention: how important each is, how evenly importance is spread, and which do the same as another.

All functions are pure and take arrays: a canonical weight or its scores, shape (in, out), and the head of each
column or row, -1 for none.

JSON of one block (`block_json`); what is not known is null::

    {"name": str, "node": str, "op": str, "heads": int, "kv_heads": int, "kv_head_of": [int, one for each head],
     "complete": bool,
     "parts": {"query" | "key" | "value" | "output":
         [{"layer": str, "mapped": int, "of": int, "reason": str, "importance": [float, one for each head]}]},
     "head_importance": [float, one for each head], "sum": float,
     "entropy": float, "normalized_entropy": float, "effective": float,
     "similarity": [float, one for each head], "most_similar": [int, one for each head],
     "dead_heads": [int]}
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wua_onnx.importance.circuits import Taking, circuit_similarity
from wua_onnx.importance.metrics import share_entropy
from wua_onnx.importance.ranking import Array
from wua_onnx.layers.chunks import Slab
from wua_onnx.layers.head_maps import AttentionBlock, HeadMap

NONE = -1


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums of the scores of a layer, NaN left out: what is kept of them.

    Attributes:
        neurons: for each neuron (column of a dense layer), over its inputs.
        inputs: for each input (row of a dense layer), over the neurons.
    """

    neurons: Array
    inputs: Array


def sums_of(scores: Array, neuron_axis: int) -> Sums:
    """Return the sums of `scores`, shape of the canonical weight; inputs are the other one of its first two axes."""
    inputs = 1 - neuron_axis
    finite = np.where(np.isnan(scores), 0, scores) if np.isnan(scores).any() else scores
    along = [tuple(other for other in range(scores.ndim) if other != axis) for axis in (neuron_axis, inputs)]
    return Sums(*(np.asarray(finite.sum(axis=axes, dtype=np.float64)) for axes in along))


def sums_in_slabs(scores: Iterable[tuple[Slab, Array]], shape: tuple[int, ...], neuron_axis: int) -> Sums:
    """Return the sums of scores that come in slabs, of a weight of `shape`."""
    total = Sums(np.zeros(shape[neuron_axis]), np.zeros(shape[1 - neuron_axis]))
    for slab, part in scores:
        sums, inside = sums_of(part, neuron_axis), slice(slab.start, slab.stop)
        total.neurons[inside if slab.axis == neuron_axis else slice(None)] += sums.neurons
        total.inputs[inside if slab.axis == 1 - neuron_axis else slice(None)] += sums.inputs
    return total


def head_sums(sums: Array, heads: Array, count: int) -> Array:
    """Return the sum of each head, shape (count,).

    Args:
        sums: one for each column or row.
        heads: the head of each; -1 for none.
        count: how many heads there are.
    """
    kept = heads != NONE
    return np.bincount(heads[kept], sums[kept], minlength=count)


def spread(importance: Array) -> tuple[float, float, float]:
    """Return entropy H in nats, H / ln(heads), and e^H, the number of heads that do the work.

    The same definitions as for the weights of a layer: p = importance / sum; all 0 where the sum is 0.
    """
    total = float(importance.sum())
    if not total > 0 or not math.isfinite(total):
        return 0.0, 0.0, 0.0
    entropy = max(share_entropy(importance), 0.0)
    return entropy, entropy / math.log(importance.size) if importance.size > 1 else 1.0, math.exp(entropy)


def dead_heads(dead_columns: Array, value_heads: Array, count: int) -> list[int]:
    """Return the heads whose values are 0 throughout.

    Args:
        dead_columns: whether each column of the values is dead, shape (columns,).
        value_heads: the head of each column.
        count: how many heads there are.
    """
    return [head for head in range(count) if (own := dead_columns[value_heads == head]).size and bool(own.all())]


def block_json(
    block: AttentionBlock,
    sums: Callable[[str], Sums | None],
    weights: Callable[[str], Taking | None],
    dead: Callable[[str], Array | None],
) -> dict[str, Any]:
    """Return the JSON of one block.

    The importance of a head is the sum over its columns of queries, keys and values and its rows of the output; that
    of keys and values which several heads share is divided equally among them.

    Args:
        block: from `find_attention`.
        sums: of a layer by its name: those of the importances of its weights; None where there are none.
        weights: of a layer by its name: what takes columns or rows of its canonical weight; None where nothing can.
        dead: of a layer by its name: which of its neurons are dead; None where nothing was recorded.
    """
    parts: dict[str, list[dict[str, Any]]] = {}
    total = np.zeros(block.heads or 0)
    scored = block.complete
    for name, maps in block.parts.items():
        parts[name] = []
        for found in maps:
            importance = _importance(block, name, found, sums)
            scored = scored and (found.layer is None or importance is not None)
            total = total if importance is None else total + importance
            parts[name].append(_part_json(found, importance))
    entropy, normalized, effective = spread(total)
    similar = _similarity(block, weights)
    return {
        "name": block.name,
        "node": block.node,
        "op": block.op,
        "heads": block.heads,
        "kv_heads": block.kv_heads,
        "kv_head_of": list(block.kv_head_of),
        "complete": block.complete,
        "parts": parts,
        "head_importance": [float(x) for x in total] if scored else None,
        "sum": float(total.sum()) if scored else None,
        "entropy": entropy if scored else None,
        "normalized_entropy": normalized if scored else None,
        "effective": effective if scored else None,
        **_most_similar(similar),
        "dead_heads": _dead(block, dead),
    }


def _part_json(found: HeadMap, importance: Array | None) -> dict[str, Any]:
    return {
        "layer": found.layer,
        "mapped": found.mapped,
        "of": int(found.heads.size),
        "reason": found.reason,
        "importance": None if importance is None else [float(x) for x in importance],
    }


def _importance(block: AttentionBlock, part: str, found: HeadMap, sums: Callable[[str], Sums | None]) -> Array | None:
    """Return the importance of a part of each head, shape (heads,)."""
    known = sums(found.layer) if found.layer is not None and block.heads else None
    if known is None or not block.heads:
        return None
    if part == "output":
        return head_sums(known.inputs, found.heads, block.heads)
    if part == "query":
        return head_sums(known.neurons, found.heads, block.heads)
    if not block.kv_head_of:
        return None
    shared = head_sums(known.neurons, found.heads, block.kv_heads or block.heads)
    owners = np.array(block.kv_head_of)
    return np.asarray((shared / np.maximum(np.bincount(owners, minlength=shared.size), 1))[owners])


def _one(maps: Sequence[HeadMap]) -> HeadMap | None:
    """Return the only map of a part; None where it is put together from several, or there is none."""
    return maps[0] if len(maps) == 1 and maps[0].layer is not None and maps[0].mapped else None


def _similarity(block: AttentionBlock, weights: Callable[[str], Taking | None]) -> Array | None:
    value, output = _one(block.value), _one(block.output)
    if value is None or output is None or not block.kv_head_of:
        return None
    v, o = weights(value.layer or ""), weights(output.layer or "")
    if v is None or o is None:
        return None
    columns = [np.flatnonzero(value.heads == own) for own in block.kv_head_of]
    rows = [np.flatnonzero(output.heads == head) for head in range(len(columns))]
    return circuit_similarity(v, columns, o, rows)


def _most_similar(similar: Array | None) -> dict[str, list[float] | list[int] | None]:
    if similar is None or len(similar) < 2:
        return {"similarity": None, "most_similar": None}
    others = np.where(np.eye(len(similar), dtype=bool), -np.inf, similar)
    nearest = others.argmax(axis=1)
    return {"similarity": [float(x) for x in others.max(axis=1)], "most_similar": [int(x) for x in nearest]}


def _dead(block: AttentionBlock, dead: Callable[[str], Array | None]) -> list[int] | None:
    value = _one(block.value)
    columns = dead(value.layer or "") if value is not None else None
    if value is None or columns is None or columns.size != value.heads.size:
        return None
    silent = set(dead_heads(columns, value.heads, block.kv_heads or 0))
    return [head for head, own in enumerate(block.kv_head_of) if own in silent]


__all__ = ["Sums", "block_json", "dead_heads", "head_sums", "spread", "sums_of"]
