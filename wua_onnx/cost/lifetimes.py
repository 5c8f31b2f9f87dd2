"""What lives when: the bytes of activations alive at once (convention 14)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import TypeAlias

import onnx_ir as ir

from wua_onnx.cost.memory import VIEWS, value_bytes
from wua_onnx.model.dims import Dim, divides, maximum, primitive, product_of, total
from wua_onnx.model.graph import Model, NodeView, reads
from wua_onnx.model.limits import clean

MAX_MOMENTS = 64
_Sum: TypeAlias = dict[Dim, int]  # how many times each part
_Changes = defaultdict[int, list[tuple[Dim, int]]]


@dataclass(frozen=True, slots=True)
class Lifetime:
    """One activation: its name, its bytes, and the first and last node (numbered in file order) it is alive at."""

    name: str
    size: Dim
    first: int
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Activations:
    """The activations of a model: their lifetimes, and the names of those whose size is not known."""

    lifetimes: tuple[Lifetime, ...]
    unsized: tuple[str, ...]


def activations(model: Model, nodes: Sequence[NodeView]) -> Activations:
    """Return the activations of `nodes` in file order, those of one pass through the graphs inside them included.

    Inputs live from the start to their last use, outputs to the end; constants and weights do not take part.
    """
    walk = _Walk(model)
    for value in model.inputs:
        walk.born[value] = walk.last[value] = -1
    walk.run(nodes)
    for value in model.ir_model.graph.outputs:
        walk.read(value)
    return walk.result()


class _Walk:
    """Numbers the nodes, those inside others first, and notes when each storage is first and last needed."""

    def __init__(self, model: Model) -> None:
        self.model, self.now = model, 0
        self.born: dict[ir.Value, int] = {}
        self.last: dict[ir.Value, int] = {}
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
            for graph in node.graphs().values():
                if graph not in self.model.idle:
                    self._inner(node, graph)
            viewed = node.node.inputs[0] if node.op_type in VIEWS and not node.domain and node.node.inputs else None
            if viewed is not None:
                self._storage[node.node.outputs[0]] = self._root(viewed)
            for value in reads(node.node):
                self.read(value)
            for value in node.node.outputs:
                self._bear(value)
            self.now += 1

    def _inner(self, node: NodeView, graph: ir.Graph) -> None:
        """Walk one pass through `graph`; what it hands out lives until `node` itself."""
        if node.op_type == "If":
            self._hand_out(node, graph)
        for value in graph.inputs:
            self._bear(value)
        self.run(NodeView(inner, self.model) for inner in graph if not self._is_constant(inner))

    def _hand_out(self, node: NodeView, graph: ir.Graph) -> None:
        """Let the results of a branch be the outputs of the If, without a copy."""
        for inner, outer in zip(graph.outputs, node.node.outputs, strict=False):
            if inner.graph is graph and inner.producer() is not None and value_bytes(self.model, outer) is not None:
                self._storage[inner] = outer

    def _is_constant(self, node: ir.Node) -> bool:
        return bool(node.outputs) and all(value in self.model.constants for value in node.outputs)

    def result(self) -> Activations:
        lifetimes, unsized = [], []
        for value, first in self.born.items():
            size, last = value_bytes(self.model, value), self.last[value]
            if size is None:
                unsized.append(clean(value.name))
            elif last >= 0:  # an input that nothing reads is never handed over
                lifetimes.append(Lifetime(clean(value.name), size, first, last))
        return Activations(lifetimes=tuple(lifetimes), unsized=tuple(unsized))


def peak(lifetimes: Sequence[Lifetime]) -> Dim:
    """Return the most bytes alive at once: a number, or the largest of the sums that no other one covers.

    Where more than `MAX_MOMENTS` sums cover each other in part, some are joined and the result is an upper bound.
    """
    born, ended = _changes(lifetimes)
    alive: _Sum = defaultdict(int)
    moments: list[_Sum] = []
    for now in sorted({*born, *ended}):
        for part, times in born[now]:
            alive[part] += times
        if ended[now]:  # while nothing ends, the next sum covers this one
            _keep_largest(moments, {part: times for part, times in alive.items() if times})
        for part, times in ended[now]:
            alive[part] -= times
    sums = [total(part * times for part, times in moment.items()) for moment in moments]
    return maximum(*sums) if sums else 0


def alive_at_peak(lifetimes: Sequence[Lifetime]) -> tuple[Lifetime, ...]:
    """Return what is alive when most bytes are (the first time they are), the largest first; sizes are integers."""
    born, ended = _changes(lifetimes)
    alive = most = 0
    when = -1
    for now in sorted({*born, *ended}):
        alive += sum(times for _, times in born[now])
        if alive > most:
            most, when = alive, now
        alive -= sum(times for _, times in ended[now])
    living = [life for life in lifetimes if life.first <= when <= life.last]
    return tuple(sorted(living, key=lambda life: life.size if isinstance(life.size, int) else 0, reverse=True))


def _changes(lifetimes: Iterable[Lifetime]) -> tuple[_Changes, _Changes]:
    """Return what starts and what ends to live at each node."""
    born, ended = _Changes(list), _Changes(list)
    seen: dict[Dim, list[tuple[Dim, int]]] = {}
    for life in lifetimes:
        if life.size not in seen:
            seen[life.size] = _parts(life.size)
        born[life.first] += seen[life.size]
        ended[life.last] += seen[life.size]
    return born, ended


def _parts(size: Dim) -> list[tuple[Dim, int]]:
    """Return `size` as whole multiples of parts that are never below 0: its terms, or all of it in one."""
    if isinstance(size, int) or any(c < 0 or Fraction(c).denominator != 1 for c in size.terms.values()):
        return [primitive(size)]
    return [(product_of(monomial), int(c)) for monomial, c in size.terms.items()]


def _covers(a: _Sum, b: _Sum) -> bool:
    """Return whether `a` is at least `b` wherever every symbol is at least 1; False where that is not seen at once.

    Every part of `b` is set against as many of the same part in `a`, then against parts of `a` that are it times
    further symbols. (Where a symbol is 0 the lifetimes are gone through anew, see `CostReport.at`.)
    """
    left = dict(a)
    for part in sorted(b, key=_degree, reverse=True):
        wanted = b[part]
        for other in (part, *(q for q in left if q != part and _is_multiple(q, part))):
            charged = min(wanted, left.get(other, 0))
            left[other] = left.get(other, 0) - charged
            wanted -= charged
        if wanted > 0:
            return False
    return True


def _degree(dim: Dim) -> int:
    return 0 if isinstance(dim, int) else max(sum(power for _, power in monomial) for monomial in dim.terms)


@lru_cache(maxsize=4096)
def _is_multiple(dim: Dim, of: Dim) -> bool:
    """Return whether `dim` is `of` times a product of symbols."""
    quotient = divides(of, dim)
    if quotient is None or isinstance(quotient, int):
        return quotient is not None
    return len(quotient.terms) == 1 and all(isinstance(a, str) for monomial in quotient.terms for a, _ in monomial)


def _keep_largest(moments: list[_Sum], new: _Sum) -> None:
    """Add `new` and drop what can never be the largest."""
    if any(_covers(old, new) for old in moments):
        return
    moments[:] = [old for old in moments if not _covers(new, old)]
    if len(moments) < MAX_MOMENTS:
        moments.append(new)
    else:
        moments[-1] = {part: max(moments[-1].get(part, 0), new.get(part, 0)) for part in {**moments[-1], **new}}


__all__ = ["Activations", "Lifetime", "activations", "alive_at_peak", "peak"]
