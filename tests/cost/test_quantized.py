"""Q/DQ groups: what is counted beside them, against what onnxruntime fuses to integer operators."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from wua_onnx.cost import CostReport, count
from wua_onnx.model import load

SCALE = np.array(0.05, np.float32)


def quantized_model(
    op: str, after: str, *, x: Any, w: tuple[int, ...], quantize_x: bool = True, zero: int = 0
) -> onnx.ModelProto:
    """`op` on dequantised x and weights; `after`: what follows it, e.g. "Relu Q" (Q for QuantizeLinear)."""
    weights: dict[str, Any] = {
        "scale": SCALE,
        "zero": np.array(zero, np.uint8),
        "w": np.ones(w, np.uint8),
        "low": np.array(0, np.float32),
        "six": np.array(6, np.float32),
        "twenty": np.array(20, np.float32),
    }
    nodes = [helper.make_node("DequantizeLinear", ["w", "scale", "zero"], ["wf"])]
    if quantize_x:
        nodes.append(helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["xq"]))
        nodes.append(helper.make_node("DequantizeLinear", ["xq", "scale", "zero"], ["xf"]))
    nodes.append(helper.make_node(op, ["xf" if quantize_x else "x", "wf"], ["v0"]))
    last = "v0"
    for index, step in enumerate(after.split(), start=1):
        scaled = ["scale", "zero"]
        extra = {"Q": scaled, "DQ": scaled, "Clip6": ["low", "six"], "Clip20": ["low", "twenty"]}.get(step, [])
        name = {"Q": "QuantizeLinear", "DQ": "DequantizeLinear"}.get(step, step.rstrip("0126"))
        nodes.append(helper.make_node(name, [last, *extra], [f"v{index}"]))
        last = f"v{index}"
    graph = helper.make_graph(
        nodes,
        "qdq",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x)],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def fused_by_onnxruntime(model: onnx.ModelProto, folder: Path) -> CostReport:
    """Return the count of the graph that onnxruntime makes of `model`."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(folder / "fused.onnx")
    options.log_severity_level = 3  # it warns that the file depends on the machine
    onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return count(load(folder / "fused.onnx"))


SURE = [("Q DQ", 3), ("Q DQ", 0), ("Relu Q DQ", 0), ("Clip20 Q DQ", 0), ("Tanh Q DQ", 0), ("", 0)]
# These cut off what QuantizeLinear would keep: no Conv is fused then. (MatMul and Gemm, whose result may be floating
# point, onnxruntime leaves alone before these two functions only; they are counted as fused.)
CUT = [("Relu Q DQ", 3), ("Clip6 Q DQ", 0)]


@pytest.mark.parametrize(
    ("op", "after", "zero"),
    [(op, *case) for op in ("Conv", "MatMul", "Gemm") for case in SURE] + [("Conv", *case) for case in CUT],
)
@pytest.mark.parametrize("quantize_x", [True, False])
def test_the_integer_macs_are_those_that_onnxruntime_fuses(
    op: str, after: str, zero: int, quantize_x: bool, tmp_path: Path
) -> None:
    shapes: dict[str, Any] = {"x": (1, 3, 11, 7), "w": (5, 3, 3, 2)} if op == "Conv" else {"x": (7, 11), "w": (11, 5)}
    model = quantized_model(op, after, quantize_x=quantize_x, zero=zero, **shapes)
    report, fused = count(load(model)), fused_by_onnxruntime(model, tmp_path)
    assert report.int_macs == 0  # as written it is floating point
    assert fused.macs == report.macs > 0
    assert report.quantized_macs == fused.int_macs


def test_a_result_that_is_also_read_as_it_is_stays_floating_point() -> None:
    model = quantized_model("Conv", "Q DQ", x=(1, 3, 11, 7), w=(5, 3, 3, 2))
    model.graph.output.append(helper.make_tensor_value_info("v0", TensorProto.FLOAT, None))
    assert count(load(model)).quantized_macs == 0


def test_quantized_macs_are_symbolic_and_written_to_json() -> None:
    report = count(load(quantized_model("MatMul", "Q DQ", x=("n", 11), w=(11, 5))))
    assert report.at(n=7).quantized_macs == 7 * 11 * 5
    assert CostReport.from_dict(report.to_dict()).quantized_macs == report.quantized_macs
    assert report.at(n=7).to_dict()["quantized_macs"] == 7 * 11 * 5


def test_float8_is_no_integer_work() -> None:
    model = quantized_model("MatMul", "Q DQ", x=(7, 11), w=(11, 5))
    for tensor in model.graph.initializer:
        if tensor.name in ("w", "zero"):
            tensor.data_type = TensorProto.FLOAT8E4M3FN
    assert count(load(model)).quantized_macs == 0
