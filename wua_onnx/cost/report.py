"""The result of a count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Unpack

from wua_onnx.cost import report_json
from wua_onnx.cost.binding import checked_sizes, mapped
from wua_onnx.cost.curve import Curve, curve_of
from wua_onnx.cost.energy import Constants, Energy, energy_of
from wua_onnx.cost.equal_sizes import EqualSizes, held
from wua_onnx.cost.figures import Figure, Figures
from wua_onnx.cost.groups import Group, by_module, by_operator
from wua_onnx.cost.live import LiveBytes, live_bytes
from wua_onnx.cost.memory_figures import MemoryFigures
from wua_onnx.cost.nodes import NodeCost, Observed, summed
from wua_onnx.cost.training import TrainingCost, training_of
from wua_onnx.cost.value import KINDS, Cost, Verdict
from wua_onnx.model.dims import Dim, substitute, symbol, symbols, total


@dataclass(frozen=True, kw_only=True)
class CostReport(MemoryFigures, Figures):
    """What a model costs per run: Python integers when every dimension is bound, else SymPy expressions.

    Its operations and bytes are those of `Figures`, its memory is that of `MemoryFigures`.

    Attributes:
        by_node: one entry a node of the main graph, in file order.
        params: unique elements of the parameters.
        live: the curve of a report that was read from JSON (see `live_bytes`).
        observed: the run that trips, branches and shapes were taken from; None where there was none.
        batch: samples in one run (as a dimension); None where no input tells.
        trainable: elements of the parameters that a training changes (convention 13).
        dims: the dimensions that were bound, by name.
        equal_sizes: free sizes that broadcasting takes for equal; the figures hold where they are.
    """

    by_node: tuple[NodeCost, ...]
    params: int
    batch: Dim | None = None
    trainable: int = 0
    dims: Mapping[str, int] = field(default_factory=dict)
    live: LiveBytes | None = field(default=None, repr=False, compare=False)
    observed: Observed | None = None
    equal_sizes: tuple[EqualSizes, ...] = ()

    @cached_property
    def cost(self) -> Cost:
        """The operations of all nodes, by kind."""
        return summed(node.cost for node in self.by_node)

    @property
    def samples_per_run(self) -> int | None:
        """Samples in one run; None while the batch is symbolic."""
        return self.batch if isinstance(self.batch, int) else None

    @cached_property
    def live_bytes(self) -> LiveBytes | None:
        """The bytes alive as the run proceeds; None while dimensions other than the batch are free."""
        return self.live or live_bytes(self.lifetimes or (), self._batch_of_one())

    @cached_property
    def moved(self) -> Dim:
        """Bytes read and written by all nodes, as a dimension."""
        return total(node.moved for node in self.by_node)

    @property
    def bytes_moved(self) -> Figure:
        """Bytes read and written by all nodes, weights included, nothing kept in caches."""
        return self.bytes

    @cached_property
    def by_operator(self) -> Mapping[str, Group]:
        """The cost by operator, dearest first where that can be decided."""
        return by_operator(self.by_node)

    @cached_property
    def by_module(self) -> Mapping[str, Group]:
        """The cost by module, every module with all it contains, parents before their children."""
        return by_module(self.by_node)

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

        Of an observed run they are the totals of that run (see `observed`), not of every other.
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

    @cached_property
    def backward(self) -> Cost:
        """The operations of the backward passes of all nodes, by kind (convention 13)."""
        return summed(node.backward for node in self.by_node)

    def training(
        self,
        *,
        samples: int,
        epochs: int = 1,
        factor: float | None = None,
        optimizer: str | None = None,
        batch_size: int | None = None,
    ) -> TrainingCost:
        """Return what a training costs: every sample forward and backward, in every epoch (convention 13).

        A batch symbol that is the only free one counts as 1.

        Args:
            samples: in the training set.
            epochs: how often each is seen.
            factor: backward as a multiple of forward (2 is the usual rule of thumb) instead of counting it.
            optimizer: "sgd", "momentum" or "adam", to count its steps too (`wua_onnx.cost.training.OPTIMIZERS`).
            batch_size: samples of a step; that of the model where it is fixed above 1.

        Raises:
            ShapeError: other dimensions are still free; bind them with `at`.
            DataError: a number is out of range, or there is no such optimizer.
        """
        return training_of(
            self, samples=samples, epochs=epochs, factor=factor, optimizer=optimizer, batch_size=batch_size
        )

    def energy(self, *, samples: int = 1, **constants: Unpack[Constants]) -> Energy:
        """Return an estimate of the energy and the carbon of inference.

        Args:
            samples: how many; a batch symbol that is the only free one counts as 1.
            constants: those of `wua_onnx.cost.energy.energy`, instead of its defaults; or `watts` and `seconds` of
                all samples, as they were measured.

        Raises:
            ShapeError: other dimensions are still free.
            DataError: a number is out of range.
            TypeError: there is no such constant.
        """
        return energy_of(self, samples, constants)

    def per_sample(self) -> CostReport:
        """Return the report with the batch bound to 1, where its symbol is the only free one; else this report."""
        one = self._batch_of_one()
        return self.at(one) if one else self

    def __repr__(self) -> str:
        macs, nodes = str(self.macs), len(self.by_node)
        macs = f"{self.macs:,}" if isinstance(self.macs, int) else macs if len(macs) <= 80 else f"{macs[:80]}…"
        return f"<CostReport of {nodes:,} nodes: {macs} MACs, {self.params:,} parameters, {self.bound}>"

    def _batch_of_one(self) -> dict[str, int]:
        only_free = len(self.symbols) == 1 and self.batch == symbol(self.symbols[0])
        return {self.symbols[0]: 1} if only_free else {}

    def at(self, mapping: Mapping[str, int] | None = None, **dims: int) -> CostReport:
        """Return the report with symbols bound, by name.

        Raises:
            ShapeError: a name is no free symbol of this report, a size is no integer of at least 0, or sizes that the
                figures take for equal (`equal_sizes`) differ.
        """
        values = checked_sizes("at", self.symbols, {**(mapping or {}), **dims})
        equal_sizes = held(self.equal_sizes, values, "at")
        return replace(
            mapped(self, lambda dim: substitute(dim, values)), dims={**self.dims, **values}, equal_sizes=equal_sizes
        )

    def curve(
        self, symbol: str, sizes: Iterable[int], mapping: Mapping[str, int] | None = None, /, **dims: int
    ) -> Curve:
        """Return the figures at every size of one symbol, as a table.

        Args:
            symbol: the dimension that varies, by name.
            sizes: its sizes, in the order of the table.
            mapping: sizes of the other free symbols, by name.
            dims: the same, as keywords.

        Raises:
            ShapeError: a name is no free symbol, a free one has no size, a size is no integer of at least 0, or sizes
                that the figures take for equal (`equal_sizes`) differ.
        """
        others = checked_sizes("curve", self.symbols, {**(mapping or {}), **dims})
        checked_sizes("curve", self.symbols, {symbol: 0})
        checked = [checked_sizes("curve", self.symbols, {symbol: size})[symbol] for size in sizes]
        for size in checked:
            held(self.equal_sizes, {**others, symbol: size}, "curve")
        return curve_of(self, symbol, checked, others)

    def renamed(self, names: Mapping[str, Dim]) -> CostReport:
        """Return the report with symbols replaced by `names` (from generated to displayed ones)."""
        return mapped(self, lambda dim: substitute(dim, names)) if names else self

    def to_dict(self) -> dict[str, Any]:
        """Return the report in JSON's own types."""
        return report_json.to_dict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> CostReport:
        """Return the report that `to_dict` wrote.

        Raises:
            KeyError, ValueError: the data was not written by `to_dict`.
        """
        return report_json.from_dict(cls, data)


__all__ = ["CostReport", "Figure", "NodeCost", "summed"]
