"""Profiling a model, and joining its times to the count of its nodes."""

from __future__ import annotations

import math
import platform
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import onnx_ir as ir

from wua_onnx._text import clean
from wua_onnx.model import dims as d
from wua_onnx.model.dims import Dim
from wua_onnx.model.graph import Model
from wua_onnx.observe.attribution import Group, attribute
from wua_onnx.observe.marked import Marked, marked
from wua_onnx.observe.profile import Absent, Profile, Unattributed
from wua_onnx.observe.work import Timed
from wua_onnx.running.peak import Peak
from wua_onnx.running.profiling import Measurement, measured_peak, profiled
from wua_onnx.running.timeline import Kernel

if TYPE_CHECKING:
    from wua_onnx.cost import NodeCost

Array: TypeAlias = np.ndarray[Any, Any]


def time_nodes(
    model: Model,
    counted: Sequence[NodeCost],
    feeds: Mapping[str, Array],
    *,
    data: Literal["given", "random"],
    batch: int | None = None,
    optimised: bool = True,
    isolate: bool = False,
) -> Profile:
    """Run `model` under onnxruntime's profiler and join the times to the count of its nodes.

    Args:
        model: the model, no dimension bound.
        counted: the count of its nodes in file order, for the shapes of `feeds`.
        feeds: arrays by input name.
        data: where `feeds` come from, for the record.
        batch: how many samples they hold, for the record.
        optimised: let onnxruntime optimise the graph, as it does by default.
        isolate: run it in a child process, with a time limit.

    Raises:
        RunError: the model cannot be loaded or run, or it crashed or hit the time limit.
        MissingDependency: there is no onnxruntime.
        ExternalDataError: weights of the model are missing on disk.
    """
    marks = marked(model)
    measurement = profiled(marks.model, marks.folder, feeds, optimised=optimised, isolate=isolate)
    return joined(
        model,
        counted,
        marks,
        measurement,
        measured_peak(isolate=isolate),
        shapes={clean(name): array.shape for name, array in feeds.items()},
        data=data,
        batch=batch,
        optimised=optimised,
    )


def joined(
    model: Model, counted: Sequence[NodeCost], marks: Marked, measurement: Measurement, peak: Peak, **run: Any
) -> Profile:
    """Return the profile of a measurement: its times beside the count.

    Args:
        model: the model, no dimension bound.
        counted: the count of its nodes in file order.
        marks: the marked model that was measured.
        measurement: the times.
        peak: what the machine reaches.
        run: `shapes`, `data`, `batch` and `optimised` of the profile.
    """
    kernels = measurement.kernels
    found = attribute(model, kernels, marks)
    costs: dict[object, NodeCost] = {view.node: cost for view, cost in zip(model.nodes, counted, strict=True)}
    return Profile(
        device="cpu",
        threads=measurement.threads,
        version=measurement.version,
        machine=_processor(),
        runs=measurement.runs,
        warm_up=measurement.warm_up,
        latency=measurement.latency,
        profiled=measurement.profiled,
        peak=peak,
        timed=tuple(_timed(group, kernels, model, costs) for group in found.groups),
        unattributed=tuple(
            Unattributed(name=kernels[i].name, op=kernels[i].op, seconds=kernels[i].seconds, reason=reason)
            for i, reason in found.unattributed.items()
        ),
        absent=tuple(
            Absent(name=counted[i].name, op=counted[i].op, reason=reason) for i, reason in found.absent.items()
        ),
        **run,
    )


def _timed(group: Group, kernels: Sequence[Kernel], model: Model, costs: Mapping[object, NodeCost]) -> Timed:
    nodes = [costs[model.nodes[i].node] for i in group.nodes]
    ran = [kernels[i] for i in group.kernels]
    main = max(nodes, key=_size)
    return Timed(
        name=main.name,
        op=main.op,
        nodes=tuple(node.name for node in nodes),
        ops=tuple(node.op for node in nodes),
        kernels=tuple(kernel.op for kernel in ran),
        seconds=math.fsum(kernel.seconds for kernel in ran),
        flops=_total(None if node.verdict == "unknown" else node.cost.flops for node in nodes),
        int_ops=_total(None if node.verdict == "unknown" else node.cost.int_ops for node in nodes),
        bytes=_traffic(group, model, costs),
    )


def _traffic(group: Group, model: Model, costs: Mapping[object, NodeCost]) -> int | None:
    """Return the bytes that a group moves.

    Fused nodes read a value once for all of them, and what passes between them never reaches memory.
    """
    nodes = [model.nodes[i].node for i in group.nodes]
    known: set[ir.Value] = set()
    moved = 0
    for node in nodes:
        read, written = costs[node].bytes_read, costs[node].bytes_written
        if not isinstance(read, int) or not isinstance(written, int):
            return None
        at_hand = [value for value in node.inputs if value in known]
        kept = [value for value in node.outputs if value.consumers() and not value.is_graph_output()]
        kept = [value for value in kept if all(user in nodes for user in value.consumers())]
        moved += max(read - sum(_bytes(value, model, costs) for value in at_hand), 0)
        moved += max(written - sum(_bytes(value, model, costs) for value in kept), 0)
        known.update(value for value in (*node.inputs, *node.outputs) if value is not None)
    return moved


def _bytes(value: ir.Value | None, model: Model, costs: Mapping[object, NodeCost]) -> int:
    """Return the size of `value`; 0 where it is not known as a number."""
    if value is None or value.dtype is None:
        return 0
    producer = costs.get(value.producer())
    shape = model.shape(value) if producer is None else producer.outputs[value.index() or 0]
    elements = None if shape is None else d.product(shape)
    return elements * value.dtype.bitwidth // 8 if isinstance(elements, int) else 0


def _size(node: NodeCost) -> tuple[int, int]:
    """Return an order of nodes by their work."""
    parts = (node.cost.flops + node.cost.int_ops, node.moved)
    first, second = (part if isinstance(part, int) else 0 for part in parts)
    return first, second


def _total(values: Iterable[Dim | None]) -> int | None:
    total = 0
    for value in values:
        if not isinstance(value, int):
            return None
        total += value
    return total


def _processor() -> str:
    """Return the name of the processor, and the machine's kind where that is not told."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return clean(names[0] if names else platform.processor() or platform.machine())
