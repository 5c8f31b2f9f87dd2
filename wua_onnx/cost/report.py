"""The result of a count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

from wua_onnx.cost.training import TrainingCost
from wua_onnx.cost.value import KINDS, Cost, Verdict
from wua_onnx.errors import ShapeError
from wua_onnx.model.dim_json import from_json, to_json
from wua_onnx.model.dims import Dim, Shape, substitute, symbols, to_sympy, total

if TYPE_CHECKING:
    import sympy

Figure: TypeAlias = "int | sympy.Expr"


def summed(costs: Iterable[Cost]) -> Cost:
    """Return the sum of `costs`."""
    costs = list(costs)
    return Cost(**{kind: total(getattr(cost, kind) for cost in costs) for kind in KINDS})


@dataclass(frozen=True, kw_only=True)
class NodeCost:
    """What one node costs per run.

    Attributes:
        name, op: the node and its operator (with its domain, where that is not ai.onnx).
        module: the path of the module it came from, outermost first; `module_name` as its framework writes it.
        cost: the operations, by kind.
        verdict, reason: how the figures were come by.
        bytes_read, bytes_written: the traffic of its inputs (weights included) and outputs.
        outputs: shapes of its outputs; None where unknown.
        backward: the operations of its backward pass in training.
        upper: whether the figures are an upper bound (the dearer branch, the most trips).
        inside: unknown operators in the graphs of control flow, and how many nodes of each.
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
    outputs: tuple[Shape | None, ...] = ()
    backward: Cost = field(default_factory=Cost)
    upper: bool = False
    inside: tuple[tuple[str, int], ...] = ()

    @property
    def macs(self) -> Figure:
        """Multiply-accumulates."""
        return to_sympy(self.cost.macs)

    @property
    def flops(self) -> Figure:
        """Floating-point operations."""
        return to_sympy(self.cost.flops)

    @property
    def bytes(self) -> Figure:
        """Bytes read and written."""
        return to_sympy(self.bytes_read + self.bytes_written)

    def map(self, function: Callable[[Dim], Dim]) -> NodeCost:
        """Return the same node with `function` applied to every figure and dimension."""
        return replace(
            self,
            cost=self.cost.map(function),
            backward=self.backward.map(function),
            bytes_read=function(self.bytes_read),
            bytes_written=function(self.bytes_written),
            outputs=tuple(None if shape is None else tuple(map(function, shape)) for shape in self.outputs),
        )


@dataclass(frozen=True, kw_only=True)
class Group:
    """The cost of several nodes together: of one operator, or of one module with everything inside it."""

    name: str
    nodes: int
    cost: Cost
    moved: Dim
    depth: int = 0
    verdict: Verdict = Verdict.COUNTED
    reason: str | None = None

    @property
    def macs(self) -> Figure:
        """Multiply-accumulates."""
        return to_sympy(self.cost.macs)

    @property
    def flops(self) -> Figure:
        """Floating-point operations."""
        return to_sympy(self.cost.flops)


def _times(flops: Dim, factor: Fraction) -> int:
    """Return a bound number of operations times `factor`, rounded to whole operations."""
    assert isinstance(flops, int)
    return round(flops * factor)


# When verdicts meet in one group, the one that says most about what is missing is shown.
_GRAVEST = (Verdict.UNKNOWN, Verdict.ESTIMATE, Verdict.COUNTED, Verdict.FREE)


def _group(name: str, nodes: list[NodeCost], depth: int = 0) -> Group:
    verdict = next(v for v in _GRAVEST if any(node.verdict == v for node in nodes))
    return Group(
        name=name,
        nodes=len(nodes),
        cost=summed(node.cost for node in nodes),
        moved=total(node.bytes_read + node.bytes_written for node in nodes),
        depth=depth,
        verdict=verdict,
        reason=next(node.reason for node in nodes if node.verdict == verdict),
    )


