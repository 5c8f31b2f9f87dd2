"""A copy of a model whose every node and value says which node of the original it is.

onnxruntime names what it fuses after nodes or values it fused, and files may leave nodes unnamed or name two alike.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir

from wua_onnx.model.graph import Model
from wua_onnx.model.symbols import all_values
from wua_onnx.running.runnable import check_weights, folder_of, forget_shapes, serialized

_WITH_GRAPHS = frozenset({ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS})


@dataclass(frozen=True, kw_only=True)
class Marked:
    """A model ready to be profiled.

    Attributes:
        model: its serialized form; big weights stay where they are on disk.
        folder: where they are.
        prefix: what the marks begin with; nothing else in the model looks like one.
    """

    model: bytes
    folder: Path | None
    prefix: str

    def nodes_in(self, text: str) -> frozenset[int]:
        """Return the indices of the main graph's nodes that `text`, a name onnxruntime gave, tells of."""
        return frozenset(int(number) for number in re.findall(rf"{self.prefix}([0-9]+)_", text))


def marked(model: Model) -> Marked:
    """Return `model` with names that tell the index of the node, node `index` of the main graph being `prefix`index_.

    Raises:
        ExternalDataError: weights of the model are missing on disk.
        LimitError: weights given in memory exceed what one message can hold.
    """
    check_weights(model)
    copy = model.ir_model.clone()
    prefix = "node"
    names = [value.name or "" for value in all_values(copy)]
    while any(re.search(rf"{prefix}[0-9]", name) for name in names):
        prefix += "x"
    for index, node in enumerate(copy.graph):
        _name(node, f"{prefix}{index}_")
        for number, inner in enumerate(_inside(node)):
            _name(inner, f"{prefix}{index}_{number}_")
    forget_shapes(copy)
    return Marked(model=serialized(copy), folder=folder_of(model), prefix=prefix)


def _name(node: ir.Node, name: str) -> None:
    node.name = name
    for number, value in enumerate(node.outputs):
        if value.name:  # an output left out has none
            value.name = f"{name}v{number}"


def _inside(node: ir.Node) -> Iterator[ir.Node]:
    """Yield the nodes of the graphs inside `node`, at any depth."""
    pending = [node]
    while pending:
        for attribute in pending.pop().attributes.values():
            if attribute.type not in _WITH_GRAPHS:
                continue
            for graph in [attribute.as_graph()] if attribute.type == ir.AttributeType.GRAPH else attribute.as_graphs():
                for inner in graph:
                    yield inner
                    pending.append(inner)
