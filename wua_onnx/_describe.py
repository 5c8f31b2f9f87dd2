"""The JSON of the parts of an audit that describe the model, the totals and the account of the parameters."""

from __future__ import annotations

import hashlib
import importlib.metadata
import math
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeAlias

import onnx_ir as ir

from wua_onnx._text import clean
from wua_onnx.layers import Layers
from wua_onnx.model.graph import Model

Json: TypeAlias = dict[str, Any]

_PACKAGES = ("onnx", "onnx-ir", "onnxruntime", "onnxruntime-gpu", "numpy")


def describe_model(model: Model, checker: str | None) -> Json:
    """Return what is known of the model as a whole."""
    ir_model = model.ir_model
    producer = " ".join(filter(None, (clean(ir_model.producer_name), clean(ir_model.producer_version))))
    return {
        "name": model.name,
        "file": model.path.name if model.path else None,
        "file_bytes": model.path.stat().st_size if model.path else None,
        "ir_version": ir_model.ir_version,
        "opsets": {clean(domain): version for domain, version in ir_model.opset_imports.items()},
        "producer": producer,
        "nodes": len(model.nodes),
        "inputs": [_value(model, value) for value in model.inputs],
        "outputs": [_value(model, value) for value in ir_model.graph.outputs],
        "checker": checker,
    }


def _value(model: Model, value: ir.Value) -> Json:
    shape = None
    if value.shape is not None:
        dims = [model.dim(dim) for dim in value.shape]
        shape = ["?" if dim is None else dim if isinstance(dim, int) else model.text(dim) for dim in dims]
    return {"name": clean(value.name), "dtype": value.dtype.name if value.dtype else None, "shape": shape}


def digest(path: Path | None) -> Future[str | None]:
    """Return the SHA-256 of a file to come, read beside other work; None of no file and of one that is gone."""

    def read() -> str | None:
        try:
            with open(path or "", "rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError:
            return None

    pool = ThreadPoolExecutor(1)
    found = pool.submit(read)
    pool.shutdown(wait=False)
    return found


def versions() -> dict[str, str]:
    """Return the versions of the packages that an audit rests on."""
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def describe_totals(layers: Sequence[Json], criterion: str) -> Json:
    """Return the figures of the whole model, by the first criterion."""
    scored = [layer["criteria"][criterion] for layer in layers if criterion in layer["criteria"]]
    weights = sum(part["metrics"]["total"] for part in scored)
    effective = math.fsum(part["metrics"]["effective"] for part in scored)
    untrained = math.fsum(part["baseline"]["effective"] for part in scored if part["baseline"])
    redundancies = [part["metrics"]["redundancy"] for part in scored]
    return {
        "weights": weights,
        "effective_weights": effective,
        "utilization": effective / weights if weights else None,
        "compression_potential": 1 - effective / weights if weights else None,
        "average_redundancy": math.fsum(redundancies) / len(redundancies) if redundancies else None,
        "baseline_utilization": untrained / weights if untrained else None,
    }


def describe_coverage(layers: Layers, missing: Mapping[str, str]) -> Json:
    """Return the account of the parameters: analysed, declined with the reason, and layers `missing` a recording."""
    return {
        "parameters": layers.parameters,
        "analysed": sum(layer.stored for layer in layers.by_name.values()),
        "declined": [{"name": item.name, "elements": item.elements, "reason": item.reason} for item in layers.declined],
        "unrecorded": [
            {"name": name, "elements": layers.by_name[name].size, "reason": reason} for name, reason in missing.items()
        ],
    }
