"""Rules about what was recorded, and what was not."""

from __future__ import annotations

import math
from collections.abc import Iterator

from wua_onnx._text import share_text
from wua_onnx.findings.registry import Evidence, Finding, finding_rule

_NOT_AT_ALL = "its weights are not in the totals of criteria that need activations; look at magnitude instead"
_IN_PART = "its weights are scored by their other uses alone; record data that takes this way, too"
_UNCERTAIN = 0.1  # standard error over mean from which on a mean is called uncertain


@finding_rule("not-recorded")
def not_recorded(evidence: Evidence) -> Iterator[Finding]:
    """Data was given, but the model could not be run."""
    if evidence.recording_error:
        short = "memory" in evidence.recording_error
        way = "give it a smaller batch_size" if short else "run the model elsewhere or replace the operator"
        yield Finding(
            rule="not-recorded",
            severity="high",
            where="recording",
            evidence=evidence.recording_error,
            action=f"the figures below rest on the weights alone; {way}",
            confidence="exact",
        )


@finding_rule("few-samples")
def few_samples(evidence: Evidence) -> Iterator[Finding]:
    """Too few samples to know the mean activations."""
    errors = {
        layer["name"]: layer["mean_activation"]["standard_error"] / layer["mean_activation"]["mean"]
        for layer in evidence.layers
        if layer["mean_activation"]
        and layer["mean_activation"].get("standard_error")
        and layer["mean_activation"]["mean"]
    }
    uncertain = {name: error for name, error in errors.items() if error > _UNCERTAIN}
    if uncertain and evidence.samples:
        name, worst = max(uncertain.items(), key=lambda item: item[1])
        needed = math.ceil(evidence.samples * (worst / _UNCERTAIN) ** 2)
        yield Finding(
            rule="few-samples",
            severity="low",
            where=name,
            evidence=f"the standard error of its neurons' mean activations is {share_text(worst)} of them after "
            f"{evidence.samples:,} samples; above {share_text(_UNCERTAIN)} in {len(uncertain)} of {len(errors)} layers",
            action=f"record about {needed:,} samples to bring it to {share_text(_UNCERTAIN)}",
            confidence="measured",
        )


@finding_rule("unrecorded-layer")
def unrecorded_layer(evidence: Evidence) -> Iterator[Finding]:
    """Layers whose activation, or that of one use of them, could not be recorded although the model ran."""
    for reasons, action in ((evidence.unrecorded, _NOT_AT_ALL), (evidence.partly, _IN_PART)):
        for name, reason in reasons.items():
            yield Finding(
                rule="unrecorded-layer",
                severity="info",
                where=name,
                evidence=reason,
                action=action,
                confidence="exact",
            )
