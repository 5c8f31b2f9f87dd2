"""JSON of an audit -> the nodes, inputs and outputs that a graph diagram shows, and what flows between them.

Constants, nodes that reach no output and shape arithmetic are not shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import fsum
from typing import Any, TypeAlias

from wua_onnx.cost.nodes import CONSTANT, SHAPE_ARITHMETIC, UNUSED
from wua_onnx.diagrams.metrics import COSTS
from wua_onnx.diagrams.overview import Edge, Node
from wua_onnx.layers.activation_functions import OPERATORS
from wua_onnx.model.dim_json import from_json
from wua_onnx.model.dims import Dim, substitute, symbols

Json: TypeAlias = Mapping[str, Any]

HIDDEN = (CONSTANT, UNUSED, SHAPE_ARITHMETIC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Something that a graph diagram shows.

    Attributes:
        node: what folding needs to know of it.
        kind: decides its colour: that of a layer, "activation", "input", "output" or "other".
        layer: the number of the layer that it computes, in the order of the file.
        macs: of its node, with free dimensions.
        sums: its costs by the names in `COSTS`, free dimensions as 1; of a profile the seconds.
    """

    node: Node
    kind: str
    layer: int | None = None
    macs: Dim = 0
    sums: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """All that can be shown of a model: in file order, inputs first and outputs last."""

    by_id: Mapping[str, Part]
    edges: tuple[Edge, ...]


def sums_of(parts: Iterable[Part]) -> dict[str, float]:
    """Return the costs of `parts` by the names in `COSTS`; those that no part has are left out."""
    chosen = list(parts)
    known = {name for part in chosen for name in part.sums}
    return {name: fsum(part.sums.get(name, 0.0) for part in chosen) for name in COSTS if name in known}


def parts_of(audit: Json) -> Parts:
    """Return what can be shown of an audited model."""
    inputs, outputs = audit["model"]["inputs"], audit["model"]["outputs"]
    parts = [_end("input", i, value) for i, value in enumerate(inputs)]
    parts += _nodes(audit)
    parts += [_end("output", i, value) for i, value in enumerate(outputs)]
    by_id = {part.node.id: part for part in parts}
    return Parts(by_id=by_id, edges=tuple(_edges(audit["diagrams"], by_id)))


def _end(kind: str, index: int, value: Json) -> Part:
    node = Node(id=f"{kind}{index}", path=(), op=kind, label=value["name"], end=True)
    return Part(node=node, kind=kind)


def _nodes(audit: Json) -> list[Part]:
    layers = audit["layers"]
    layer_of = {name: index for index, layer in enumerate(layers) for name in layer["nodes"]}
    seconds, reader = _seconds(audit.get("profile")), _Reader()
    found = []
    for index, row in enumerate(audit["cost"]["by_node"]):
        if row["reason"] not in HIDDEN:
            layer = layer_of.get(row["name"])
            found.append(_node(f"n{index}", row, layer, layers, reader, seconds))
    return found


def _node(
    key: str, row: Json, layer: int | None, layers: Sequence[Json], reader: _Reader, seconds: Mapping[str, float] | None
) -> Part:
    op = row["op"]
    kind = "activation" if op.rpartition("::")[2] in OPERATORS else "other"
    sums = {name: reader.number(row[name]) for name in COSTS if name in row}
    if seconds is not None:
        sums["time"] = seconds.get(row["name"], 0.0)
    label = op if layer is None else layers[layer]["name"]
    return Part(
        node=Node(id=key, path=tuple(row["path"]), op=op, label=label, cost=int(sums["macs"])),
        kind=kind if layer is None else layers[layer]["kind"],
        layer=layer,
        macs=reader.dim(row["macs"]),
        sums=sums,
    )


def _seconds(profile: Json | None) -> dict[str, float] | None:
    """Return the time of each node by name; nodes that run as one have theirs at the one that does most."""
    timed: Sequence[Json] | None = None if profile is None else profile.get("timed")
    if timed is None:
        return None
    found: dict[str, float] = {}
    for part in timed:
        found[part["name"]] = found.get(part["name"], 0.0) + part["seconds"]
    return found


class _Reader:
    """Reads figures of the JSON; equal expressions are read once."""

    def __init__(self) -> None:
        self._dims: dict[str, Dim] = {}
        self._numbers: dict[str, float] = {}

    def dim(self, figure: Any) -> Dim:
        """Return a figure with its free dimensions; 0 where it is not known."""
        if isinstance(figure, int) or figure is None:
            return figure or 0
        key = figure["text"] if isinstance(figure, Mapping) else str(figure)
        if key not in self._dims:
            self._dims[key] = from_json(figure) or 0
        return self._dims[key]

    def number(self, figure: Any) -> float:
        """Return a figure with its free dimensions as 1."""
        dim = self.dim(figure)
        if isinstance(dim, int):
            return float(dim)
        key = figure["text"]
        if key not in self._numbers:
            value = substitute(dim, dict.fromkeys(symbols(dim), 1))
            self._numbers[key] = float(value) if isinstance(value, int) else 0.0
        return self._numbers[key]


def _edges(diagrams: Json, known: Mapping[str, Part]) -> Iterable[Edge]:
    shapes = diagrams["shapes"]
    for source, target, shape in diagrams["links"]:
        tail = f"n{source}" if source >= 0 else f"input{-1 - source}"
        head = f"n{target}" if target >= 0 else f"output{-1 - target}"
        if tail in known and head in known:
            yield Edge(source=tail, target=head, label=shapes[shape])
