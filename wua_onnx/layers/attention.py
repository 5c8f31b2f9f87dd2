"""Attention: which columns of which projection belong to which head.

Blocks are anchored on the operators for attention and on every softmax whose result is multiplied with a computed
tensor. From there the columns of the projections are followed to the operands (`columns`), and the numbers of heads
to the rows of the layer that reads the result (`pushing`). An anchor that cannot be mapped is listed, with why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from wua_onnx.layers import attention_operators, attention_products, weightings
from wua_onnx.layers.columns import Columns, sources_of
from wua_onnx.layers.head_maps import AttentionBlock, HeadMap
from wua_onnx.layers.layer import Layer
from wua_onnx.layers.naming import unique
from wua_onnx.model.graph import Model, NodeView

# Sizes of free dimensions that are tried until everything is mapped.
_SIZES = (1, 8, 64)


def find_attention(model: Model, layers: Mapping[str, Layer]) -> tuple[AttentionBlock, ...]:
    """Return every attention of `model`, in file order, those inside of branches and loops too.

    Args:
        model: the model.
        layers: its layers by name, from `find_layers`.
    """
    sources = sources_of(layers)
    nodes = (NodeView(node, model) for node in model.all_nodes())
    found = [block for node in nodes for block in _blocks(node, lambda size: Columns(model, sources, size), layers)]
    names = unique(block.name for block in found)
    return tuple(replace(block, name=name) for name, block in zip(names, found, strict=True))


def _blocks(node: NodeView, columns: Callable[[int], Columns], layers: Mapping[str, Layer]) -> Iterator[AttentionBlock]:
    """Yield the attention that is anchored on `node`, if any."""
    if attention_operators.is_attention(node):
        yield _best(attention_operators.block(node, columns(size), layers) for size in _SIZES)
        return
    weighting = weightings.anchor(node)
    if weighting is not None:
        yield _best(attention_products.block(weighting, columns(size), layers) for size in _SIZES)


def _best(attempts: Iterator[AttentionBlock]) -> AttentionBlock:
    """Return the first complete attempt, or the one with most parts mapped."""
    best: tuple[int, AttentionBlock] | None = None
    for block in attempts:
        mapped = sum(any(found.mapped for found in maps) for maps in block.parts.values())
        if best is None or mapped > best[0]:
            best = mapped, block
        if block.complete:
            break
    assert best is not None
    return best[1]


__all__ = ["AttentionBlock", "HeadMap", "find_attention"]
