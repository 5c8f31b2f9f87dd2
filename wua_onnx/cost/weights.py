"""What the parameters weigh, and who reads them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import onnx_ir as ir

from wua_onnx._text import clean
from wua_onnx.cost.memory import parameter_values, tensor_bytes
from wua_onnx.model.graph import Model
from wua_onnx.model.node import NodeView


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """The parameters of a model, each counted once, whatever reads it.

    Attributes:
        elements: of all of them.
        by_dtype: bytes by ONNX's name of the element type; types below a byte are packed.
        shared: the names of those that several nodes read, and how many nodes do.
        by_node: elements by the node of the main graph that reads them first.
    """

    elements: int
    by_dtype: Mapping[str, int]
    shared: Mapping[str, int]
    by_node: Mapping[ir.Node, int]


def weights(model: Model) -> Weights:
    """Return what the parameters of `model` weigh; their values are not read."""
    readers = _Readers(model)
    elements: Counter[ir.Node] = Counter()
    by_dtype: Counter[str] = Counter()
    shared: dict[str, int] = {}
    count = 0
    for value in parameter_values(model):
        tensor = value.const_value
        assert tensor is not None
        size = int(tensor.size)
        count += size
        bytes_ = tensor_bytes(size, tensor.dtype)
        by_dtype[tensor.dtype.name] += bytes_ if isinstance(bytes_, int) else 0
        nodes = readers.of(value)
        if len(nodes) > 1:
            shared[clean(value.name)] = len(nodes)
        elements[min(map(readers.outermost, nodes), key=readers.position.__getitem__)] += size
    return Weights(elements=count, by_dtype=dict(by_dtype.most_common()), shared=shared, by_node=elements)


class _Readers:
    """Finds the nodes that read a parameter in a run, past what is computed from it once at load."""

    def __init__(self, model: Model) -> None:
        self._constants, self._running = model.constants, model.reachable
        self._outer: dict[ir.Node, ir.Node] = {}  # a node inside others -> the node of the main graph it lies in
        self.position: dict[ir.Node, int] = {}
        for index, view in enumerate(model.nodes):
            self.position[view.node] = index
            pending = list(view.graphs().values())
            while pending:
                for node in pending.pop():
                    self._outer[node] = view.node
                    pending.extend(NodeView(node, model).graphs().values())

    def outermost(self, node: ir.Node) -> ir.Node:
        return self._outer.get(node, node)

    def of(self, value: ir.Value) -> list[ir.Node]:
        """Return the nodes that read `value` in a run; where there are none, those that do otherwise."""
        others: dict[ir.Node, None] = {}
        at_run: dict[ir.Node, None] = {}
        pending = [value]
        while pending:
            for node in (use.node for use in pending.pop().uses()):
                if node in others or node in at_run:
                    continue
                at_load = bool(node.outputs) and all(output in self._constants for output in node.outputs)
                runs = not at_load and self.outermost(node) in self._running
                (at_run if runs else others)[node] = None
                pending.extend(node.outputs if at_load else ())
        return list(at_run or others)
