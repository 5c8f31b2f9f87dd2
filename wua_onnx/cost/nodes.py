"""What one node costs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from wua_onnx.cost.figures import Figures
from wua_onnx.cost.value import KINDS, Cost, Verdict
from wua_onnx.model.dims import Dim, Shape, total

# Where a node lies inside of another: the attribute that holds its graph and its number there, from the outside in.
Path: TypeAlias = "tuple[tuple[str, int], ...]"

# Reasons of nodes that do no work on data in a run.
CONSTANT = "depends on constants only: computed once at load"
UNUSED = "reaches no output: never run"
SHAPE_ARITHMETIC = "shape arithmetic"


def summed(costs: Iterable[Cost]) -> Cost:
    """Return the sum of `costs`."""
    costs = list(costs)
    return Cost(**{kind: total(getattr(cost, kind) for cost in costs) for kind in KINDS})


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What a count rests on beside the graph: a run.

    Attributes:
        samples: how many samples ran; the trips, branches and shapes of that run are counted, and hold for no other.
        error: why nothing could be observed, so that the count is that of the graph alone.
    """

    samples: int
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class NodeCost(Figures):
    """What one node costs per run.

    Attributes:
        name, op: the node and its operator (with its domain, where that is not ai.onnx).
        module: the path of the module it came from, outermost first; `module_name` as its framework writes it.
        cost: the operations, by kind.
        verdict, reason: how the figures were come by.
        bytes_read, bytes_written: the traffic of its inputs (weights included) and outputs.
        params: elements of the parameters that it is the first to read, so that nodes add up to the whole model.
        outputs: shapes of its outputs; None where unknown.
        backward: the operations of its backward pass in training.
        upper: whether the figures are an upper bound (the dearer branch, the most trips).
        inside: unknown operators in the graphs of control flow, and how many nodes of each.
        inner: what each node in those graphs contributes to `cost`, times the trips; of each branch of an If, so that
            they may add up to more. Not in JSON.
    """

    name: str
    op: str
    module: tuple[str, ...] = ()
    module_name: str = ""
    cost: Cost = field(default_factory=Cost)
    verdict: Verdict = Verdict.COUNTED
    reason: str | None = None
    bytes_read: Dim = 0
    bytes_written: Dim = 0
    params: int = 0
    outputs: tuple[Shape | None, ...] = ()
    backward: Cost = field(default_factory=Cost)
    upper: bool = False
    inside: tuple[tuple[str, int], ...] = ()
    inner: tuple[tuple[Path, Cost], ...] = field(default=(), repr=False, compare=False)

    @property
    def moved(self) -> Dim:
        """Bytes read and written, as a dimension."""
        return self.bytes_read + self.bytes_written

    def map(self, function: Callable[[Dim], Dim]) -> NodeCost:
        """Return the same node with `function` applied to every figure and dimension."""
        return replace(
            self,
            cost=self.cost.map(function),
            backward=self.backward.map(function),
            bytes_read=function(self.bytes_read),
            bytes_written=function(self.bytes_written),
            outputs=tuple(None if shape is None else tuple(map(function, shape)) for shape in self.outputs),
            inner=tuple((path, cost.map(function)) for path, cost in self.inner),
        )
