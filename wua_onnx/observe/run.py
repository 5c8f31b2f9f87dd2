"""Running a model once to see its trips, its branches and the shapes that depend on data."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import onnx_ir as ir

from wua_onnx.errors import RunError
from wua_onnx.model.graph import Model
from wua_onnx.model.symbols import all_values
from wua_onnx.observe.observations import Observations, Shape, Signature
from wua_onnx.running.bfloat16 import as_float32, in_float32
from wua_onnx.running.executions import Execution, Shapes, executions
from wua_onnx.running.runnable import check_weights, folder_of, forget_shapes, root_cause, serialized
from wua_onnx.running.session import TIME_LIMIT

Array: TypeAlias = np.ndarray[Any, Any]
Place: TypeAlias = tuple[int, str]  # the number of a node and the attribute that holds a graph


def observe(
    model: Model,
    feeds: Mapping[str, Array],
    *,
    samples: int = 1,
    limit: float = TIME_LIMIT,
    memory: int | None = None,
) -> Observations:
    """Run `model` once with onnxruntime, in a child process, and return what ran; bfloat16 is computed in float32.

    Args:
        model: the model, every dimension of its inputs free or as in `feeds`.
        feeds: arrays by input name.
        samples: how many samples they hold, for the record.
        limit: seconds the run may take; a Loop may never end.
        memory: bytes it may allocate; by default nine tenths of the machine's memory, or what the environment
            variable WUA_ONNX_MEMORY_LIMIT says.

    Raises:
        RunError: the model cannot be loaded or run, it crashed or hit a limit, or it executes too many nodes.
        MissingDependency: there is no onnxruntime.
        ExternalDataError: weights of the model are missing on disk.
        LimitError: weights given in memory exceed what one message can hold.
    """
    check_weights(model)
    try:
        copy = replace(model, ir_model=model.ir_model.clone())
    except RuntimeError as error:  # a value that nothing defines; onnx_ir wraps it once for every level
        raise RunError(f"graph: expected one that can be run, got {root_cause(error)}") from None
    prefix = _name_nodes(copy)
    places = _mark_graphs(copy, prefix)
    in_float32(copy.ir_model)
    forget_shapes(copy.ir_model)
    ran = executions(serialized(copy.ir_model), folder_of(model), as_float32(feeds), limit=limit, memory=memory)
    return _observations(model, ran, prefix, places, samples)


def _name_nodes(model: Model) -> str:
    """Name every node by its number, in place; return what the names begin with, which nothing else does."""
    nodes = list(model.all_nodes())
    # A name that is no UTF-8 is bytes.
    names = {str(node.name) for node in nodes} | {str(value.name) for value in all_values(model.ir_model)}
    taken = {int(number) for name in names for number in re.findall(r"ran([0-9]{1,9})_", name)}
    prefix = f"ran{next(number for number in itertools.count() if number not in taken)}"
    for number, node in enumerate(nodes):
        node.name = f"{prefix}_n{number}_"
    return prefix


def _mark_graphs(model: Model, prefix: str) -> list[Place]:
    """Add to every graph inside a node one that runs as often as the graph does; return which graphs have one.

    The graph's own nodes may all be constants, which never run, or functions that onnxruntime writes out.
    """
    places: list[Place] = []
    for number, node in enumerate(list(model.all_nodes())):
        for name, attribute in node.attributes.items():
            if attribute.type != ir.AttributeType.GRAPH:
                continue
            graph = attribute.as_graph()
            value = next(iter(graph.inputs), None) or next(iter(node.inputs), None)
            if value is None:
                continue
            mark = ir.node("Identity", [value], name=f"{prefix}_g{len(places)}_")
            mark.outputs[0].name = f"{prefix}_v{len(places)}_"
            graph.append(mark)
            places.append((number, name))
    return places


def _observations(
    model: Model, ran: Sequence[Execution], prefix: str, places: Sequence[Place], samples: int
) -> Observations:
    nodes = list(model.all_nodes())
    seen: list[Counter[Signature]] = [Counter() for _ in nodes]
    graphs = dict.fromkeys(places, 0)
    for kind, number, execution in _named(ran, prefix):
        if kind == "g" and number < len(places):
            graphs[places[number]] += execution.times
        elif kind == "n" and number < len(nodes) and execution.op == nodes[number].op_type:
            seen[number][_signature(nodes[number], execution)] += execution.times
    if nodes and not ran:
        raise RunError("profile: expected executions of nodes, got none")
    return Observations(samples=samples, graphs=graphs, nodes=tuple(seen))


def _named(ran: Sequence[Execution], prefix: str) -> Iterator[tuple[str, int, Execution]]:
    """Yield the executions that carry a name given here, which onnxruntime may have put others in front of."""
    for execution in ran:
        found = re.search(rf"{prefix}_([gn])([0-9]+)_$", execution.name)
        if found is not None:
            yield found[1], int(found[2]), execution


def _signature(node: ir.Node, execution: Execution) -> Signature:
    return _aligned(node.inputs, execution.inputs), _aligned(node.outputs, execution.outputs)


def _aligned(values: Sequence[ir.Value | None], shapes: Shapes) -> tuple[Shape, ...]:
    """Return the shape of each of `values`: onnxruntime tells those that are given and are tensors."""
    told = [value is not None and bool(value.name) and not _is_no_tensor(value) for value in values]
    if sum(told) != len(shapes):
        return (None,) * len(values)
    remaining = iter(shapes)
    return tuple(next(remaining) if known else None for known in told)


def _is_no_tensor(value: ir.Value) -> bool:
    return value.type is not None and not isinstance(value.type, ir.TensorType)
