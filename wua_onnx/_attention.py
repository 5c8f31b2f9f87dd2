"""The heads of attention in an audit: their JSON, and what `Audit.attention` holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, TypeAlias

import numpy as np

from wua_onnx.importance.circuits import Taking, taking
from wua_onnx.importance.heads import Sums, block_json, sums_in_slabs
from wua_onnx.importance.measured import scored_slabs
from wua_onnx.importance.score import can_score
from wua_onnx.layers import Layers
from wua_onnx.layers.attention import AttentionBlock, find_attention
from wua_onnx.model.graph import Model
from wua_onnx.recording import NeuronStatistics

Array: TypeAlias = np.ndarray[Any, Any]
# Weights of one layer that are in memory together: larger ones are scored, and their heads compared, in slabs.
LARGEST = 2**24
Statistics: TypeAlias = Mapping[str, tuple[NeuronStatistics, ...]]


def describe_attention(model: Model, layers: Layers, statistics: Statistics, criterion: str) -> list[dict[str, Any]]:
    """Return the JSON of every attention of `model`, see `wua_onnx.importance.heads`.

    Args:
        model: the model.
        layers: its layers.
        statistics: what was recorded of each layer, by name.
        criterion: the criterion of importance; where a layer cannot be scored by it, its heads have no importance.
    """
    blocks = find_attention(model, layers.by_name)
    return [_described(block, layers, statistics, criterion) for block in blocks]


def _described(block: AttentionBlock, layers: Layers, statistics: Statistics, criterion: str) -> dict[str, Any]:
    @cache  # a packed projection is asked for once for each of its parts
    def sums(name: str) -> Sums | None:
        layer, recorded = layers.by_name[name], statistics.get(name, ())
        if not can_score(layer, criterion, recorded):
            return None
        return sums_in_slabs(scored_slabs(layer, criterion, recorded, LARGEST), layer.shape, layer.neuron_axis)

    def weights(name: str) -> Taking | None:
        return taking(layers.by_name[name], LARGEST)

    def dead(name: str) -> Array | None:
        fitting = [part.dead(False) for part in statistics.get(name, ()) if part.positions]
        neurons = layers.by_name[name].neurons
        return np.logical_and.reduce(fitting) if fitting and all(each.size == neurons for each in fitting) else None

    return block_json(block, sums, weights, dead)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionAudit:
    """The heads of one attention.

    Attributes:
        name: the path of its module, or the name of its node.
        heads, kv_heads: how many heads of queries, and of keys and values; None where it cannot be said.
        kv_head_of: for each head, the head of keys and values it attends with.
        head_importance: the sum of the importances of each head's weights; None where a part is not mapped or scored.
        entropy: of the heads' shares of it, in nats; `normalized_entropy` = entropy / ln(heads).
        effective: e^entropy, the number of heads that do the work.
        similarity: for each head, the largest cosine with what another head does to what it attends to.
        most_similar: which head that is.
        dead_heads: the heads whose values are 0 on the data; None without data.
        parts: for query, key, value and output: which layer, how many columns or rows are mapped, or why not.
    """

    name: str
    heads: int | None
    kv_heads: int | None
    kv_head_of: tuple[int, ...]
    head_importance: tuple[float, ...] | None
    entropy: float | None
    normalized_entropy: float | None
    effective: float | None
    similarity: tuple[float, ...] | None
    most_similar: tuple[int, ...] | None
    dead_heads: tuple[int, ...] | None
    parts: Mapping[str, list[Mapping[str, Any]]]

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> AttentionAudit:
        """Return what `describe_attention` wrote."""
        known = (field.name for field in fields(cls))
        values: dict[str, Any] = {
            name: tuple(data[name]) if isinstance(data[name], list) else data[name] for name in known
        }
        return cls(**values)
