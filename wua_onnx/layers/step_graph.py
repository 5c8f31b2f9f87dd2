"""What the steps of recurrences in a model share, and what their values are computed from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import onnx_ir as ir

from wua_onnx.layers.elementwise import EVALUATE
from wua_onnx.layers.gate_products import COPIES, GateProduct, moved_from
from wua_onnx.layers.loop_weights import starts_of
from wua_onnx.layers.moves import MOVES
from wua_onnx.layers.sizes import Sizes
from wua_onnx.model.graph import Model
from wua_onnx.model.node import NodeView

SUMS = frozenset({"Add", "Sub", "Sum"})
_MOST_BEHIND = 48  # values that another gate is computed from


class Graph:
    """What steps share: the products of a model, the order of its operators, and what its loops are given."""

    def __init__(self, model: Model, sizes: Sizes, products: Mapping[ir.Node, GateProduct]) -> None:
        self.model, self.sizes, self.products = model, sizes, products
        self.order: dict[ir.Node, int] = {}
        self.scanned: dict[ir.Value, tuple[ir.Value, int]] = {}
        for place, node in enumerate(model.all_nodes()):
            self.order[node] = place
            if node.op_type == "Scan":
                self.scanned |= _scanned(NodeView(node, model))

    def leads_to_a_product(self, value: ir.Value) -> bool:
        """Return whether `value` is made of products with constants, moved, added and shifted by constants alone."""
        pending, seen = [value], {value}
        while pending and len(seen) < _MOST_BEHIND:
            latest = moved_from(pending.pop())
            node = latest.producer()
            if latest in self.scanned:
                behind = [self.scanned[latest][0]]
            elif node is None:
                return False
            elif node in self.products:
                continue
            else:
                behind = [each for each in node.inputs if each is not None and each not in self.model.constants]
                if node.op_type not in SUMS or not behind:
                    return False
            pending.extend(each for each in behind if each not in seen)
            seen.update(behind)
        return not pending

    def is_computed_with(self, value: ir.Value, operand: ir.Value) -> bool:
        """Return whether `value` is computed elementwise from products alone, one of them with `operand`."""
        pending, seen, operands = [value], {value}, set[ir.Value]()
        while pending and len(seen) < _MOST_BEHIND:
            latest = pending.pop()
            node = latest.producer()
            if node is not None and node in self.products:
                operands.add(moved_from(self.products[node].operand))
                continue
            if node is None or not is_elementwise(NodeView(node, self.model)):
                return False
            behind = [v for v in node.inputs if v is not None and v not in self.model.constants and v not in seen]
            seen.update(behind)
            pending.extend(behind)
        return not pending and operand in operands


def _scanned(node: NodeView) -> Iterator[tuple[ir.Value, tuple[ir.Value, int]]]:
    """Yield what the body of a Scan reads a part of on each trip: the tensor, and the axis it is cut along."""
    starts = list(starts_of(node.node).items())
    count = int(node.attr("num_scan_inputs", 0))
    axes = node.attr("scan_input_axes") or [0] * count
    for (inner, outer), axis in zip(starts[len(starts) - count :], axes, strict=False):
        if outer is not None:
            yield inner, (outer, int(axis))


def is_elementwise(node: NodeView) -> bool:
    """Return whether `node` computes element by element, or only moves elements."""
    return not node.domain and (node.op_type in EVALUATE or node.op_type in MOVES or node.op_type in COPIES)
