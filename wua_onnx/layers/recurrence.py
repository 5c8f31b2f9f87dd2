"""Recurrent cells that an exporter wrote out: as the body of a Loop or of a Scan, or as unrolled steps.

Their weights are used by MatMul or Gemm, but they are those of an LSTM, GRU or RNN: canonical weights are
(gates, hidden, in) with the gates in the order of ONNX, and the neurons are the hidden units, read in the hidden state
of each step. What is not recognised stays the dense layers that it is made of.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import onnx_ir as ir

from wua_onnx.layers.gate_products import GateProduct, gate_product, moved_from
from wua_onnx.layers.kinds.recurrent import GATES
from wua_onnx.layers.layer import Arrangement, Features, Use
from wua_onnx.layers.sizes import Sizes
from wua_onnx.layers.step_values import Graph
from wua_onnx.layers.steps import Share, Step, StepSearch
from wua_onnx.model.graph import Model, NodeView
from wua_onnx.model.loops import carried_by

Array: TypeAlias = np.ndarray[Any, Any]


def recurrences(model: Model, nodes: Iterable[NodeView]) -> dict[ir.Node, list[Use]]:
    """Return the uses of the weights of recurrent cells that are written out, by the operators that they replace.

    Args:
        model: the model.
        nodes: its operators, those of inner graphs included.
    """
    sizes = Sizes(model, 1)
    found = ((node.node, gate_product(node, sizes)) for node in nodes)
    products = {node: product for node, product in found if product is not None}
    steps = _linked(_steps(Graph(model, sizes, products)), model)
    uses: dict[ir.Value, list[Use]] = {}
    for step in steps:
        for root, shares in _by_root(step).items():
            use = _use(step, shares)
            if use is not None:
                uses.setdefault(root, []).append(use)
    replaced = {product.node: product.root for step in steps for product in step.products}
    whole = set(uses) - {product.root for node, product in products.items() if node not in replaced}
    result: dict[ir.Node, list[Use]] = {node: [] for node, root in replaced.items() if root in whole}
    for root in whole:
        for use in uses[root]:
            result[use.node.node].append(use)
    return result


def _steps(graph: Graph) -> list[Step]:
    """Return every step once, in file order."""
    found: dict[ir.Value, Step] = {}
    taken: set[GateProduct] = set()
    for product in graph.products.values():
        step = StepSearch(product, graph).run() if product not in taken else None
        if step is not None:
            found.setdefault(step.output, step)
            taken.update(step.products)
    return sorted(found.values(), key=lambda step: graph.order[_producer(step.output)])


def _producer(value: ir.Value) -> ir.Node:
    node = value.producer()
    assert node is not None
    return node


def _linked(steps: Sequence[Step], model: Model) -> list[Step]:
    """Return the steps of recurrences, the side of the hidden state told from that of the input.

    What an LSTM or a GRU computes is found nowhere else; what an RNN does, in any sum of two products. So that must
    read its own hidden state, in the next trip of a loop or in the next of several steps.
    """
    read = _states_of({step.output for step in steps}, model) | {step.output for step in steps}
    recurrent = {
        share.product.root
        for step in steps
        for share in (*step.inputs, *step.hidden)
        if moved_from(share.product.operand) in read
    }
    result = []
    for step in steps:
        sides = [{share.product.root for share in side} & recurrent for side in (step.inputs, step.hidden)]
        if step.cell.op == "GRU" or sides[1]:
            result.append(step)
        elif step.cell.op == "LSTM" or sides[0]:
            result.append(replace(step, inputs=step.hidden, hidden=step.inputs) if sides[0] else step)
    return result


def _states_of(outputs: set[ir.Value], model: Model) -> set[ir.Value]:
    """Return what loops carry that is one of `outputs` after every trip, or after those that a mask does not skip."""
    states: set[ir.Value] = set()
    for node in model.all_nodes():
        for state, result in carried_by(node):
            last = moved_from(result)
            chosen = last.producer()
            branches = chosen.inputs[1:] if chosen is not None and chosen.op_type == "Where" else (last,)
            if any(branch is not None and moved_from(branch) in outputs for branch in branches):
                states.add(state)
    return states


def _by_root(step: Step) -> dict[ir.Value, list[tuple[int, Share]]]:
    """Return which gates each initializer holds, and where, in the order of ONNX."""
    found: dict[ir.Value, list[tuple[int, Share]]] = {}
    for side in (step.inputs, step.hidden):
        for gate, share in enumerate(side):
            found.setdefault(share.product.root, []).append((gate, share))
    return found


def _use(step: Step, shares: Sequence[tuple[int, Share]]) -> Use | None:
    """Return the use of one initializer in `step`; None where some of its columns are in no gate."""
    uses = [share.product.use for _, share in shares]
    first, names = uses[0], GATES[step.cell.op]
    inside, columns = first.arrangement.shape
    rows = np.concatenate([share.product.columns[share.columns] for _, share in shares])
    if not np.array_equal(np.sort(rows), np.arange(columns)) or len({use.factor for use in uses}) > 1:
        return None
    return replace(
        first,
        kind="recurrent",
        arrangement=_arrangement(first.arrangement, rows, (len(shares), step.units, inside)),
        neuron_axis=1,
        output=step.output,
        output_axes=(step.axis,),
        reads="output",
        features=_features(first.features),
        parameter=None if not step.inputs else "W" if any(share is shares[0][1] for share in step.inputs) else "R",
        gates=tuple(names[gate] for gate, _ in shares),
    )


def _arrangement(dense: Arrangement, rows: Array, shape: tuple[int, ...]) -> Arrangement:
    """Return what makes a weight (gates, hidden, in) that `dense` makes (in, out), its columns in the order `rows`."""
    inputs = next(
        count
        for count in range(len(dense.permutation) + 1)
        if np.prod([dense.split[axis] for axis in dense.permutation[:count]]) == shape[2]
    )
    order = (*dense.permutation[inputs:], *dense.permutation[:inputs])
    in_order = np.array_equal(rows, np.arange(rows.size))
    return Arrangement(dense.split, order, shape, () if in_order else tuple(rows.tolist()))


def _features(dense: Features | None) -> Features | None:
    """Return the same features, spread over (gates, hidden, in)."""
    return None if dense is None else replace(dense, spread=partial(_spread, dense=dense))


def _spread(features: Array, dense: Features) -> Array:
    return dense.spread(features)[:, :1].reshape(1, 1, -1)
