"""Evidence of which there is nothing to say, and what is changed of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import onnx.parser

from wua_onnx.cost import count
from wua_onnx.findings import Evidence
from wua_onnx.model import load

WEIGHTS = 1000


def evidence(
    layers: list[dict[str, Any]] | None = None,
    totals: Mapping[str, Any] | None = None,
    graph: str = "(float[N, 5] x) => (float[] y) { y = MatMul(x, w) }",
    weights: Mapping[str, Any] | None = None,
    **others: Any,
) -> Evidence:
    proto = onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["": 21, "acme": 1]> g {graph}')
    given = {"w": np.ones((5, 3), np.float32)} if weights is None else weights
    proto.graph.initializer.extend(onnx.numpy_helper.from_array(np.asarray(v), k) for k, v in given.items())
    model = load(proto)
    calm = {"weights": WEIGHTS, "effective_weights": 750.0, "utilization": 0.75, "baseline_utilization": 0.753}
    return Evidence(
        model=model,
        cost=count(model),
        layers=tuple(layers if layers is not None else [layer()]),
        totals={**calm, **(totals or {})},
        criterion="magnitude",
        **others,
    )


def layer(metrics: Mapping[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """Return a layer as every untrained one is: nothing to say about it."""
    untrained = {
        "redundancy": 0.04,
        "utilization": 0.753,
        "effective": 753.0,
        "sum": 1.0,
        "relative_sparsity": {"0.01": 0.02},
    }
    return {
        "name": "fc1",
        "kind": "dense",
        "weights": WEIGHTS,
        "neurons": 50,
        "dead_neurons": 0,
        "macs": 1000,
        "non_finite": 0,
        "mean_activation": {"mean": 1.0},
        "criteria": {"magnitude": {"metrics": {**untrained, **(metrics or {})}, "baseline": untrained}},
        **changes,
    }


def heads(**changes: Any) -> tuple[dict[str, Any], ...]:
    """Return an attention of four heads of which there is nothing to say."""
    part = [{"layer": "qkv", "mapped": 8, "reason": None}]
    calm = {
        "name": "layer.0.attention",
        "heads": 4,
        "parts": dict.fromkeys(("query", "key", "value", "output"), part),
        "head_importance": [3.0, 4.0, 5.0, 4.0],
        "effective": 3.9,
        "similarity": [0.2, 0.1, 0.2, 0.1],
        "most_similar": [2, 3, 0, 1],
        "dead_heads": [],
    }
    return ({**calm, **changes},)


def without_baseline(changed: dict[str, Any]) -> dict[str, Any]:
    changed["criteria"]["magnitude"]["baseline"] = None
    return changed
