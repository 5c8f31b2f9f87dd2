"""An observed run as the count needs it: every node on every set of shapes it ran on, and how often."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import onnx_ir as ir

from wua_onnx.cost.nodes import NodeCost, summed
from wua_onnx.cost.value import Verdict
from wua_onnx.errors import DataError
from wua_onnx.model.dims import Shape, product, total
from wua_onnx.model.graph import Model
from wua_onnx.model.node import NodeView

if TYPE_CHECKING:
    from wua_onnx.observe.observations import Observations, Signature

_ORDER = (Verdict.FREE, Verdict.COUNTED, Verdict.ESTIMATE, Verdict.UNKNOWN)


class Seen:
    """What was observed of `model`.

    Attributes:
        model: the model with every value of the shape it had; one whose shape changed between executions has the
            largest, and graphs that never ran are known as idle.

    Raises:
        DataError: the observations are of another model.
    """

    def __init__(self, model: Model, observations: Observations) -> None:
        nodes = list(model.all_nodes())
        if len(nodes) != len(observations.nodes):
            raise DataError(f"observations: expected those of {len(nodes)} nodes, got {len(observations.nodes)}")
        self._signatures = dict(zip(nodes, observations.nodes, strict=True))
        self._times: dict[ir.Graph, int] = {}
        for (number, name), times in observations.graphs.items():
            self._times[nodes[number].attributes[name].as_graph()] = times
        shapes = _shapes(self._signatures)
        idle = frozenset(graph for graph, times in self._times.items() if not times)
        self.model = model.with_shapes({value: max(found, key=_size) for value, found in shapes.items()}, idle)
        # A node that onnxruntime tells nothing of cannot be counted on shapes that change.
        self._base: dict[ir.Value, Shape | None] = {
            value: next(iter(found)) if len(found) == 1 else None for value, found in shapes.items()
        }
        self._plain = model.with_shapes(self._base, idle)

    def times(self, graph: ir.Graph | ir.Function | None) -> int:
        """Return how often `graph` ran; the main graph runs once."""
        return self._times.get(graph, 1) if isinstance(graph, ir.Graph) else 1

    def views(self, node: NodeView) -> Iterator[tuple[NodeView, int]]:
        """Yield `node` with each set of shapes it ran on, and how often it did."""
        signatures = self._signatures[node.node]
        if not signatures:
            yield NodeView(node.node, self._plain), self.times(node.node.graph)
        for signature, times in signatures.items():
            own: dict[ir.Value, Shape | None] = dict(_told(node.node, signature))
            yield NodeView(node.node, self._plain.with_shapes(ChainMap(own, self._base), self._plain.idle)), times


def all_executions(parts: Sequence[tuple[NodeCost, int]]) -> NodeCost:
    """Return what a node costs in all, from what one execution of it costs and how many there are of each kind."""
    worst, _ = max(parts, key=lambda part: _ORDER.index(part[0].verdict))
    return replace(
        worst,
        cost=summed(part.cost * times for part, times in parts),
        backward=summed(part.backward * times for part, times in parts),
        bytes_read=total(part.bytes_read * times for part, times in parts),
        bytes_written=total(part.bytes_written * times for part, times in parts),
        upper=any(part.upper for part, _ in parts),
    )


def _told(node: ir.Node, signature: Signature) -> Iterator[tuple[ir.Value, Shape]]:
    for values, shapes in zip((node.inputs, node.outputs), signature, strict=True):
        for value, shape in zip(values, shapes, strict=True):
            if value is not None and shape is not None:
                yield value, shape


def _size(shape: Shape) -> int:
    elements = product(shape)
    return elements if isinstance(elements, int) else 0


def _shapes(signatures: Mapping[ir.Node, Mapping[Signature, int]]) -> dict[ir.Value, dict[Shape, None]]:
    """Return every shape that each value had."""
    found: dict[ir.Value, dict[Shape, None]] = {}
    for node, seen in signatures.items():
        for signature in seen:
            for value, shape in _told(node, signature):
                found.setdefault(value, {})[shape] = None
    return found
