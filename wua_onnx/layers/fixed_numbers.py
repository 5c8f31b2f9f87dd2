"""Integers that a graph computes from shapes, and that are the same on every run although other dimensions are free.

PyTorch's TorchScript exporter cuts the packed projections of cross-attention at a third of `Shape(x)[-1]`. What is cut
out of a weight at such places is a weight, too, as if the places were constants.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from wua_onnx.layers.moves import MOVES
from wua_onnx.layers.sizes import Sizes
from wua_onnx.model.graph import Model

_SIZES = 1, 7  # of free dimensions: what is the same for both does not depend on them


def with_fixed_numbers(model: Model) -> Model:
    """Return `model` with the integers that decide how its weights are cut and shaped taken for constants."""
    fixed = set(_found(model))
    return model.with_fixed(frozenset(fixed)) if fixed else model


def _found(model: Model) -> Iterator[ir.Value]:
    known, sizes = set(model.constants), [Sizes(model, size) for size in _SIZES]
    for node in model.all_nodes():
        given = [value for value in node.inputs if value is not None]
        if not given or given[0] not in known or any(output in known for output in node.outputs):
            continue
        rest = [value for value in given[1:] if value not in known]
        if node.op_type in MOVES and node.op_type != "Concat" and not node.domain:
            if not all(_is_fixed(value, sizes) for value in rest):
                continue
            yield from rest
        elif rest or any(attribute.type == ir.AttributeType.GRAPH for attribute in node.attributes.values()):
            continue
        known.update(node.outputs)


def _is_fixed(value: ir.Value, sizes: list[Sizes]) -> bool:
    first, second = (each.numbers(value) for each in sizes)
    return first is not None and second is not None and first.shape == second.shape and bool((first == second).all())
