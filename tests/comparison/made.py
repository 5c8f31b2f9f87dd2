"""Comparisons of fictional audits: of two that differ in everything, of one whose names mean harm."""

from __future__ import annotations

import copy
from typing import Any

from tests.report.sample import HOSTILE, digits, hostile
from wua_onnx._compare import compared
from wua_onnx._result import Audit
from wua_onnx.comparison import Comparison, OutputDifference, Outputs


def narrowed() -> dict[str, Any]:
    """Return the digits audit after a change: one layer narrower, one renamed, one gone, one new."""
    audit = digits()
    audit["model"]["name"] = "narrowed"
    first, second, third, last = audit["layers"]
    for layer, width in ((third, 0), (last, 1)):
        layer["weight_shape"][width] //= 2
        layer["weights"] //= 2
        layer["macs"] //= 2
        metrics = next(iter(layer["criteria"].values()))["metrics"]
        metrics.update(utilization=0.8125, redundancy=0.0123, gini=0.345, effective=layer["weights"] * 0.8125)
    second["name"] = "features.second"
    new = {**copy.deepcopy(first), "name": "stem", "kind": "dense", "weight_shape": [7, 3], "weights": 21, "macs": 21}
    audit["layers"] = [new, second, third, last]
    audit["cost"].update(params=30_011, macs=281_001, flops=565_003, weight_bytes=120_044)
    audit["totals"].update(effective_weights=20_011.5, utilization=0.7, average_redundancy=0.05)
    audit["recording"]["accuracy"] = 0.9625
    return audit


def made() -> Comparison:
    """Return a comparison in which everything occurs that is shown."""
    before = digits()
    before["recording"]["accuracy"] = 0.975
    each = (
        OutputDifference(
            name="logits", after_name="scores", elements=3600, largest=4.25, mean=0.5, rms=0.75, relative=0.125,
            agreement=0.9875,
        ),
        OutputDifference(name="hidden", after_name="hidden", error="shapes [360, 96] against [360, 48]"),
    )  # fmt: skip
    return compared(Audit(before), Audit(narrowed()), Outputs(samples=360, each=each))


def harmful() -> Comparison:
    """Return a comparison whose every name means harm."""
    one, two = hostile(), hostile(narrowed)
    two["model"]["name"] = HOSTILE[1]
    names = [one["layers"][0]["name"], two["layers"][-1]["name"]]
    each = (OutputDifference(name=names[0], after_name=names[1], error=names[0]),)
    return compared(Audit(one), Audit(two), Outputs(samples=1, each=each, error=names[1]))
