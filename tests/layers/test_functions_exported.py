"""The activation functions of PyTorch and Keras, as each exporter writes them and onnxruntime rewrites that.

What is read of a layer must be, number for number, what the framework itself computes there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
import torch

from wua_onnx.layers import find_layers
from wua_onnx.layers.function_values import FAMILIES, KNOWN
from wua_onnx.layers.layer import Layer
from wua_onnx.layers.sparsemax_pattern import WRITTEN_BY
from wua_onnx.model import load

from . import function_keras, function_torch
from .graphs import Array, run

OPSETS = {"TorchScript": (13, 18), "dynamo": (18, 20, 24), "tf2onnx": (13, 18)}
EXPORTS = [(exporter, opset) for exporter, opsets in OPSETS.items() for opset in opsets]
OPTIMISED = [("TorchScript", 13), ("dynamo", 20)]
IDS = [f"{exporter} {opset}" for exporter, opset in EXPORTS]


@dataclass(frozen=True)
class Read:
    """What is known of a layer, and its values where it is read."""

    layer: Layer
    values: Array

    @property
    def name(self) -> str | None:
        function = self.layer.activations[0].function
        return function.name if function is not None else None


@cache
def exported(exporter: str, opset: int) -> onnx.ModelProto:
    return function_keras.export(opset) if exporter == "tf2onnx" else function_torch.export(exporter, opset)


def read(proto: onnx.ModelProto) -> dict[str, Read]:
    """Return each layer of a model with its values for `samples`."""
    layers = find_layers(load(proto)).by_name
    wanted = sorted({layer.activations[0].value.name or "" for layer in layers.values()})
    shown = onnx.ModelProto()
    shown.CopyFrom(proto)
    del shown.graph.output[:]
    shown.graph.output.extend(onnx.ValueInfoProto(name=name) for name in wanted)
    values = dict(zip(wanted, run(shown, {proto.graph.input[0].name: function_torch.samples()}), strict=True))
    return {name: Read(layer, values[layer.activations[0].value.name or ""]) for name, layer in layers.items()}


@cache
def read_of(exporter: str, opset: int) -> dict[str, Read]:
    return read(exported(exporter, opset))


def optimised(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with onnxruntime's extended fusions."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    with TemporaryDirectory() as folder:
        options.optimized_model_filepath = str(Path(folder) / "optimised.onnx")
        onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return onnx.load(options.optimized_model_filepath)


@cache
def read_optimised(exporter: str, opset: int) -> dict[str, Read]:
    return read(optimised(exported(exporter, opset)))


def torch_expected(exporter: str, convolutions: bool = False) -> Iterator[tuple[str, str | None]]:
    """Yield each layer of the model in PyTorch, and the name of its function."""
    left_out = function_torch.REFUSED[exporter] | (function_torch.NOT_OF_CONVOLUTIONS if convolutions else set())
    for name, (function, _) in function_torch.CASES.items():
        if name not in left_out:
            yield f"branches.{name}.fc", function
    if convolutions:
        return
    for name, (functions, _) in function_torch.GATED.items():
        for layer, gated in functions.items():
            yield f"branches.{name}.{layer}", gated


def expected(exporter: str, convolutions: bool = False) -> dict[str, tuple[str | None, Array]]:
    """Return the function's name and the values of each layer by the name it has in an audit."""
    if exporter == "tf2onnx":
        values = function_keras.everything()[1]
        return {keras_name(name): (cases[0], values[name]) for name, cases in function_keras.CASES.items()}
    readings: Mapping[str, Array] = function_torch.everything(exporter, convolutions)[1]
    return {name: (function, readings[name]) for name, function in torch_expected(exporter, convolutions)}


def keras_name(name: str) -> str:
    return f"of_{name}"