@dataclass(frozen=True, kw_only=True)
class CostReport:
    """What a model costs per run: Python integers when every dimension is bound, else SymPy expressions.

    Attributes:
        by_node: one entry a node of the main graph, in file order.
        params, weight_bytes: unique elements of the parameters, and their bytes.
        activations, peak: bytes of all activations, and of those alive at once at most (as dimensions).
        samples_per_run: samples in one run; None while the batch is symbolic.
        dims: the dimensions that were bound, by name.
    """

    by_node: tuple[NodeCost, ...]
    params: int
    weight_bytes: int
    activations: Dim
    peak: Dim
    samples_per_run: int | None
    dims: Mapping[str, int] = field(default_factory=dict)

    @cached_property
    def cost(self) -> Cost:
        """The operations of all nodes, by kind."""
        return summed(node.cost for node in self.by_node)

    @property
    def macs(self) -> Figure:
        """Multiply-accumulates of contractions, float and integer."""
        return to_sympy(self.cost.macs)

    @property
    def int_macs(self) -> Figure:
        """The integer part of `macs`."""
        return to_sympy(self.cost.int_macs)

    @property
    def flops(self) -> Figure:
        """Floating-point operations: two per floating-point MAC, plus all others."""
        return to_sympy(self.cost.flops)

    @property
    def int_ops(self) -> Figure:
        """Integer operations, two per integer MAC."""
        return to_sympy(self.cost.int_ops)

    @property
    def activation_bytes(self) -> Figure:
        """Bytes of every activation, each counted once."""
        return to_sympy(self.activations)

    @property
    def peak_activation_bytes(self) -> Figure:
        """The most bytes of activations alive at once (convention 14)."""
        return to_sympy(self.peak)

    @cached_property
    def moved(self) -> Dim:
        """Bytes read and written by all nodes, as a dimension."""
        return total(node.bytes_read + node.bytes_written for node in self.by_node)

    @property
    def bytes_moved(self) -> Figure:
        """Bytes read and written by all nodes, weights included, nothing kept in caches."""
        return to_sympy(self.moved)

    @cached_property
    def by_operator(self) -> Mapping[str, Group]:
        """The cost by operator, dearest first where that can be decided."""
        groups: dict[str, list[NodeCost]] = {}
        for node in self.by_node:
            groups.setdefault(node.op, []).append(node)
        result = [_group(name, nodes) for name, nodes in groups.items()]
        return {group.name: group for group in sorted(result, key=_size_of, reverse=True)}

    @cached_property
    def by_module(self) -> Mapping[str, Group]:
        """The cost by module, in order of appearance, every module with all it contains."""
        groups: dict[tuple[str, ...], list[NodeCost]] = {}
        names: dict[tuple[str, ...], str] = {}
        for node in self.by_node:
            separator = "/" if "/" in node.module_name else "."
            for depth in range(1, len(node.module) + 1):
                path = node.module[:depth]
                groups.setdefault(path, []).append(node)
                names.setdefault(path, separator.join(path))
        return {names[path]: _group(names[path], nodes, len(path)) for path, nodes in groups.items()}

    @cached_property
    def symbols(self) -> tuple[str, ...]:
        """The names of the dimensions that are still free in some figure."""
        found: set[str] = set()
        for dim in (self.moved, self.activations, self.peak, *(getattr(self.cost, kind) for kind in KINDS)):
            found |= symbols(dim)
        return tuple(sorted(found))

    @cached_property
    def unsupported(self) -> Mapping[str, int]:
        """The operators whose work is not known, and how many nodes of each."""
        found = Counter(node.op for node in self.by_node if node.verdict == Verdict.UNKNOWN and not node.inside)
        for node in self.by_node:
            found.update(dict(node.inside))
        return dict(found)

    @property
    def bound(self) -> str:
        """How the totals relate to the truth.

        exact; lower (unknown work); upper (the dearer branch, the most trips); mixed (both, or estimates take part).
        """
        upper = any(node.upper for node in self.by_node)
        if any(node.verdict == Verdict.ESTIMATE for node in self.by_node) or (upper and self.unsupported):
            return "mixed"
        if self.unsupported:
            return "lower"
        return "upper" if upper else "exact"

    @property
    def is_exact(self) -> bool:
        """Whether every operation is counted."""
        return self.bound == "exact"

    def training(self, *, samples: int, epochs: int = 1, factor: float | None = None) -> TrainingCost:
        """Return what a training costs: every sample forward and backward, in every epoch (convention 13).

        Args:
            samples: in the training set.
            epochs: how often each is seen.
            factor: backward as a multiple of forward (2 is the usual rule of thumb) instead of counting it.

        Raises:
            ShapeError: dimensions are still free; bind them with `at` (the batch to 1).
        """
        if self.symbols:
            raise ShapeError(f"training: expected every dimension bound, got free ones: {', '.join(self.symbols)}")
        per_run = self.samples_per_run or 1
        times = Fraction(samples * epochs, per_run)
        forward = self.cost.flops
        if factor is None:
            back, convention = summed(node.backward for node in self.by_node).flops, "counted per operator"
        else:
            back, convention = _times(forward, Fraction(factor)), f"{factor:g} × forward"
        return TrainingCost(
            forward=_times(forward, times),
            backward=_times(back, times),
            samples=samples,
            epochs=epochs,
            convention=convention,
        )

    def at(self, mapping: Mapping[str, int] | None = None, **dims: int) -> CostReport:
        """Return the report with symbols bound, by name.

        Raises:
            ShapeError: a name is no free symbol of this report, or a size is below 0.
        """
        values = {**(mapping or {}), **dims}
        for name, size in values.items():
            if name not in self.symbols:
                known = ", ".join(self.symbols) or "none"
                raise ShapeError(f"at({name}={size}): expected one of the free symbols ({known}), got {name!r}")
            if size < 0:
                raise ShapeError(f"at({name}={size}): expected a size of at least 0, got {size}")
        return replace(
            self._mapped(lambda dim: substitute(dim, values)),
            dims={**self.dims, **values},
        )

    def renamed(self, names: Mapping[str, Dim]) -> CostReport:
        """Return the report with symbols replaced by `names` (from generated to displayed ones)."""
        return self._mapped(lambda dim: substitute(dim, names)) if names else self

    def _mapped(self, function: Callable[[Dim], Dim]) -> CostReport:
        return replace(
            self,
            by_node=tuple(node.map(function) for node in self.by_node),
            activations=function(self.activations),
            peak=function(self.peak),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the report in JSON's own types."""
        return {
            **_figures(self.cost, self.moved),
            "int_macs": to_json(self.cost.int_macs),
            "kinds": {kind: to_json(getattr(self.cost, kind)) for kind in ("mul", "add", "div", "compare", "special")},
            "params": to_json(self.params),
            "weight_bytes": to_json(self.weight_bytes),
            "activation_bytes": to_json(self.activations),
            "peak_activation_bytes": to_json(self.peak),
            "bytes_moved": to_json(self.moved),
            "bound": self.bound,
            "samples_per_run": self.samples_per_run,
            "symbols": list(self.symbols),
            "dims": dict(self.dims),
            "unsupported": dict(self.unsupported),
            "by_operator": [_group_dict(g, op=g.name, count=g.nodes) for g in self.by_operator.values()],
            "by_module": [_group_dict(g, path=g.name, depth=g.depth, nodes=g.nodes) for g in self.by_module.values()],
            "by_node": [_node_dict(node) for node in self.by_node],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> CostReport:
        """Return the report that `to_dict` wrote.

        Raises:
            KeyError, ValueError: the data was not written by `to_dict`.
        """
        return cls(
            by_node=tuple(map(_node_from_dict, data["by_node"])),
            params=_dim(data["params"], int),
            weight_bytes=_dim(data["weight_bytes"], int),
            activations=_dim(data["activation_bytes"]),
            peak=_dim(data["peak_activation_bytes"]),
            samples_per_run=data["samples_per_run"],
            dims=dict(data["dims"]),
        )


def _size_of(group: Group) -> tuple[int, int, int]:
    """Return an order of groups: by flops at every symbol = 16, then by bytes, then by count."""

    def at_16(dim: Dim) -> int:
        value = substitute(dim, dict.fromkeys(symbols(dim), 16))
        return value if isinstance(value, int) else 0

    return at_16(group.cost.flops + group.cost.int_ops), at_16(group.moved), group.nodes


def _figures(cost: Cost, moved: Dim) -> dict[str, Any]:
    return {
        "macs": to_json(cost.macs),
        "flops": to_json(cost.flops),
        "int_ops": to_json(cost.int_ops),
        "bytes": to_json(moved),
    }


def _group_dict(group: Group, **head: Any) -> dict[str, Any]:
    return {**head, **_figures(group.cost, group.moved), "verdict": group.verdict.value, "reason": group.reason}


def _node_dict(node: NodeCost) -> dict[str, Any]:
    return {
        "name": node.name,
        "op": node.op,
        "module": node.module_name,
        "path": list(node.module),
        **_figures(node.cost, node.bytes_read + node.bytes_written),
        "cost": {kind: to_json(getattr(node.cost, kind)) for kind in KINDS if getattr(node.cost, kind) != 0},
        "backward": {
            kind: to_json(getattr(node.backward, kind)) for kind in KINDS if getattr(node.backward, kind) != 0
        },
        "read": to_json(node.bytes_read),
        "written": to_json(node.bytes_written),
        "verdict": node.verdict.value,
        "reason": node.reason,
        "upper": node.upper,
        "inside": dict(node.inside),
        "outputs": [None if shape is None else [to_json(dim) for dim in shape] for shape in node.outputs],
    }


def _dim(value: Any, *kinds: type) -> Any:
    dim = from_json(value)
    if dim is None or (kinds and not isinstance(dim, kinds)):
        raise ValueError(f"expected a number, got {value!r}")
    return dim


def _node_from_dict(data: Mapping[str, Any]) -> NodeCost:
    return NodeCost(
        name=data["name"],
        op=data["op"],
        module=tuple(data["path"]),
        module_name=data["module"],
        cost=Cost(**{kind: _dim(value) for kind, value in data["cost"].items()}),
        backward=Cost(**{kind: _dim(value) for kind, value in data["backward"].items()}),
        verdict=Verdict(data["verdict"]),
        reason=data["reason"],
        upper=data["upper"],
        inside=tuple(data["inside"].items()),
        bytes_read=_dim(data["read"]),
        bytes_written=_dim(data["written"]),
        outputs=tuple(None if shape is None else tuple(map(_dim, shape)) for shape in data["outputs"]),
    )
