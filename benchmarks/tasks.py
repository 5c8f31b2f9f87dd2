"""What is measured. Each task runs in a process of its own: `python -m benchmarks.tasks NAME FILE [BATCH]`.

It prints one JSON line: the median seconds of its repetitions (imports and the first repetition left out), the peak
memory of the whole process in bytes, and what it counted.
"""

from __future__ import annotations

import contextlib
import io
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

REPETITIONS = 5

Prepared = Callable[[], Any]


def _feeds(file: str, batch: int) -> dict[str, Any]:
    import onnx

    model = onnx.load(file, load_external_data=False)
    generator = np.random.default_rng(0)
    feeds: dict[str, Any] = {}
    for value in model.graph.input:
        shape = [dim.dim_value or batch for dim in value.type.tensor_type.shape.dim]
        if value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT:
            feeds[value.name] = generator.standard_normal(shape, dtype=np.float32)
        else:
            feeds[value.name] = np.ones(shape, dtype=np.int64)
    return feeds


def count_wua(file: str, batch: int) -> Prepared:
    """The static count of wua_onnx."""
    import wua_onnx

    feeds = _feeds(file, 1)
    shapes = {name: array.shape for name, array in feeds.items()}
    return lambda: wua_onnx.cost(file, dims=shapes).macs


def count_onnxsim(file: str, batch: int) -> Prepared:
    """onnxsim's model information."""
    import onnx
    from onnxsim import model_info

    return lambda: model_info.ModelInfo(onnx.load(file)) and None


def count_onnx_tool(file: str, batch: int) -> Prepared:
    """onnx-tool's profile."""
    import onnx_tool

    feeds = _feeds(file, 1)

    def run() -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            onnx_tool.model_profile(file, feeds)

    return run


def load_onnx(file: str, batch: int) -> Prepared:
    """onnx.load alone, which reads the weights: a floor for tools that begin with it."""
    import onnx

    return lambda: onnx.load(file) and None


def run_plain(file: str, batch: int) -> Prepared:
    """Inference with onnxruntime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    feeds = _feeds(file, batch)
    return lambda: session.run(None, feeds) and None


def run_recording(file: str, batch: int) -> Prepared:
    """The same data through the recorder."""
    import wua_onnx

    feeds = _feeds(file, batch)
    recorder = wua_onnx.Recorder(file, batch_size=batch)
    return lambda: recorder.update(feeds)


TASKS: dict[str, Callable[[str, int], Prepared]] = {
    "count wua_onnx": count_wua,
    "count onnxsim": count_onnxsim,
    "count onnx-tool": count_onnx_tool,
    "onnx.load": load_onnx,
    "plain onnxruntime": run_plain,
    "recording": run_recording,
}


def main(name: str, file: str, batch: str = "1") -> None:
    """Measure one task and print the result."""
    prepared = TASKS[name](file, int(batch))
    result = prepared()
    seconds = []
    for _ in range(REPETITIONS):
        started = time.perf_counter()
        prepared()
        seconds.append(time.perf_counter() - started)
    print(json.dumps({"seconds": statistics.median(seconds), "peak": _peak(), "result": str(result)}))


def _peak() -> int:
    """Return the largest resident size of this process in bytes; getrusage would include that of its parent."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("/proc/self/status: expected a line VmHWM, got none (the benchmarks need Linux)")


if __name__ == "__main__":
    main(*sys.argv[1:])
