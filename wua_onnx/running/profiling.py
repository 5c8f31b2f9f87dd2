"""onnxruntime's profiler: how long every node of a model takes, and what this machine reaches at most."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, TypeAlias

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from wua_onnx.errors import DeviceError, RunError
from wua_onnx.running.isolated import TIME_LIMIT, Child
from wua_onnx.running.messages import Message
from wua_onnx.running.session import Session, providers
from wua_onnx.running.timeline import Kernel, Timeline, timeline

Array: TypeAlias = np.ndarray[Any, Any]

WARM_UP = 2  # runs
_MOST_RUNS = 30
_LEAST_RUNS = 3
_BUDGET = 2.0  # seconds of profiled runs
_MOST_EVENTS = 900_000  # onnxruntime stops writing at a million
_MOST_BYTES = 1 << 29  # of a profile
_GEMM = 1024  # rows and columns
_COPIED = 1 << 24  # float32 elements, 64 MiB
_PEAK_RUNS = 10
_WEIGHTS_FILE = "weights"


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Peak:
    """The best this machine was seen to do through onnxruntime, in float32.

    Attributes:
        gflops: of a matrix product of `gemm` rows and columns, in 10^9 operations a second.
        gbps: of a pass that reads and writes `copied` bytes each, in 10^9 bytes a second.
        gemm, copied: the sizes.
    """

    gflops: float
    gbps: float
    gemm: int = _GEMM
    copied: int = 4 * _COPIED


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
    providers("cpu")
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
        return Message(asdict(_peak(scratch)))
    folder = Path(request.fields["folder"]) if request.fields["folder"] else None
    return Message(asdict(_measure(request.binary, folder, request.arrays, scratch, request.fields["optimised"])))


class _ProfiledSession(Session):
    """A session whose first runs are profiled, and which tells the graph that it runs."""

    def __init__(self, model: bytes, folder: Path | None, scratch: Path, *, optimised: bool, graph: bool) -> None:
        self._scratch, self._optimised, self._graph = scratch, optimised, graph
        super().__init__(model, folder)

    def _configure(self, runtime: Any, options: Any) -> None:
        options.enable_profiling = True
        options.profile_file_prefix = str(self._scratch / "profile")
        if not self._optimised:
            options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
        if self._graph:
            # The optimised graph is wanted, its weights are not: they go to the null device.
            (self._scratch / _WEIGHTS_FILE).symlink_to(os.devnull)
            options.optimized_model_filepath = str(self._scratch / "optimised.onnx")
            entry = "session.optimized_model_external_initializers_"
            options.add_session_config_entry(f"{entry}file_name", _WEIGHTS_FILE)
            options.add_session_config_entry(f"{entry}min_size_in_bytes", "1024")

    def graph(self) -> onnx.GraphProto | None:
        """Return the graph that is run; None where it is not known."""
        path = self._scratch / "optimised.onnx"
        return onnx.load_model(path, load_external_data=False).graph if self._graph and path.exists() else None

    def times(self, graph: onnx.GraphProto | None, skip: int) -> Timeline:
        """End profiling and return what it measured, but for the first `skip` runs."""
        path = Path(self._session.end_profiling())
        size = path.stat().st_size
        if size > _MOST_BYTES:
            raise RunError(f"profile: expected at most {_MOST_BYTES:,} bytes, got {size:,}: too many events")
        try:
            events = json.loads(path.read_text(encoding="utf-8", errors="replace"))
        except ValueError as error:
            raise RunError(f"profile: expected JSON from onnxruntime, got {error}") from None
        return timeline(events, graph, skip=skip)

    def version(self) -> str:
        """Return the version of onnxruntime."""
        from onnxruntime import __version__

        return str(__version__)


def _opened(model: bytes, folder: Path | None, scratch: Path, optimised: bool) -> _ProfiledSession:
    """Return a session that tells its graph, else one that does not: a graph that cannot be written can still run."""
    with suppress(RunError, OSError):
        return _ProfiledSession(model, folder, scratch, optimised=optimised, graph=True)
    return _ProfiledSession(model, folder, scratch, optimised=optimised, graph=False)


def _measure(
    model: bytes, folder: Path | None, feeds: Mapping[str, Array], scratch: Path, optimised: bool
) -> Measurement:
    session = _opened(model, folder, scratch, optimised)
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


def _peak(scratch: Path) -> Peak:
    """Measure as nodes are measured: by the profiler, unoptimised, the best of a few runs."""
    gemm = np.random.default_rng(0).standard_normal((_GEMM, _GEMM), dtype=np.float32)
    product = helper.make_node("MatMul", ["x", "w"], ["y"], name="product")
    seconds = _best([product], gemm, {"w": gemm}, scratch)
    # The first pass reads the model's input and so cannot write over it; the second may work in place.
    passes = [helper.make_node("Neg", ["x"], ["a"]), helper.make_node("Neg", ["a"], ["b"])]
    end = helper.make_node("Size", ["b"], ["y"])
    copied = _best([*passes, end], np.ones(_COPIED, dtype=np.float32), {}, scratch, TensorProto.INT64)
    return Peak(gflops=2 * _GEMM**3 / seconds / 1e9, gbps=2 * 4 * _COPIED / copied / 1e9)


def _best(
    nodes: list[onnx.NodeProto], x: Array, weights: Mapping[str, Array], scratch: Path, kind: int = TensorProto.FLOAT
) -> float:
    """Return the time of the fastest node of this model, `Size` left out, which does no work."""
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)]
    outputs = [helper.make_tensor_value_info("y", kind, None)]
    held = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "peak", inputs, outputs, held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = _ProfiledSession(model.SerializeToString(), None, scratch, optimised=False, graph=False)
    for _ in range(_PEAK_RUNS):
        session.run({"x": x})
    times = [kernel.fastest for kernel in session.times(None, skip=1).kernels if kernel.op != "Size"]
    return max(min(times), 1e-6)
