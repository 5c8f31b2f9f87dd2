"""What a run executes: every node of every graph, how often, and the shapes it reads and writes each time.

Always in a child process with a time limit: a Loop may never end.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from wua_onnx.errors import RunError
from wua_onnx.running.devices import onnxruntime
from wua_onnx.running.isolated import Child
from wua_onnx.running.messages import Message
from wua_onnx.running.session import TIME_LIMIT, Session

Array: TypeAlias = np.ndarray[Any, Any]
Shapes: TypeAlias = tuple[tuple[int, ...], ...]

MOST_EVENTS = 1_000_000  # where onnxruntime stops writing
_SUFFIX = "_kernel_time"


@dataclass(frozen=True, slots=True)
class Execution:
    """How often a node ran on inputs and outputs of certain shapes.

    Attributes:
        name, op: the node's name and its operator.
        inputs, outputs: the shapes of those that are given and are tensors, in order.
        times: how often.
    """

    name: str
    op: str
    inputs: Shapes
    outputs: Shapes
    times: int


def executions(
    model: bytes,
    folder: Path | None,
    feeds: Mapping[str, Array],
    *,
    limit: float = TIME_LIMIT,
    memory: int | None = None,
) -> tuple[Execution, ...]:
    """Run a model once, unoptimised, in a child process, and return what was executed.

    Args:
        model: the serialized model, its big weights external.
        folder: where external data lies; None where there is none.
        feeds: arrays by input name.
        limit: seconds the run may take, the start of the process included.
        memory: bytes it may allocate; see `Child`.

    Raises:
        RunError: the model cannot be loaded or run, it crashed or hit the limit, or it executes too many nodes to
            tell them all.
        MissingDependency: there is no onnxruntime.
    """
    onnxruntime()
    # The folder is made here, so that it goes even where the child is killed.
    with tempfile.TemporaryDirectory(prefix="wua_onnx_", ignore_cleanup_errors=True) as scratch:
        fields = {"do": "observe", "folder": str(folder) if folder is not None else None, "scratch": scratch}
        child = Child(limit, memory)
        try:
            found = child.ask(Message(fields, feeds, model)).binary
        finally:
            child.close()
    return tuple(Execution(name, op, _shapes(ins), _shapes(outs), n) for name, op, ins, outs, n in json.loads(found))


def _shapes(written: Iterable[Iterable[int]]) -> Shapes:
    return tuple(tuple(shape) for shape in written)


def answer(request: Message) -> Message:
    """Return what running the model of `request` executes."""
    folder = Path(request.fields["folder"]) if request.fields["folder"] else None
    session = _Session(request.binary, folder, Path(request.fields["scratch"]))
    session.run(request.arrays)
    found = [(*place, times) for place, times in session.executed().items()]
    return Message(binary=json.dumps(found).encode())


class _Session(Session):
    """A session whose one run is profiled and whose graph is left as it is."""

    def __init__(self, model: bytes, folder: Path | None, scratch: Path) -> None:
        self._scratch = scratch
        super().__init__(model, folder)

    def _configure(self, runtime: Any, options: Any) -> None:
        options.enable_profiling = True
        options.profile_file_prefix = str(self._scratch / "executions")
        options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL

    def executed(self) -> Counter[tuple[str, str, Shapes, Shapes]]:
        """End profiling and return how often each node ran on which shapes."""
        path = Path(self._session.end_profiling())
        try:
            return counted(_events(path))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise RunError(f"profile: expected events of onnxruntime, got {type(error).__name__}: {error}") from None


def _events(path: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the events of a profile, which is a JSON list with one event a line, without holding them all."""
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            text = line.strip().rstrip(",")
            if text not in ("", "[", "]"):
                yield json.loads(text)


def counted(events: Iterable[Mapping[str, Any]]) -> Counter[tuple[str, str, Shapes, Shapes]]:
    """Return how often each node ran, by name, operator, shapes of inputs and shapes of outputs.

    Raises:
        RunError: the events are cut short.
    """
    found: Counter[tuple[str, str, Shapes, Shapes]] = Counter()
    finished = False
    for event in events:
        finished |= event["name"] == "model_run"
        arguments = event.get("args") or {}
        if event.get("cat") == "Node" and str(event["name"]).endswith(_SUFFIX) and "op_name" in arguments:
            name = str(event["name"]).removesuffix(_SUFFIX)
            inputs, outputs = (_told(arguments.get(key)) for key in ("input_type_shape", "output_type_shape"))
            found[name, str(arguments["op_name"]), inputs, outputs] += 1
    if not finished:  # the last event of a run
        raise RunError(
            f"profile: expected at most {MOST_EVENTS:,} executions of nodes in a run, got more than are told apart"
        )
    return found


def _told(tensors: Any) -> Shapes:
    """Return the shapes in what onnxruntime writes as [{"float": [2, 3]}, ...]."""
    return tuple(tuple(int(dim) for dim in next(iter(tensor.values()))) for tensor in tensors or ())
