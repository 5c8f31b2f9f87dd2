"""What this machine reaches through onnxruntime: a matrix product and a copy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from wua_onnx.running.profiled_session import ProfiledSession

Array: TypeAlias = np.ndarray[Any, Any]

_GEMM = 1024  # rows and columns
_COPIED = 1 << 24  # float32 elements, 64 MiB
_PEAK_RUNS = 10


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


def peak(scratch: Path) -> Peak:
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
    session = ProfiledSession(model.SerializeToString(), None, scratch, optimised=False, graph=False)
    for _ in range(_PEAK_RUNS):
        session.run({"x": x})
    times = [kernel.fastest for kernel in session.times(None, skip=1).kernels if kernel.op != "Size"]
    return max(min(times), 1e-6)
