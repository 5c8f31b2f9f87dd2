"""The shipped model as onnxruntime's own tools quantize it: the same layers, weights and means, to the steps taken."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)

from wua_onnx.layers import Layers, find_layers
from wua_onnx.model import load
from wua_onnx.recording import Recorder, Recording

DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits.onnx"
SAMPLES = 120


class Calibration(CalibrationDataReader):  # type: ignore[misc]  # the base class has no types
    """Hands out the data in batches."""

    def __init__(self, name: str, data: Any) -> None:
        self.batches = iter([{name: data[i : i + 20]} for i in range(0, SAMPLES, 20)])

    def get_next(self) -> dict[str, Any] | None:
        return next(self.batches, None)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.disable(logging.WARNING)  # the tools advise to preprocess
    yield
    logging.disable(logging.NOTSET)


def recorded(path: Path, data: Any) -> tuple[Layers, Recording]:
    model = load(path)
    found = find_layers(model)
    recorder = Recorder(model, layers=found.by_name, batch_size=SAMPLES)
    recorder.update(data)
    return found, recorder.result()


# what the tool is asked for, and the operators that come of it
TOOLS: dict[str, tuple[dict[str, Any] | None, set[str]]] = {
    "dynamic": (None, {"ConvInteger", "MatMulInteger"}),
    "operators with QDQ pairs": ({"quant_format": QuantFormat.QDQ}, {"Conv", "Gemm"}),
    "operators of integers": ({"quant_format": QuantFormat.QOperator}, {"QLinearConv", "QGemm"}),
    "a scale for each neuron": (
        {"quant_format": QuantFormat.QOperator, "per_channel": True},
        {"QLinearConv", "QGemm"},
    ),
    "QDQ pairs, a scale for each neuron": ({"quant_format": QuantFormat.QDQ, "per_channel": True}, {"Conv", "Gemm"}),
}


@pytest.mark.parametrize("tool", TOOLS)
def test_a_quantized_model_is_read_as_the_model_that_it_was(tool: str, tmp_path: Path) -> None:
    options, operators = TOOLS[tool]
    proto = onnx.load(DIGITS)
    del proto.graph.value_info[:]  # the tools transpose weights and then meet the old shapes
    source, target = tmp_path / "float.onnx", tmp_path / "quantized.onnx"
    onnx.save(proto, source)
    with np.load(DIGITS.with_suffix(".npz")) as archive:
        data = archive["X"][:SAMPLES]
    if options is None:
        quantize_dynamic(source, target, weight_type=QuantType.QInt8)
    else:
        reader = Calibration(proto.graph.input[0].name, data)
        quantize_static(source, target, reader, weight_type=QuantType.QInt8, **options)
    (plain, before), (found, after) = recorded(source, data), recorded(target, data)
    assert {layer.uses[0].node.op_type for layer in found.by_name.values()} == operators
    assert not after.missing
    stored = sum(layer.stored for layer in found.by_name.values())
    assert stored + sum(item.elements for item in found.declined) == found.parameters
    pairs = zip(plain.by_name.values(), found.by_name.values(), strict=True)
    for (was, now), old, new in zip(pairs, before.layers.values(), after.layers.values(), strict=True):
        assert (now.shape, now.neuron_axis) == (was.shape, was.neuron_axis)
        weight, functions = was.weight(), [layer.activations[0].function for layer in (was, now)]
        np.testing.assert_allclose(now.weight(), weight, atol=np.abs(weight).max() / 127 * 0.51)
        assert functions[0] == functions[1] or functions[1] is None  # an integer at its least is 0 after ReLU
        np.testing.assert_allclose(new[0].mean, old[0].mean, atol=0.03 * old[0].mean.max())
