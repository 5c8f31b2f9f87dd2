"""Free sizes that broadcasting takes for equal: a + b of shapes [a] and [b] has the shape [a], unless a is 1.

Figures hold where these sizes are equal; which is checked when they are bound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from wua_onnx.errors import ShapeError
from wua_onnx.model.dim_json import from_json, to_json
from wua_onnx.model.dims import Dim, substitute
from wua_onnx.model.node import NodeView


@dataclass(frozen=True, slots=True)
class EqualSizes:
    """Two sizes that are taken for equal, and the first node that does so."""

    one: Dim
    other: Dim
    where: str

    def mapped(self, function: Callable[[Dim], Dim]) -> EqualSizes:
        """Return it with `function` applied to both sizes."""
        return EqualSizes(function(self.one), function(self.other), self.where)

    def to_dict(self) -> dict[str, Any]:
        """Return it in JSON's own types."""
        return {"one": to_json(self.one), "other": to_json(self.other), "where": self.where}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> EqualSizes:
        """Return what `to_dict` wrote."""
        one, other = from_json(data["one"]), from_json(data["other"])
        assert one is not None
        assert other is not None
        return cls(one, other, data["where"])


def taken_for_equal(node: NodeView) -> Iterator[EqualSizes]:
    """Yield the free sizes that meet along an axis of the inputs of `node`, which are broadcast to each other."""
    given = (node.model.shape(value) for value in node.node.inputs if value is not None)
    shapes = [shape for shape in given if shape is not None]
    for axis in range(1, max(map(len, shapes), default=0) + 1):
        sizes = [shape[-axis] for shape in shapes if axis <= len(shape)]
        free = list(dict.fromkeys(size for size in sizes if not isinstance(size, int)))
        if not any(isinstance(size, int) and size > 1 for size in sizes):
            yield from (EqualSizes(free[0], other, node.where) for other in free[1:])


def held(pairs: tuple[EqualSizes, ...], values: Mapping[str, int], asked: str) -> tuple[EqualSizes, ...]:
    """Return the pairs, with `values` in place of symbols, that are still to be shown equal.

    Raises:
        ShapeError: one has sizes that differ.
    """
    pairs = tuple(pair.mapped(lambda dim: substitute(dim, values)) for pair in pairs)
    for pair in pairs:
        if isinstance(pair.one, int) and isinstance(pair.other, int) and pair.one != pair.other:
            raise ShapeError(
                f"{asked}: {pair.where}: expected sizes that are equal, as the figures take them to be, got "
                f"{pair.one} and {pair.other}; where one is 1, give the sizes when the model is opened: cost(…, dims=…)"
            )
    return tuple(pair for pair in pairs if pair.one != pair.other)
