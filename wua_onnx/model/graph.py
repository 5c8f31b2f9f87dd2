"""The graph as every other room sees it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import copy
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from wua_onnx._text import clean
from wua_onnx.errors import ModelError
from wua_onnx.model import dims as d
from wua_onnx.model import external
from wua_onnx.model.dim_text import NotADimension, parse
from wua_onnx.model.dims import Dim, Shape
from wua_onnx.model.node import NodeView


@dataclass(eq=False)
class Model:
    """A loaded model.

    Attributes:
        ir_model: the graph, functions written out, dimension names replaced by generated symbols.
        name: the file's stem, or the graph's name.
        path: the .onnx file; None for a model given as an object.
        shown: the name to display for each generated symbol that is still free.
        bound: the values of dimensions bound while loading, by displayed name.
        problems: what shape inference could not do.
        layer_names: the author's name of a layer by initializer or node name, from a converter.
        seen: shapes that stand in for those of `ir_model`, from an observed run; None for one that is not known.
        idle: graphs inside nodes that never ran in it.
        carried: what a loop carries and never changes, and what it starts as; see `with_carried`.
        fixed: what is computed from shapes, and the same on every run; see `with_fixed`.
    """

    ir_model: ir.Model
    name: str
    path: Path | None
    shown: Mapping[str, str] = field(default_factory=dict)
    bound: Mapping[str, int] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    layer_names: Mapping[str, str] = field(default_factory=dict)
    seen: Mapping[ir.Value, Shape | None] = field(default_factory=dict, repr=False)
    idle: frozenset[ir.Graph] = frozenset()
    carried: Mapping[ir.Value, ir.Value] = field(default_factory=dict, repr=False)
    fixed: frozenset[ir.Value] = field(default=frozenset(), repr=False)

    def with_shapes(self, seen: Mapping[ir.Value, Shape | None], idle: frozenset[ir.Graph]) -> Model:
        """Return the same model with shapes that were seen in a run, and the graphs that did not run in it."""
        model = copy(self)
        model.seen, model.idle = seen, idle
        model.__dict__.pop("nodes", None)  # they look up their shapes in the model they belong to
        return model

    def with_carried(self, carried: Mapping[ir.Value, ir.Value]) -> Model:
        """Return the same model where constants that a loop carries, and never changes, are constants inside, too.

        onnxruntime computes what depends on them on every trip, so this is for whoever looks for weights.

        Args:
            carried: inputs of bodies, and what they start as.
        """
        return self._with_constants(carried=carried)

    def with_fixed(self, fixed: frozenset[ir.Value]) -> Model:
        """Return the same model where `fixed`, which shapes decide, is constant: for whoever looks for weights."""
        return self._with_constants(fixed=fixed)

    def _with_constants(self, **changes: Any) -> Model:
        model = copy(self)
        for name, value in changes.items():
            setattr(model, name, value)
        for name in ("nodes", "constants"):
            model.__dict__.pop(name, None)
        return model

    @cached_property
    def nodes(self) -> tuple[NodeView, ...]:
        """The nodes of the main graph, in file order."""
        return tuple(NodeView(node, self) for node in self.ir_model.graph)

    def all_nodes(self) -> Iterator[ir.Node]:
        """Yield the nodes of the main graph and of graphs inside nodes, each node before those inside it."""
        pending = [iter(self.ir_model.graph)]
        while pending:
            node = next(pending[-1], None)
            if node is None:
                pending.pop()
                continue
            yield node
            inner = [graph for attribute in node.attributes.values() for graph in subgraphs(attribute)]
            pending.extend(iter(graph) for graph in reversed(inner))

    @cached_property
    def inputs(self) -> tuple[ir.Value, ...]:
        """The inputs a caller has to give (initializers listed as inputs are left out)."""
        return tuple(value for value in self.ir_model.graph.inputs if not value.is_initializer())

    @cached_property
    def constants(self) -> frozenset[ir.Value]:
        """Every value that depends on constants only, so that it is computed once at load; inner graphs included."""
        known: set[ir.Value] = {*self.ir_model.graph.initializers.values(), *self.fixed}
        for node in self.all_nodes():
            inner = [graph for attribute in node.attributes.values() for graph in subgraphs(attribute)]
            known.update(value for graph in inner for value in graph.initializers.values())
            known.update(state for graph in inner for state in graph.inputs if self.carried.get(state) in known)
            if node.op_type in _RANDOM or inner:
                continue
            if all(value is None or value in known for value in node.inputs):
                known.update(node.outputs)
        return frozenset(known)

    @cached_property
    def reachable(self) -> frozenset[ir.Node]:
        """Every node of the main graph that some output depends on."""
        pending = [value.producer() for value in self.ir_model.graph.outputs]
        found: set[ir.Node] = set()
        while pending:
            node = pending.pop()
            if node is None or node in found:
                continue
            found.add(node)
            pending.extend(value.producer() for value in reads(node))
        return frozenset(found)

    @cached_property
    def _dims(self) -> dict[str, Dim]:
        return {}

    @cached_property
    def _shapes(self) -> dict[ir.Value, tuple[ir.Shape | None, Shape | None]]:
        return {}

    def dim(self, dim: int | ir.SymbolicDim) -> Dim | None:
        """Return one dimension of a shape of `ir_model`; None where it is unknown."""
        if isinstance(dim, int) or dim.value is None:
            return dim if isinstance(dim, int) else None
        if dim.value not in self._dims:
            known = _Symbols()
            try:
                self._dims[dim.value] = parse(dim.value, known)
            except NotADimension:
                self._dims[dim.value] = d.symbol(dim.value)
        return self._dims[dim.value]

    def shape(self, value: ir.Value) -> Shape | None:
        """Return the shape of `value`; None where its rank or a dimension is unknown."""
        if value in self.seen:
            return self.seen[value]
        known = self._shapes.get(value)
        if known is not None and known[0] is value.shape:
            return known[1]
        result = self._read_shape(value.shape)
        self._shapes[value] = value.shape, result
        return result

    def _read_shape(self, shape: ir.Shape | None) -> Shape | None:
        if shape is None:
            return None
        dims = tuple(map(self.dim, shape))
        return None if None in dims else dims  # type: ignore[return-value] # none is None

    def text(self, dim: Dim) -> str:
        """Return `dim` as text in the exporter's own dimension names."""
        return d.text(dim, self.shown)

    def weight(self, value: ir.Value) -> np.ndarray[Any, Any]:
        """Return the elements of an initializer, mapped from disk where they lie in a file.

        Raises:
            ExternalDataError: its file is missing or too short.
            ModelError: it holds no elements.
        """
        tensor = value.const_value
        if tensor is None:
            raise ModelError(f"value {clean(value.name)!r}: expected an initializer, got a computed value")
        if isinstance(tensor, ir.ExternalTensor):
            tensor = external.readable(tensor)
        return np.asarray(tensor.numpy())


class _Symbols(dict[str, Dim]):
    """Every identifier is the symbol of that name: by now all names are generated ones."""

    def __contains__(self, name: object) -> bool:
        return True

    def __missing__(self, name: str) -> Dim:
        return d.symbol(name)


_RANDOM = frozenset(
    {"RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Bernoulli", "Multinomial"}
)


def reads(node: ir.Node) -> Iterator[ir.Value]:
    """Yield what `node` reads, what the graphs inside it read and return included."""
    pending = [node]
    while pending:
        current = pending.pop()
        yield from (value for value in current.inputs if value is not None)
        for attribute in current.attributes.values():
            for graph in subgraphs(attribute):
                yield from graph.outputs
                pending.extend(graph)


def subgraphs(attribute: ir.Attr) -> tuple[ir.Graph, ...]:
    """Return the graphs that an attribute holds."""
    if attribute.type == ir.AttributeType.GRAPH:
        return (attribute.as_graph(),)
    return tuple(attribute.as_graphs()) if attribute.type == ir.AttributeType.GRAPHS else ()
