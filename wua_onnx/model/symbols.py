"""Symbolic dimensions: from the file's text to generated symbols, before any other parser sees them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

import onnx_ir as ir

from wua_onnx._text import clean
from wua_onnx.model.dim_text import NotADimension, parse
from wua_onnx.model.dims import Dim, substitute, symbol, text


def all_values(model: ir.Model) -> Iterator[ir.Value]:
    """Yield every value of the main graph and its subgraphs (each once per definition)."""
    yield from values_of(model.graph)


def values_of(graph: ir.Graph) -> Iterator[ir.Value]:
    """Yield every value of `graph` and of the graphs inside it (each once per definition)."""
    graphs = [graph]
    while graphs:
        graph = graphs.pop()
        yield from graph.inputs
        yield from graph.initializers.values()
        for node in graph:
            yield from node.outputs
            for attribute in node.attributes.values():
                if attribute.type == ir.AttributeType.GRAPH:
                    graphs.append(attribute.as_graph())
                elif attribute.type == ir.AttributeType.GRAPHS:
                    graphs.extend(attribute.as_graphs())


# What shape inference calls dimensions it cannot tell, and what the count calls unknown trips of a loop.
_RESERVED = re.compile(r"_d\d+|trips\(.*")


class SymbolTable:
    """Gives every dimension name of a model a generated symbol (`d0`, `d1`, …) and remembers the name to show.

    No two symbols are shown by the same name: a second one that reads like a first gets `#2`.
    """

    def __init__(self) -> None:
        self.shown: dict[str, str] = {}
        self._known: dict[str, Dim] = {}
        self._generated: dict[str, str] = {}

    def declare(self, name: str) -> Dim:
        """Return the symbol for the dimension name `name`, new where it was not seen before."""
        if name not in self._known:
            generated = f"d{len(self.shown)}"
            label = self._free_label(clean(name) or generated)
            self.shown[generated], self._generated[label] = label, generated
            self._known[name] = symbol(generated)
        return self._known[name]

    def _free_label(self, name: str) -> str:
        label, number = name, 1
        while label in self._generated or (number == 1 and _RESERVED.fullmatch(name)):
            number += 1
            label = f"{name}#{number}"
        return label

    def read(self, written: str) -> Dim:
        """Return what `written` means: an expression over names already declared, else a symbol of its own."""
        if written in self._known:
            return self._known[written]
        try:
            return parse(written, self._known)
        except NotADimension:
            return self.declare(written)

    def by_name(self, name: str) -> str | None:
        """Return the generated symbol of the dimension that the file calls `name`, or that is shown so."""
        dim = self._known.get(name)
        return self._generated.get(name) if dim is None else text(dim)


def normalise(model: ir.Model) -> SymbolTable:
    """Replace every dimension name in `model` (in place) by a generated symbol; dims below zero become unknown.

    Graph inputs come first, so that expressions over their names (`2*seq`) are read as such further on.
    Unnamed free dimensions of inputs get a name: `<input>[<axis>]`.
    """
    table = SymbolTable()
    inputs = [value for value in model.graph.inputs if not value.is_initializer()]
    for value in inputs:
        for axis, dim in enumerate(value.shape or ()):
            if not isinstance(dim, int) or dim < 0:
                table.declare(_input_dim_name(value, axis))
    values = {id(value): value for value in (*inputs, *all_values(model), *model.graph.outputs)}
    for value in values.values():
        _rewrite(value, table, is_input=value in inputs)
    return table


def _input_dim_name(value: ir.Value, axis: int) -> str:
    dim = value.shape[axis] if value.shape is not None else None
    return dim.value if isinstance(dim, ir.SymbolicDim) and dim.value else f"{value.name}[{axis}]"


def _rewrite(value: ir.Value, table: SymbolTable, is_input: bool) -> None:
    if value.shape is None:
        return
    dims: list[int | ir.SymbolicDim] = []
    for axis, dim in enumerate(value.shape):
        if isinstance(dim, int) and dim >= 0:
            dims.append(dim)
        elif is_input:
            dims.append(_written(table.declare(_input_dim_name(value, axis))))
        elif isinstance(dim, int):
            dims.append(ir.SymbolicDim(None))
        elif dim.value is None:
            dims.append(dim)
        else:
            dims.append(_written(table.read(dim.value)))
    value.shape = ir.Shape(dims)


def _written(dim: Dim) -> int | ir.SymbolicDim:
    return dim if isinstance(dim, int) else ir.SymbolicDim(text(dim))


def bind(model: ir.Model, values: Mapping[str, int], names: Iterable[str]) -> None:
    """Replace generated symbols by integers in every declared shape of `model`, in place."""
    known = {name: symbol(name) for name in names}
    for value in (*all_values(model), *model.graph.outputs):
        if value.shape is None or all(isinstance(dim, int) for dim in value.shape):
            continue
        dims: list[int | ir.SymbolicDim] = []
        for dim in value.shape:
            if isinstance(dim, int) or dim.value is None:
                dims.append(dim)
            else:
                dims.append(_written(substitute(parse(dim.value, known), values)))
        value.shape = ir.Shape(dims)