def check(found: Mapping[str, Read], exporter: str, convolutions: bool = False) -> None:
    wanted = expected(exporter, convolutions)
    # Keras numbers its models, and what it enters a second time.
    found = {re.sub(r"^functional(_\d+)*/|_1$", "", name): layer for name, layer in found.items()}
    assert found.keys() == wanted.keys()
    names = {name: (layer.name, wanted[name][0]) for name, layer in found.items()}
    assert {name: pair for name, pair in names.items() if pair[0] != pair[1]} == {}
    for name, layer in found.items():
        np.testing.assert_allclose(layer.values, wanted[name][1], rtol=2e-5, atol=2e-6, err_msg=name)
        assert np.all(np.abs(layer.layer.factors[0]) == 1), name


@pytest.mark.parametrize(("exporter", "opset"), EXPORTS, ids=IDS)
def test_functions_as_exported(exporter: str, opset: int) -> None:
    check(read_of(exporter, opset), exporter)


@pytest.mark.parametrize(("exporter", "opset"), OPTIMISED, ids=[f"{e} {o}" for e, o in OPTIMISED])
def test_functions_as_onnxruntime_rewrites_them(exporter: str, opset: int) -> None:
    check(read_optimised(exporter, opset), exporter)


def test_functions_inside_of_convolutions() -> None:
    """Onnxruntime joins seven functions with a convolution, some of them the beginnings of others."""
    proto = function_torch.export("TorchScript", 17, convolutions=True)
    fused = optimised(proto)
    assert sum(node.op_type == "FusedConv" for node in fused.graph.node) > 8
    for version in (proto, fused):
        check(read(version), "TorchScript", convolutions=True)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=["float16", "bfloat16"])
@pytest.mark.parametrize(("exporter", "opset"), [("TorchScript", 13), ("dynamo", 18)], ids=["TorchScript", "dynamo"])
def test_functions_in_half_precision(exporter: str, opset: int, dtype: torch.dtype) -> None:
    """Their constants are rounded, to 11 or 8 bits; onnxruntime has no such operators to run on most processors."""
    layers = find_layers(load(function_torch.export(exporter, opset, dtype))).by_name
    names = {name: layer.activations[0].function for name, layer in layers.items()}
    wanted = dict(torch_expected(exporter))
    assert names.keys() == wanted.keys()
    differ = {name: (found and found.name, wanted[name]) for name, found in names.items()}
    assert {name: pair for name, pair in differ.items() if pair[0] != pair[1]} == {}


MOVES = {"Add", "Cast", "CastLike", "Identity", "Neg", "Reshape", "Transpose"}


def operators(layer: Layer) -> list[str]:
    """Return the operators between a layer and where it is read that are more than a shift or a move."""
    pending: list[ir.Value | None] = [layer.activations[0].value]
    found: dict[ir.Node, None] = {}
    while pending:
        value = pending.pop()
        producer = value.producer() if value is not None else None
        if producer is None or producer is layer.uses[0].node.node or value in layer.model.constants:
            continue
        if producer not in found and producer.op_type not in ("Shape", "ConstantOfShape"):
            found[producer] = None
            pending += producer.inputs
    ops = [node.op_type for node in found]
    return [op for op in ops if op not in MOVES] if len(ops) <= 2 else ops


def is_of_a_framework(name: str) -> bool:
    """Return whether the function of a layer is a module of the framework, rather than written out by the model."""
    case = name.split(".")[1] if name.startswith("branches.") else ""
    return case.lower() != case or (not case and "norm" not in name)


def written_out(exporter: str) -> set[str]:
    """Return the functions that an exporter writes as several operators."""
    found = [pair for opset in OPSETS[exporter] for pair in read_of(exporter, opset).items()]
    several = {read.name or "" for name, read in found if is_of_a_framework(name) and len(operators(read.layer)) > 1}
    return {name for name in several if not name.startswith("elementwise")}


@pytest.mark.parametrize("exporter", OPSETS)
def test_who_writes_a_function_as_several_operators(exporter: str) -> None:
    """The page on activation functions says so of each exporter."""
    listed = {form.function.name for form in (*KNOWN, *FAMILIES) if exporter in form.written_by}
    listed |= {name for name, exporters in WRITTEN_BY.items() if exporter in exporters}
    assert written_out(exporter) == listed
