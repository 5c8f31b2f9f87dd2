"""What onnxruntime's profiler writes, as one median time for every kernel."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, TypeAlias

import onnx

from wua_onnx._text import clean
from wua_onnx.errors import RunError

Event: TypeAlias = Mapping[str, Any]
Place: TypeAlias = tuple[str, str]  # name and operator of a kernel

_SUFFIX = "_kernel_time"
_WITH_BODY = frozenset({"If", "Loop", "Scan", "SequenceMap"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """One node of the graph that onnxruntime runs, after its optimisations.

    Attributes:
        name: the node's name there.
        op: its operator, with its domain where that is not ai.onnx.
        inputs, outputs: the tensors it reads and writes; empty where that graph is not known.
        seconds: the median over the profiled runs, with the bodies of If, Loop and Scan; to the microsecond.
        fastest: the shortest of them.
    """

    name: str
    op: str
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    seconds: float = 0.0
    fastest: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """The profile of some runs.

    Attributes:
        kernels: in the order they run.
        runs: seconds of every profiled run, the work between its kernels included.
        threads: how many threads took part.
    """

    kernels: tuple[Kernel, ...]
    runs: tuple[float, ...]
    threads: int


def timeline(events: Sequence[Event], graph: onnx.GraphProto | None, *, skip: int = 0) -> Timeline:
    """Return the times in `events`.

    Args:
        events: the parsed JSON of a profile.
        graph: the optimised graph that was run, which tells what unnamed kernels compute; None where it is not known.
        skip: runs to leave out, the warm-up.

    Raises:
        RunError: the events are no profile, or hold no finished run.
    """
    try:
        return _timeline(events, graph, skip)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise RunError(f"profile: expected events of onnxruntime, got {type(error).__name__}: {error}") from None


def _timeline(events: Sequence[Event], graph: onnx.GraphProto | None, skip: int) -> Timeline:
    finished = sorted((e for e in events if e["name"] == "model_run"), key=lambda event: int(event["ts"]))[skip:]
    if not finished:
        raise RunError("profile: expected at least one finished run, got none")
    own = {node.name for node in graph.node} if graph is not None else set()
    runs = [_top_level(run, own) for run in _by_run(events, finished)]
    times: dict[Place, list[int]] = {}
    for number, run in enumerate(runs):
        for event in run:
            place = _place(event)
            times.setdefault(place, [0] * len(runs))[number] += int(event["dur"])
    return Timeline(
        kernels=tuple(_kernels(times, graph)),
        runs=tuple(int(run["dur"]) / 1e6 for run in finished),
        threads=max((_threads(event) for run in runs for event in run), default=1),
    )


def _by_run(events: Sequence[Event], runs: Sequence[Event]) -> list[list[Event]]:
    """Return the events of nodes that lie within each run."""
    found: list[list[Event]] = [[] for _ in runs]
    starts = [_start(run) for run in runs]
    for event in events:
        if event.get("cat") == "Node" and "op_name" in event["args"]:
            number = bisect_right(starts, _start(event)) - 1
            if number >= 0 and _end(event) <= _end(runs[number]):
                found[number].append(event)
    return found


def _start(event: Event) -> int:
    return int(event["ts"])


def _end(event: Event) -> int:
    return int(event["ts"]) + int(event["dur"])


def _place(event: Event) -> Place:
    return str(event["name"]).removesuffix(_SUFFIX), str(event["args"]["op_name"])


def _top_level(events: Iterable[Event], own: Container[str]) -> list[Event]:
    """Return the events of the main graph: those inside the bodies of a control-flow node are part of its time.

    Times are whole microseconds: an event of no length at the edge of a body belongs to the main graph where `own`,
    the names of its nodes, has it.
    """
    kept: list[Event] = []
    body = (-1, -1)
    for event in sorted(events, key=lambda e: (_start(e), -_end(e), _place(e)[0] not in own)):
        inside = body[0] <= _start(event) and _end(event) <= body[1]
        at_edge = _start(event) == _end(event) and _start(event) in body
        if inside and not (at_edge and _place(event)[0] in own):
            continue
        if event["args"]["op_name"] in _WITH_BODY:
            body = _start(event), _end(event)
        kept.append(event)
    return kept


def _kernels(times: Mapping[Place, list[int]], graph: onnx.GraphProto | None) -> Iterable[Kernel]:
    """Yield the nodes of `graph` with their times, then what ran without being in it."""
    nodes = list(graph.node) if graph is not None else []
    names = {node.name for node in nodes}
    unnamed: dict[str, list[Place]] = defaultdict(list)  # onnxruntime calls these by operator and a number
    for place in times:
        if place[0] not in names:
            unnamed[place[1]].append(place)
    ran = set()
    for node in nodes:
        known = (node.name, node.op_type)
        place = next(iter(unnamed[node.op_type]), known) if not node.name else known
        if place not in times or place in ran:
            continue  # computed while loading
        if not node.name:
            unnamed[node.op_type].remove(place)
        ran.add(place)
        op = f"{node.domain}::{node.op_type}" if node.domain not in ("", "ai.onnx") else node.op_type
        tensors = {"inputs": tuple(node.input), "outputs": tuple(node.output)}
        yield _kernel(place, op, times[place], **tensors)
    for place in times:
        if place not in ran:
            yield _kernel(place, place[1], times[place])


def _kernel(place: Place, op: str, times: list[int], **tensors: tuple[str, ...]) -> Kernel:
    return Kernel(name=clean(place[0]), op=clean(op), seconds=median(times) / 1e6, fastest=min(times) / 1e6, **tensors)


def _threads(event: Event) -> int:
    stats = event["args"].get("thread_scheduling_stats") or {}
    return 1 + len(stats.get("sub_threads") or {}) if isinstance(stats, Mapping) else 1
