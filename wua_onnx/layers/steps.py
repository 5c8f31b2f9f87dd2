"""One step of a recurrence that an exporter wrote out, found by what its operators compute.

From a product with a constant the operators behind it are evaluated one by one, until a value is what a known cell
makes of the products and the states before.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import onnx_ir as ir

from wua_onnx.layers.cells import GATES, Cell, Points, identify
from wua_onnx.layers.choices import Branch, masked_branches
from wua_onnx.layers.draws import line_of
from wua_onnx.layers.elementwise import EVALUATE
from wua_onnx.layers.gate_products import COPIES, GateProduct, moved_from
from wua_onnx.layers.moves import Unmoved
from wua_onnx.layers.step_graph import Graph, is_elementwise
from wua_onnx.layers.step_values import StepValues
from wua_onnx.model.node import NodeView

Array: TypeAlias = np.ndarray[Any, Any]

_MOST_NODES = 96  # of one step


@dataclass(frozen=True, slots=True, eq=False)
class Share:
    """The columns of a product that go into one gate: a number of them equal to that of the hidden units.

    Attributes:
        product: the product.
        columns: the numbers of the columns of its result, one for each unit.
    """

    product: GateProduct
    columns: slice


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Step:
    """One step: the cell, the products that make its gates, and the hidden state it ends with.

    Attributes:
        cell: which one it is.
        output, axis: the next hidden state, and its axis along which the units lie.
        units: how many hidden units there are.
        kept: what the hidden state is where no mask skips the step; None where none does.
        inputs, hidden: for each gate in the order of ONNX, what goes into it from the input and from the hidden
            state; nothing for the latter in a first step without a state before it, and where one product is of both.
    """

    cell: Cell
    output: ir.Value
    axis: int
    units: int
    inputs: tuple[Share, ...]
    hidden: tuple[Share, ...]
    kept: Branch | None = None

    @property
    def products(self) -> list[GateProduct]:
        """The products, each once."""
        return list(dict.fromkeys(share.product for share in (*self.inputs, *self.hidden)))


class StepSearch:
    """The operators behind one product, evaluated one by one until one is the next hidden state of a cell."""

    def __init__(self, anchor: GateProduct, graph: Graph) -> None:
        self._anchor, self._graph = anchor, graph

    def run(self) -> Step | None:
        """Return the step that the anchor belongs to; None where there is none."""
        found = self._found(mask=True)
        return self._found(mask=False) if found is None and self._values.masked else found

    def _found(self, *, mask: bool) -> Step | None:
        """Return the step where booleans are `mask`: which of the two skips it, nothing tells beforehand."""
        self._values = StepValues(self._graph, moved_from(self._anchor.operand), mask=mask)
        self._reset: GateProduct | None = None
        try:
            self._values.draw(self._anchor)
        except Unmoved:
            return None
        simplest: Step | None = None
        for node in self._behind():
            for output in node.outputs:
                step = self._step(output) if self._may_be_a_state(output) else None
                if step is not None and step.cell.op != "RNN":
                    return step
                simplest = simplest or step  # a gate on its own looks like an RNN
        return simplest

    def _behind(self) -> Iterator[ir.Node]:
        """Yield the operators behind the anchor that can be evaluated, in file order."""
        pending: list[tuple[int, ir.Node]] = []
        queued: set[ir.Node] = set()
        latest = self._anchor.node
        while len(queued) < _MOST_NODES:
            for use in (use for output in latest.outputs for use in output.uses()):
                if use.node not in queued and use.node.graph is self._anchor.node.graph:
                    queued.add(use.node)
                    heapq.heappush(pending, (self._graph.order[use.node], use.node))
            evaluated = None
            while pending and evaluated is None:
                evaluated = self._evaluated(heapq.heappop(pending)[1])
            if evaluated is None:
                return
            yield evaluated
            latest = evaluated

    def _evaluated(self, node: ir.Node) -> ir.Node | None:
        """Return `node` where it can be evaluated."""
        product = self._graph.products.get(node)
        done = self._is_reset(product) if product else self._values.evaluate(NodeView(node, self._graph.model))
        return node if done else None

    def _is_reset(self, product: GateProduct) -> bool:
        """Take a product with what the reset gate leaves of the state; a step has one at most."""
        known = (other for node, other in self._graph.products.items() if node.outputs[0] in self._values.known)
        square = product.inside == (product.columns.size,)
        if self._reset or not square or product.operand not in self._values.known:
            return False
        if product.weight in {other.weight for other in known}:
            return False
        try:
            self._values.draw(product)
        except Unmoved:
            return False
        self._reset = product
        return True

    def _may_be_a_state(self, output: ir.Value) -> bool:
        """Return whether `output` is known, and is more than an operand of what follows elementwise."""
        if output not in self._values.known:
            return False
        uses = [use.node for use in output.uses()]
        followers = [NodeView(node, self._graph.model) for node in uses if node.op_type not in ("Shape", "Size")]
        shown = output.is_graph_output() or (bool(uses) and not followers)  # TensorFlow tries a step for its shapes
        return shown or any(
            node.op_type not in EVALUATE or node.op_type in COPIES or not is_elementwise(node) for node in followers
        )

    def _step(self, output: ir.Value) -> Step | None:
        """Return the step that ends with `output`; None where it is no hidden state of a known cell."""
        along = line_of(self._values.known[output])
        if along is None:
            return None
        axis, result = along
        units = result.shape[1]
        products = self._products_before(output)
        if any(product.columns.size % units for product in products):
            return None
        operand = moved_from(self._anchor.operand)
        sides = [
            [p for p in products if p is self._reset or (moved_from(p.operand) is operand) is same]
            for same in (True, False)
        ]
        for mine, others in (sides, sides[::-1]):
            inputs = [product for product in mine if product is not self._reset]
            for cell, into, back in self._identified(inputs, others, result):
                kept = self._kept(output)
                return Step(output=output, axis=axis, units=units, cell=cell, inputs=into, hidden=back, kept=kept)
        return None

    def _kept(self, output: ir.Value) -> Branch | None:
        """Return what `output` is where no mask skips the step."""
        known = self._values.known
        for branch in masked_branches(output):
            if branch.value in known and np.array_equal(known[branch.value], known[output]):
                return branch
        return None

    def _products_before(self, output: ir.Value) -> list[GateProduct]:
        """Return the products of this step that `output` is computed from."""
        found: dict[GateProduct, None] = {}
        pending, seen = [output], {output}
        while pending:
            value = pending.pop()
            node = value.producer()
            product = self._graph.products.get(node) if node is not None else None
            if product is not None:
                found[product] = None
            behind = [product.operand] if product is not None and product is self._reset else []
            if node is not None and product is None:
                behind = [operand for operand in node.inputs if operand is not None]
            elif value in self._graph.scanned:
                behind = [self._graph.scanned[value][0]]
            behind = [v for v in behind if v in self._values.known and v not in seen and v not in self._values.states]
            seen.update(behind)
            pending.extend(behind)
        return list(found)

    def _identified(
        self, inputs: Sequence[GateProduct], hidden: Sequence[GateProduct], result: Array
    ) -> Iterator[tuple[Cell, tuple[Share, ...], tuple[Share, ...]]]:
        """Yield the cell that makes `result` of the products; nothing where it is none that is known."""
        units = result.shape[1]
        counts = [sum(product.columns.size // units for product in side) for side in (inputs, hidden)]
        if counts[0] not in GATES.values() or counts[1] not in (0, counts[0]):
            return
        for interleaved in (False, True):
            shares = [[s for p in side for s in _shares(p, units, interleaved)] for side in (inputs, hidden)]
            rows = [np.array([self._row(share) for share in side]).reshape(len(side), result.size) for side in shares]
            states = [line[1] for draws in self._values.states.values() if (line := line_of(draws)) is not None]
            reset = line_of(self._values.known[self._reset.operand]) if self._reset in hidden and self._reset else None
            points = Points(
                result=result.reshape(-1),
                inputs=rows[0],
                hidden=rows[1],
                states=[state.reshape(-1) for state in states if state.shape == result.shape],
                reset=reset[1].reshape(-1) if reset is not None else None,
            )
            cell = identify(points, alike=max(map(len, (inputs, hidden))) == 1)
            if cell is not None:
                yield cell, tuple(shares[0][i] for i in cell.inputs), tuple(shares[1][i] for i in cell.hidden)

    def _row(self, share: Share) -> Array:
        line = line_of(self._values.known[share.product.node.outputs[0]])
        assert line is not None
        return line[1][:, share.columns].reshape(-1)


def _shares(product: GateProduct, units: int, interleaved: bool) -> list[Share]:
    """Return the columns of each gate: those of a gate side by side, or those of a unit."""
    gates = product.columns.size // units
    if interleaved:
        return [Share(product, slice(gate, None, gates)) for gate in range(gates)]
    return [Share(product, slice(gate * units, (gate + 1) * units)) for gate in range(gates)]
