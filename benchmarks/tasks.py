"""What is measured. Each task runs in a process of its own: `python -m benchmarks.tasks NAME FILE [BATCH]`.

It prints one JSON line: the median seconds of its repetitions (imports left out, and the first one, unless there is no
time for a second), the peak memory of the whole process in bytes, and what it counted.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.models import FREE, feeds, module_of

REPETITIONS = 5
ENOUGH = 60.0  # seconds after which nothing is repeated any more

Prepared = Callable[[], Any]


def count_wua(file: str, batch: int) -> Prepared:
    """The static count of wua_onnx: of one sample; with symbols where more than the batch is free."""
    import wua_onnx

    name = Path(file).stem
    shapes = None if len(FREE.get(name, {})) > 1 else {key: array.shape for key, array in feeds(name, 1).items()}
    return lambda: wua_onnx.cost(file, dims=shapes).macs


def count_onnxsim(file: str, batch: int) -> Prepared:
    """onnxsim's model information."""
    import onnx
    from onnxsim import model_info

    return lambda: model_info.ModelInfo(onnx.load(file)) and None


def count_onnx_tool(file: str, batch: int) -> Prepared:
    """onnx-tool's profile."""
    import onnx_tool

    data = feeds(Path(file).stem, 1)

    def run() -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            onnx_tool.model_profile(file, data)

    return run


def count_opcounter(file: str, batch: int) -> Prepared:
    """onnx-opcounter's parameters and MACs; dynamic dimensions are 0 to it, and so may be its count."""
    import onnx
    import onnx_opcounter

    os.chdir(tempfile.mkdtemp())  # where it cannot infer shapes it writes a model to the working directory

    def run() -> None:
        model = onnx.load(file)
        onnx_opcounter.calculate_params(model)
        with contextlib.redirect_stdout(io.StringIO()):
            macs = onnx_opcounter.calculate_macs(model)
        if not macs:
            raise RuntimeError("counts 0 MACs")

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
    data = feeds(Path(file).stem, batch)
    return lambda: session.run(None, data) and None


def run_recording(file: str, batch: int) -> Prepared:
    """The same data through the recorder."""
    import wua_onnx

    data = feeds(Path(file).stem, batch)
    recorder = wua_onnx.Recorder(file, batch_size=batch)
    return lambda: recorder.update(data)


def run_hooks(file: str, batch: int) -> Prepared:
    """The usual way: PyTorch with a hook on every module that keeps its output, reduced at the end."""
    import torch

    name = Path(file).stem
    module, _ = module_of(name)
    kept: list[Any] = []
    for part in module.eval().modules():
        if not list(part.children()):
            part.register_forward_hook(lambda _, __, output: kept.append(output))
    data = [torch.from_numpy(array) for array in feeds(name, batch).values()]

    def run() -> None:
        kept.clear()
        with torch.no_grad():
            module(*data)
            for output in kept:
                tensor = output[0] if isinstance(output, tuple) else output
                tensor.abs().mean(dim=tuple(range(tensor.ndim - 1)))

    return run


def weigh(file: str, batch: int) -> Prepared:
    """All metrics of all weights, by magnitude; the model is open, untrained layers are worked out anew."""
    from wua_onnx._describe_layers import describe_layers
    from wua_onnx.cost import count
    from wua_onnx.importance import baseline
    from wua_onnx.layers import find_layers
    from wua_onnx.model.load import load

    model = load(file)
    layers, report = find_layers(model), count(model)

    def run() -> None:
        baseline._of_equal_means.cache_clear()
        describe_layers(layers, {}, ("magnitude",), report)

    return run


def audit(file: str, batch: int) -> Prepared:
    """A whole audit without data, from the file to the JSON."""
    import wua_onnx

    return lambda: len(wua_onnx.analyze(file).to_json())


TASKS: dict[str, Callable[[str, int], Prepared]] = {
    "count wua_onnx": count_wua,
    "count onnxsim": count_onnxsim,
    "count onnx-tool": count_onnx_tool,
    "count onnx-opcounter": count_opcounter,
    "onnx.load": load_onnx,
    "plain onnxruntime": run_plain,
    "recording": run_recording,
    "PyTorch, hooks": run_hooks,
    "weight metrics": weigh,
    "audit": audit,
}


def main(name: str, file: str, batch: str = "1") -> None:
    """Measure one task and print the result."""
    prepared = TASKS[name](file, int(batch))
    seconds: list[float] = []
    while len(seconds) <= REPETITIONS and sum(seconds) < ENOUGH:
        started = time.perf_counter()
        result = prepared()
        seconds.append(time.perf_counter() - started)
    seconds = seconds[1:] or seconds
    print(json.dumps({"seconds": statistics.median(seconds), "peak": peak(), "result": str(result)}))


def peak() -> int:
    """Return the largest resident size of this process in bytes; getrusage would include that of its parent."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("/proc/self/status: expected a line VmHWM, got none (the benchmarks need Linux)")


if __name__ == "__main__":
    main(*sys.argv[1:])
