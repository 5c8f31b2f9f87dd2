"""Attention: which columns of which projection belong to which head.

Blocks are anchored on the operators for attention and on every softmax, or what stands in its place, whose result is
multiplied with a computed tensor. From there the columns of the projections are followed to the operands (`columns`),
and the numbers of heads to the rows of the layer that reads the result (`pushing`). An anchor that cannot be mapped is
listed, with why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from wua_onnx._text import clean
from wua_onnx.layers import attention_operators, attention_products, weightings
from wua_onnx.layers.columns import Columns, sources_of
from wua_onnx.layers.head_maps import PARTS, AttentionBlock, HeadMap, Projections, unmapped
from wua_onnx.layers.layer import Layer
from wua_onnx.layers.moves import Unmoved
from wua_onnx.layers.naming import unique
from wua_onnx.model.graph import Model
from wua_onnx.model.node import NodeView

# What NumPy raises where shapes contradict each other, as they may in a malformed model.
MALFORMED = (ValueError, IndexError, TypeError, RuntimeError, ArithmeticError, MemoryError)
# Sizes of free dimensions that are tried until everything is mapped.
_SIZES = (1, 8, 64)


def find_attention(model: Model, layers: Mapping[str, Layer]) -> tuple[AttentionBlock, ...]:
    """Return every attention of `model`, in file order, those inside of branches and loops too.

    Args:
        model: the model.
        layers: its layers by name, from `find_layers`.
    """
    sources, known = sources_of(layers), Projections(layers)
    nodes = (NodeView(node, model) for node in model.all_nodes())
    found = [block for node in nodes for block in _blocks(node, lambda size: Columns(model, sources, size), known)]
    names = unique(block.name for block in found)
    return tuple(replace(block, name=name) for name, block in zip(names, found, strict=True))


def _blocks(node: NodeView, columns: Callable[[int], Columns], known: Projections) -> Iterator[AttentionBlock]:
    """Yield the attention that is anchored on `node`, if any."""
    if attention_operators.is_attention(node):
        yield _best(node, lambda size: attention_operators.block(node, columns(size), known))
        return
    weighting = weightings.anchor(node)
    if weighting is not None:
        found = _best(node, lambda size: attention_products.block(weighting, columns(size), known))
        if weighting.sure or found.complete:
            yield found


def _best(node: NodeView, attempt: Callable[[int], AttentionBlock]) -> AttentionBlock:
    """Return the first complete attempt, or the one with most parts mapped."""
    best: tuple[int, AttentionBlock] | None = None
    for size in _SIZES:
        try:
            block = attempt(size)
        except (Unmoved, *MALFORMED) as error:
            block = _nothing(node, f"its shapes do not fit ({clean(str(error))})")
        mapped = sum(any(found.mapped for found in maps) for maps in block.parts.values())
        if best is None or mapped > best[0]:
            best = mapped, block
        if block.complete:
            break
    assert best is not None
    return best[1]


def _nothing(node: NodeView, reason: str) -> AttentionBlock:
    name = node.module_name if node.module else node.name
    parts = {part: unmapped(reason) for part in PARTS}
    return AttentionBlock(name=name, node=node.name, op=node.op_type, heads=None, kv_heads=None, kv_head_of=(), **parts)


__all__ = ["AttentionBlock", "HeadMap", "find_attention"]
