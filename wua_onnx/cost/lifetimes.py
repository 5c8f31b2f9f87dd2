"""What lives when: activations, from the node that makes them to the last one that needs them (convention 14)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from wua_onnx._text import clean
from wua_onnx.cost.memory import VIEWS, value_bytes
from wua_onnx.model.dims import Dim, total
from wua_onnx.model.graph import Model, reads
from wua_onnx.model.node import NodeView


@dataclass(frozen=True, slots=True)
class Lifetime:
    """One activation: its name, its bytes, and the first and last moment it is alive at.

    Moments are the nodes in file order, those of graphs inside a node before the node itself, and the start and the end
    of each of these graphs. `handed` marks what a graph hands out as an output of its node: it is the same activation.
    """

    name: str
    size: Dim
    first: int
    last: int
    handed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Activations:
    """The activations of a model: their lifetimes, and the names of those whose size is not known."""

    lifetimes: tuple[Lifetime, ...]
    unsized: tuple[str, ...]

    @property
    def bytes(self) -> Dim:
        """The bytes of all of them, each counted once."""
        return total(life.size for life in self.lifetimes if not life.handed)


def activations(model: Model, nodes: Sequence[NodeView]) -> Activations:
    """Return the activations of `nodes` in file order, those of one pass through the graphs inside them included.

    Inputs live from the start to their last use, outputs to the end; constants and weights do not take part. While a
    node with graphs runs, what lives outside goes on living. A Loop or a Scan starts with copies of what it carries,
    every pass with the results of the last one, and what it stacks is there as a whole all along.
    """
    walk = _Walk(model)
    for value in model.inputs:
        walk.born[value] = walk.last[value] = -1
    walk.run(nodes)
    for value in model.ir_model.graph.outputs:
        walk.read(value)
    return walk.result()


class _Walk:
    """Numbers the moments and notes when each storage is first and last needed."""

    def __init__(self, model: Model) -> None:
        self.model, self.now = model, 0
        self.born: dict[ir.Value, int] = {}
        self.last: dict[ir.Value, int] = {}
        self._handed: set[ir.Value] = set()
        self._storage: dict[ir.Value, ir.Value] = {}  # a view's storage is that of what it views

    def _root(self, value: ir.Value) -> ir.Value:
        return self._storage.get(value, value)

    def _bear(self, value: ir.Value) -> None:
        if value.name and value not in self.model.constants:  # an output left out has no name
            self.born.setdefault(self._root(value), self.now)
            self.read(value)

    def read(self, value: ir.Value) -> None:
        self.last[self._root(value)] = self.now

    def run(self, nodes: Iterable[NodeView]) -> None:
        for node in nodes:
            if node.graphs():
                self._graphs(node)
            viewed = node.node.inputs[0] if node.op_type in VIEWS and not node.domain and node.node.inputs else None
            if viewed is not None:
                self._storage[node.node.outputs[0]] = self._root(viewed)
            for value in node.node.inputs:
                if value is not None:
                    self.read(value)
            for value in node.node.outputs:
                self._bear(value)
            self.now += 1

    def _graphs(self, node: NodeView) -> None:
        """Walk one pass through each graph of `node`; what they read from outside lives until `node` itself."""
        for value in _stacked(node):
            self._bear(value)
        graphs = [graph for graph in node.graphs().values() if graph not in self.model.idle]
        for graph in graphs:
            for value in graph.inputs:
                self._bear(value)
            self.now += 1
            self.run(NodeView(inner, self.model) for inner in graph if not self._is_constant(inner))
            for value in graph.outputs:
                self.read(value)
            self.now += 1
        inside = _nested(node)
        for value in reads(node.node):
            if value.graph not in inside:
                self.read(value)
        self._hand_out(node, graphs, inside)

    def _hand_out(self, node: NodeView, graphs: Sequence[ir.Graph], inside: set[ir.Graph]) -> None:
        """Let what `graphs` return be the outputs of `node`, without a copy."""
        returned = [_returned(node, graph) for graph in graphs]
        for index, outer in enumerate(node.node.outputs):
            results = {self._root(values[index]) for values in returned if index < len(values)}
            own = {value for value in results if value.graph in inside}
            if node.op_type == "If" and len(results) == 1 and not own:
                self._storage[outer] = results.pop()  # every branch returns a view of the same value
            elif value_bytes(self.model, outer) is not None:
                self._handed |= own

    def _is_constant(self, node: ir.Node) -> bool:
        return bool(node.outputs) and all(value in self.model.constants for value in node.outputs)

    def result(self) -> Activations:
        lifetimes, unsized = [], []
        for value, first in self.born.items():
            size, last, handed = value_bytes(self.model, value), self.last[value], value in self._handed
            if size is None:
                unsized += [] if handed else [clean(value.name)]
            elif last >= 0:  # an input that nothing reads is never handed over
                lifetimes.append(Lifetime(clean(value.name), size, first, last, handed))
        return Activations(lifetimes=tuple(lifetimes), unsized=tuple(unsized))


def _nested(node: NodeView) -> set[ir.Graph]:
    """Return the graphs inside `node`, and those inside them."""
    graphs = set(node.graphs().values())
    for graph in node.graphs().values():
        for inner in graph.all_nodes():
            graphs.update(NodeView(inner, node.model).graphs().values())
    return graphs


def _carried(node: NodeView) -> int:
    """Return how many values a Loop or a Scan carries from pass to pass."""
    if node.op_type == "Loop":
        return max(len(node.node.inputs) - 2, 0)
    lengths = 1 if node.opset < 9 else 0  # the first input of Scan-8
    return max(len(node.node.inputs) - lengths - int(node.attr("num_scan_inputs", 0)), 0)


def _stacked(node: NodeView) -> Sequence[ir.Value]:
    """Return the outputs of `node` that are made of a slice from every pass."""
    if node.domain or node.op_type not in ("Loop", "Scan", "SequenceMap"):
        return ()
    return node.node.outputs[0 if node.op_type == "SequenceMap" else _carried(node) :]


def _returned(node: NodeView, graph: ir.Graph) -> Sequence[ir.Value]:
    """Return the outputs of `graph` that become the first outputs of `node` as they are."""
    if node.domain or node.op_type not in ("If", "Loop", "Scan"):
        return ()
    if node.op_type == "If":
        return graph.outputs
    first = 1 if node.op_type == "Loop" else 0  # its first output says whether the loop goes on
    return graph.outputs[first : first + _carried(node)]


__all__ = ["Activations", "Lifetime", "activations"]
