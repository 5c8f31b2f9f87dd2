"""onnxruntime's profiler: how long every node of a model takes, and what this machine reaches at most."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, TypeAlias

import numpy as np

from wua_onnx.errors import DeviceError
from wua_onnx.running.devices import onnxruntime
from wua_onnx.running.isolated import Child
from wua_onnx.running.messages import Message
from wua_onnx.running.peak import Peak, peak
from wua_onnx.running.profiled_session import opened
from wua_onnx.running.session import TIME_LIMIT, Session
from wua_onnx.running.timeline import Kernel

Array: TypeAlias = np.ndarray[Any, Any]

WARM_UP = 2  # runs
_MOST_RUNS = 30
_LEAST_RUNS = 3
_BUDGET = 2.0  # seconds of profiled runs
_MOST_EVENTS = 900_000  # onnxruntime stops writing at a million


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What was measured of one model, in seconds of wall-clock time.

    Attributes:
        kernels: the nodes that onnxruntime ran, in their order, each with its median time.
        latency: the median of whole runs without the profiler.
        profiled: the median of whole runs with it.
        runs, warm_up: how many runs were profiled, and how many came before them.
        threads: how many threads took part.
        version: that of onnxruntime.
    """

    kernels: tuple[Kernel, ...]
    latency: float
    profiled: float
    runs: int
    warm_up: int
    threads: int
    version: str


def profiled(
    model: bytes, folder: Path | None, feeds: Mapping[str, Array], *, optimised: bool = True, isolate: bool = False
) -> Measurement:
    """Run a model some times under onnxruntime's profiler.

    Args:
        model: the serialized model, its big weights external; the names of its nodes and values come back.
        folder: where external data lies; None where there is none.
        feeds: arrays by input name.
        optimised: let onnxruntime optimise the graph, as it does by default.
        isolate: run in a child process, with a time limit.

    Raises:
        RunError: the model cannot be loaded or run, or it crashed or hit the time limit.
        MissingDependency: there is no onnxruntime.
    """
    fields = {"do": "profile", "folder": str(folder) if folder is not None else None, "optimised": optimised}
    found = dict(_asked(Message(fields, feeds, model), isolate).fields)
    kernels = tuple(
        Kernel(**{**kernel, "inputs": tuple(kernel["inputs"]), "outputs": tuple(kernel["outputs"])})
        for kernel in found.pop("kernels")
    )
    return Measurement(kernels=kernels, **found)


def measured_peak(*, isolate: bool = False) -> Peak:
    """Measure what this machine reaches: a float32 matrix product and a copy, a fraction of a second.

    Raises:
        RunError: onnxruntime failed.
        MissingDependency: there is no onnxruntime.
    """
    return Peak(**_asked(Message({"do": "peak"}), isolate).fields)


def check_device(device: str) -> None:
    """Raise DeviceError unless times of single nodes can be measured on `device`, MissingDependency where none can."""
    onnxruntime()
    if device != "cpu":
        raise DeviceError(
            f"profile: expected device 'cpu', got {device!r}: elsewhere the profiler times the start of a kernel, "
            "not its work"
        )


def _asked(request: Message, isolate: bool) -> Message:
    check_device("cpu")
    # The folder is made here, so that it goes even where the child is killed.
    with tempfile.TemporaryDirectory(prefix="wua_onnx_", ignore_cleanup_errors=True) as scratch:
        request = Message({**request.fields, "scratch": scratch}, request.arrays, request.binary)
        if not isolate:
            return answer(request)
        child = Child(TIME_LIMIT)
        try:
            return child.ask(request)
        finally:
            child.close()


def answer(request: Message) -> Message:
    """Return what `request` asks for: a profile, or the peak of this machine."""
    scratch = Path(request.fields["scratch"])
    if request.fields["do"] == "peak":
        return Message(asdict(peak(scratch)))
    folder = Path(request.fields["folder"]) if request.fields["folder"] else None
    return Message(asdict(_measure(request.binary, folder, request.arrays, scratch, request.fields["optimised"])))


def _measure(
    model: bytes, folder: Path | None, feeds: Mapping[str, Array], scratch: Path, optimised: bool
) -> Measurement:
    session = opened(model, folder, scratch, optimised)
    graph = session.graph()
    warm = [_timed(session, feeds) for _ in range(WARM_UP)]
    most = min(_MOST_RUNS, _MOST_EVENTS // max(1, len(graph.node) if graph is not None else 1))
    runs = max(1, min(most, max(_LEAST_RUNS, int(_BUDGET / max(warm[-1], 1e-9)))))
    for _ in range(runs):
        session.run(feeds)
    measured = session.times(graph, skip=WARM_UP)
    latency = median(_timed(session, feeds) for _ in range(runs))
    return Measurement(
        kernels=measured.kernels,
        latency=latency,
        profiled=median(measured.runs),
        runs=len(measured.runs),
        warm_up=WARM_UP,
        threads=measured.threads,
        version=session.version(),
    )


def _timed(session: Session, feeds: Mapping[str, Array]) -> float:
    started = time.perf_counter()
    session.run(feeds)
    return time.perf_counter() - started
