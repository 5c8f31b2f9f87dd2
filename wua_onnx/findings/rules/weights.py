"""Rules about how the importance of weights is spread."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from wua_onnx._text import share_text
from wua_onnx.findings.registry import Evidence, Finding, finding_rule
from wua_onnx.layers import Declined

REDUNDANT_LAYER = 0.60
UNDERUSED_MODEL = 0.30
SPARSE_LAYER = 0.50
# A figure counts as better than an untrained layer's only beyond the error of that baseline.
MARGIN = 0.03


def _scored(evidence: Evidence) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any], Mapping[str, Any]]]:
    for layer in evidence.layers:
        scored = layer["criteria"].get(evidence.criterion)
        if scored is not None and scored["baseline"] is not None and scored["metrics"]["sum"]:
            yield layer, scored["metrics"], scored["baseline"]


def _beyond_untrained(metrics: Mapping[str, Any], baseline: Mapping[str, Any], weights: int) -> int:
    """Return by how many weights the layer uses fewer than an untrained one; 0 within the baseline's error."""
    share = 1.0 - metrics["utilization"] / baseline["utilization"] if baseline["utilization"] else 0.0
    return int(share * weights) if share > MARGIN else 0


@finding_rule("layer-redundancy")
def layer_redundancy(evidence: Evidence) -> Iterator[Finding]:
    """A layer whose redundancy is above 60 % and above that of an untrained layer."""
    for layer, metrics, baseline in _scored(evidence):
        surplus = _beyond_untrained(metrics, baseline, layer["weights"])
        if metrics["redundancy"] > REDUNDANT_LAYER and surplus:
            yield Finding(
                rule="layer-redundancy",
                severity="high",
                where=layer["name"],
                evidence=f"redundancy {metrics['redundancy']:.2f} (untrained: {baseline['redundancy']:.2f}), "
                f"effective weights {metrics['effective']:,.0f} of {layer['weights']:,}",
                action="try a narrower layer, retrain, and compare the quality",
                params=surplus,
            )


@finding_rule("model-utilization")
def model_utilization(evidence: Evidence) -> Iterator[Finding]:
    """A model that uses less than 30 % of its weights, and less than an untrained one would."""
    totals = evidence.totals
    used, untrained = totals["utilization"], totals["baseline_utilization"]
    if used is not None and untrained and used < UNDERUSED_MODEL and used < untrained * (1 - MARGIN):
        yield Finding(
            rule="model-utilization",
            severity="high",
            where="the whole model",
            evidence=f"utilization {share_text(used, 1)} (untrained: {share_text(untrained, 1)}), "
            f"effective weights {totals['effective_weights']:,.0f} of {totals['weights']:,}",
            action="try a smaller architecture, retrain, and compare the quality",
            params=int(totals["weights"] * (1 - used / untrained)),
        )


@finding_rule("sparse-layer")
def sparse_layer(evidence: Evidence) -> Iterator[Finding]:
    """A layer of which more than half the weights have less than 1 % of the importance of its strongest ones."""
    for layer, metrics, baseline in _scored(evidence):
        share, untrained = metrics["relative_sparsity"]["0.01"], baseline["relative_sparsity"]["0.01"]
        if share > SPARSE_LAYER and share > untrained + MARGIN:
            yield Finding(
                rule="sparse-layer",
                severity="medium",
                where=layer["name"],
                evidence=f"{share_text(share)} of its weights have less than 1 % of the 99.9th percentile of "
                f"importance (untrained: {share_text(untrained)})",
                action="prune them, fine-tune, and compare the quality",
                params=int((share - untrained) * layer["weights"]),
            )


@finding_rule("dead-layer")
def dead_layer(evidence: Evidence) -> Iterator[Finding]:
    """A layer in which no weight has any importance."""
    for layer in evidence.layers:
        scored = layer["criteria"].get(evidence.criterion)
        if scored is not None and scored["metrics"]["sum"] == 0:
            yield Finding(
                rule="dead-layer",
                severity="high",
                where=layer["name"],
                evidence=f"the importance of all {layer['weights']:,} weights is 0",
                action="find out why nothing passes: dead inputs, zero weights, or data that never reaches the layer",
                params=layer["weights"],
                confidence="measured" if layer["mean_activation"] is not None else "exact",
            )


@finding_rule("unanalysed-weights")
def unanalysed_weights(evidence: Evidence) -> Iterator[Finding]:
    """Weights of a layer that could not be analysed, or of a kind of layer that is not known."""
    by_reason: dict[str, list[Declined]] = {}
    for item in evidence.declined:
        if item.weight:
            by_reason.setdefault(item.reason, []).append(item)
    for reason, items in by_reason.items():
        yield Finding(
            rule="unanalysed-weights",
            severity="info",
            where=items[0].name if len(items) == 1 else f"{len(items):,} tensors",
            evidence=f"{sum(item.elements for item in items):,} weights are in no layer: {reason}",
            action="what they do is not known, and no total counts them; the coverage lists them by name",
            confidence="exact",
        )
