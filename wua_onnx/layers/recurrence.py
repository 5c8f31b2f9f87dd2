"""Recurrent cells that an exporter wrote out: as the body of a Loop or of a Scan, or as unrolled steps.

Their weights are used by MatMul or Gemm, but they are those of an LSTM, GRU or RNN: canonical weights are
(gates, hidden, in) with the gates in the order of ONNX, and the neurons are the hidden units, read in the hidden state
of each step. Recurrent convolutions use them by Conv: (gates, filters, in, ...), read at every position. What is not
recognised stays the dense layers or convolutions that it is made of.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import onnx_ir as ir

from wua_onnx.layers.choices import chosen_from, kept
from wua_onnx.layers.gate_products import GateProduct, gate_product, moved_from
from wua_onnx.layers.kinds.recurrent import GATES
from wua_onnx.layers.layer import Arrangement, Features, Use
from wua_onnx.layers.sizes import Sizes
from wua_onnx.layers.step_graph import Graph
from wua_onnx.layers.steps import Share, Step, StepSearch
from wua_onnx.model.graph import Model
from wua_onnx.model.loops import carried_by
from wua_onnx.model.node import NodeView

Array: TypeAlias = np.ndarray[Any, Any]

_GATING = frozenset({"Sigmoid", "HardSigmoid"})


def recurrences(model: Model, nodes: Iterable[NodeView]) -> dict[ir.Node, list[Use]]:
    """Return the uses of the weights of recurrent cells that are written out, by the operators that they replace.

    Args:
        model: the model.
        nodes: its operators, those of inner graphs included.
    """
    sizes = Sizes(model, 1)
    found = ((node.node, gate_product(node, sizes)) for node in nodes)
    products = _repeated({node: product for node, product in found if product is not None}, model)
    if not _may_recur(model, products):
        return {}
    steps, recurrent = _linked(_steps(Graph(model, sizes, products)), model)
    replaced = {product.node: product.root for step in steps for product in step.products}
    dense = {product.root for node, product in products.items() if node not in replaced}
    # A weight of other products, too, would be two kinds of layers in one.
    uses = {root: own for root, own in _uses(steps, recurrent, model).items() if root not in dense}
    result: dict[ir.Node, list[Use]] = {node: [] for node in products if replaced.get(node) in uses}
    first = _first_of(steps, list(result))
    for use in (use for own in uses.values() for use in own):
        result[first[use.node.node]].append(use)
    return result


def _repeated(products: Mapping[ir.Node, GateProduct], model: Model) -> dict[ir.Node, GateProduct]:
    """Return `products` without convolutions that run once: those of a recurrence are in a loop, or share filters."""
    uses = Counter(product.root for product in products.values())
    main = model.ir_model.graph
    return {
        node: product
        for node, product in products.items()
        if product.use.kind == "dense" or uses[product.root] > 1 or node.graph is not main
    }


def _first_of(steps: Sequence[Step], nodes: Sequence[ir.Node]) -> dict[ir.Node, ir.Node]:
    """Return for each of `nodes`, products of steps in any order, the first product of its step.

    There the weights of the step are found, those of the input before those of the hidden state.
    """
    place = {node: number for number, node in enumerate(nodes)}
    first: dict[ir.Node, ir.Node] = {}
    for step in steps:
        own = [product.node for product in step.products if product.node in place]
        first |= {node: min(own, key=place.__getitem__) for node in own if node not in first}
    return first


def _may_recur(model: Model, products: Mapping[ir.Node, GateProduct]) -> bool:
    """Return whether there can be a cell: a weight of several steps, a body of a loop, or gates for a single step."""
    roots = [product.root for product in products.values()]
    if len(set(roots)) < len(roots) or any(node.graph is not model.ir_model.graph for node in products):
        return True
    return any(node.op_type in _GATING for node in model.ir_model.graph)


def _uses(steps: Sequence[Step], recurrent: Collection[ir.Value], model: Model) -> dict[ir.Value, list[Use]]:
    """Return the uses of each initializer in `steps`; those among `recurrent` are multiplied with the hidden state."""
    places = {step: _place(step, model) for step in steps}
    found: dict[ir.Value, list[Use]] = {}
    for step in [step for step in steps if not _is_shown_for_its_shape(step.output)] or steps:
        for root, shares in _by_root(step).items():
            use = _use(step, shares, "R" if root in recurrent else "W")
            if use is not None:
                read = [replace(use, **places[each]) for each in _read(step, steps, root)]
                found.setdefault(root, []).extend(read)
    return found


def _is_shown_for_its_shape(value: ir.Value) -> bool:
    """Return whether only the shape of `value` is used: TensorFlow tries a step to see what it returns."""
    uses = [use.node.op_type for use in value.uses()]
    return bool(uses) and set(uses) <= {"Shape", "Size"} and not value.is_graph_output()


def _place(step: Step, model: Model) -> dict[str, Any]:
    """Return where the units of a step are read: in its hidden state, of the samples that no mask makes skip it."""
    read = kept(step.kept, step.output, step.axis, model) if step.kept is not None else None
    side, valid = (None, None) if read is None else (read[0], (read[1], None))
    return {"output": step.output, "output_axes": (step.axis,), "side": side, "valid": valid}


def _read(step: Step, steps: Sequence[Step], root: ir.Value) -> Iterator[Step]:
    """Yield the steps in whose hidden states the units of initializer `root` are read: `step`.

    Also a first step whose product with the state before, a constant, was computed when the model was written.
    """
    if any(share.product.root is root for share in step.hidden):
        before = _befores(product for product in step.products if product.root is root)
        yield from (first for first in steps if not first.hidden and before & _ends(first))
    yield step


def _steps(graph: Graph) -> list[Step]:
    """Return every step once, in file order."""
    found: dict[ir.Value, Step] = {}
    taken: set[GateProduct] = set()
    for product in graph.products.values():
        step = StepSearch(product, graph).run() if product not in taken else None
        if step is not None:
            found.setdefault(step.output, step)
            taken.update(step.products)
    gated = {product for step in found.values() if step.cell.op != "RNN" for product in step.products}
    whole = [step for step in found.values() if step.cell.op != "RNN" or not gated.intersection(step.products)]
    return sorted(whole, key=lambda step: graph.order[_producer(step.output)])


def _producer(value: ir.Value) -> ir.Node:
    node = value.producer()
    assert node is not None
    return node


def _linked(steps: Sequence[Step], model: Model) -> tuple[list[Step], set[ir.Value]]:
    """Return the steps of recurrences, and the initializers that their hidden states are multiplied with.

    What an LSTM or a GRU computes is found nowhere else; what an RNN does, in any sum of two products. So that must
    read its own hidden state, in the next trip of a loop or in the next of several steps; and so must the step after
    a first one that has no state before it.
    """
    weights = {end: {product.root for product in step.products} for step in steps for end in _ends(step)}
    weights |= {state: weights[end] for state, end in _states_of(weights.keys(), model)}
    recurrent = {
        product.root
        for step in steps
        for product in (step.products if step.hidden else ())
        if any(weights.get(before, set()) & weights[step.output] for before in _befores([product]))
    }
    recurrent |= {share.product.root for step in steps if step.cell.op == "GRU" for share in step.hidden}
    found: list[Step] = []
    for step in steps:
        if not step.hidden:
            if step.cell.op == "LSTM" or any(_follows(other, step) for other in steps):
                found.append(step)
        elif any(share.product.root in recurrent for share in step.hidden):
            found.append(step)
        elif any(share.product.root in recurrent for share in step.inputs):
            found.append(replace(step, inputs=step.hidden, hidden=step.inputs))
        elif step.cell.op == "LSTM":
            found.append(step)
    return found, recurrent


def _follows(step: Step, first: Step) -> bool:
    """Return whether `step` starts with the hidden state that `first` ends with, and shares its weights."""
    roots = {product.root for product in step.products}
    starts = _befores(step.products)
    return bool(step.hidden) and bool(_ends(first) & starts) and {product.root for product in first.products} <= roots


def _ends(step: Step) -> set[ir.Value]:
    """Return the hidden state that `step` ends with, and that which it has where no mask skips it."""
    return {step.output} if step.kept is None else {step.output, moved_from(step.kept.value)}


def _befores(products: Iterable[GateProduct]) -> set[ir.Value]:
    """Return what `products` multiply, where it is chosen by a mask also what it is chosen from."""
    return {end for product in products for end in chosen_from(product.operand)}


def _states_of(ends: Collection[ir.Value], model: Model) -> Iterator[tuple[ir.Value, ir.Value]]:
    """Yield what loops carry that is one of `ends` after a trip (where a mask does not skip it), and which."""
    for node in model.all_nodes():
        for state, result in carried_by(node):
            yield from ((state, end) for end in chosen_from(result) if end in ends)


def _by_root(step: Step) -> dict[ir.Value, list[tuple[int, Share]]]:
    """Return which gates each initializer holds, and where, in the order of ONNX."""
    found: dict[ir.Value, list[tuple[int, Share]]] = {}
    for side in (step.inputs, step.hidden):
        for gate, share in enumerate(side):
            found.setdefault(share.product.root, []).append((gate, share))
    return found


def _use(step: Step, shares: Sequence[tuple[int, Share]], parameter: str) -> Use | None:
    """Return the use of one initializer in `step`; None where some of its columns are in no gate."""
    uses = [share.product.use for _, share in shares]
    product, first, names = shares[0][1].product, uses[0], GATES[step.cell.op]
    rows = np.concatenate([share.product.columns[share.columns] for _, share in shares])
    whole = np.array_equal(np.sort(rows), np.arange(product.arrangement.shape[0]))
    if not whole or len({use.factor for use in uses}) > 1:
        return None
    return replace(
        first,
        kind="recurrent",
        arrangement=_arrangement(product, rows, (len(shares), step.units, *product.inside)),
        neuron_axis=1,
        reads="output",
        features=_features(first),
        parameter=parameter,
        gates=tuple(names[gate] for gate, _ in shares),
        others=tuple({use.node.node: use.node for use in uses if use.node.node is not first.node.node}.values()),
    )


def _arrangement(product: GateProduct, rows: Array, shape: tuple[int, ...]) -> Arrangement:
    """Return what makes a weight (gates, hidden, in, ...), the columns of `product` in the order `rows`."""
    in_order = np.array_equal(rows, np.arange(rows.size))
    return replace(product.arrangement, shape=shape, rows=() if in_order else tuple(rows.tolist()))


def _features(use: Use) -> Features | None:
    """Return the same features, spread over (gates, hidden, in, ...)."""
    return None if use.features is None else replace(use.features, spread=partial(_spread, use=use))


def _spread(features: Array, use: Use) -> Array:
    assert use.features is not None
    spread = use.features.spread(features)
    return (spread[:, :1].T if use.kind == "dense" else spread[:1])[np.newaxis]
