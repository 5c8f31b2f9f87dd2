"""What a finding is, what a rule sees, and the table of rules."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from typing import Any, TypeAlias

from wua_onnx.cost import CostReport
from wua_onnx.layers import Declined
from wua_onnx.layers.consumers import Freed
from wua_onnx.model.dim_json import from_json, to_json
from wua_onnx.model.dims import Dim
from wua_onnx.model.graph import Model

SEVERITIES = ("high", "medium", "low", "info")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing to look at.

    Attributes:
        rule: the name of the rule.
        severity: high, medium, low or info.
        where: the layer, tensor or operator.
        evidence: the numbers it rests on.
        action: what to do.
        params, flops: what acting on it is estimated to save; None where it saves none or it cannot be said.
        confidence: "exact", "measured", or "not verified" until something measured that the model keeps its quality.
    """

    rule: str
    severity: str
    where: str
    evidence: str
    action: str
    params: int | None = None
    flops: Dim | None = None
    confidence: str = "not verified"

    def to_dict(self) -> dict[str, Any]:
        """Return the finding in JSON's own types."""
        return {
            "rule": self.rule,
            "severity": self.severity,
            "where": self.where,
            "evidence": self.evidence,
            "action": self.action,
            "saving": {"params": self.params, "flops": to_json(self.flops)},
            "confidence": self.confidence,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Finding:
        """Return the finding that `to_dict` wrote."""
        saving = data["saving"]
        fields = {key: data[key] for key in ("rule", "severity", "where", "evidence", "action", "confidence")}
        return cls(**fields, params=saving["params"], flops=from_json(saving["flops"]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What the rules see of an audit.

    Attributes:
        model: the model.
        cost: its cost.
        layers: the JSON of each layer.
        totals: the JSON of the totals.
        criterion: the name of the first criterion.
        checker: what onnx's checker objects to; None where it does not.
        recording_error: why there is no recording although there was data; None otherwise.
        samples: how many were recorded; None without a recording.
        unrecorded: why a layer has no recording although there is one, by name.
        partly: which uses of a layer have no recording although others have, and why, by name.
        duplicates: groups of parameters with equal elements, by name, and the elements of one.
        attention: the JSON of each attention.
        freed: what one neuron of a layer frees beside its incoming weights, by the layer's name.
        declined: the parameters that are in no layer.
    """

    model: Model
    cost: CostReport
    layers: tuple[Mapping[str, Any], ...]
    totals: Mapping[str, Any]
    criterion: str
    checker: str | None = None
    recording_error: str | None = None
    samples: int | None = None
    unrecorded: Mapping[str, str] = field(default_factory=dict)
    partly: Mapping[str, str] = field(default_factory=dict)
    duplicates: tuple[tuple[tuple[str, ...], int], ...] = ()
    attention: tuple[Mapping[str, Any], ...] = ()
    freed: Mapping[str, Freed] = field(default_factory=dict)
    declined: tuple[Declined, ...] = ()


Rule: TypeAlias = Callable[[Evidence], Iterator[Finding]]
_RULES: dict[str, Rule] = {}


def finding_rule(name: str) -> Callable[[Rule], Rule]:
    """Register the decorated function as rule `name`."""

    def register(function: Rule) -> Rule:
        if name in _RULES:
            raise ValueError(f"finding rule {name!r}: expected one, got a second")
        _RULES[name] = function
        return function

    return register


def rule_names() -> tuple[str, ...]:
    """Return the names of all rules."""
    _load()
    return tuple(_RULES)


def checks() -> dict[str, str]:
    """Return what each rule looks for, by its name."""
    _load()
    return {name: (rule.__doc__ or name).strip().splitlines()[0] for name, rule in _RULES.items()}


def find(evidence: Evidence) -> list[Finding]:
    """Return the findings of all rules, gravest first, then by parameters saved."""
    _load()
    found = [finding for rule in _RULES.values() for finding in rule(evidence)]
    return sorted(found, key=lambda f: (SEVERITIES.index(f.severity), -(f.params or 0)))


@cache
def _load() -> None:
    """Import every file of rules, in the order of their names."""
    from wua_onnx.findings import rules

    for module in pkgutil.iter_modules(rules.__path__):
        import_module(f"{rules.__name__}.{module.name}")
