"""Each rule: a case where it speaks, with its numbers, and one where it is silent."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from wua_onnx.findings import Evidence, Finding, find, rule_names
from wua_onnx.findings.registry import SEVERITIES, finding_rule
from wua_onnx.layers import Declined

from .made import evidence, heads, layer, without_baseline


def said(given: Evidence) -> dict[str, list[Finding]]:
    result: dict[str, list[Finding]] = {}
    for finding in find(given):
        result.setdefault(finding.rule, []).append(finding)
    return result


QUIET = evidence()
EXTERNAL = {"w": np.ones((5, 3), np.float32), "unused": np.ones(7, np.float32)}
DOUBLE = "(double[N, 5] x) => (double[] y) { y = MatMul(x, w) }"
ON_CONSTANTS = "(float[N, 5] x) => (float[] y) { e = Exp(w) y = MatMul(x, e) }"
UNKNOWN = "(float[N, 5] x) => (float[] y) { a = acme.Foo(x) b = acme.Foo(a) y = MatMul(b, w) }"
DUPLICATE = ((("a", "b", "c"), 64),)


UNMAPPED = {"layer": None, "mapped": 0, "reason": "computed by Foo"}
# rule, what makes it speak, where, part of the evidence, severity, params, confidence
SPEAKS: list[tuple[str, Evidence, str, str, str, int | None, str]] = [
    (
        "unused-rows",
        evidence([layer(kind="embedding", dead_neurons=20)]),
        "fc1",
        "20 of 50 rows are never looked up by this data",
        "low",
        400,
        "not verified",
    ),
    (
        "few-samples",
        evidence([layer(mean_activation={"mean": 2.0, "standard_error": 0.5})], samples=16),
        "fc1",
        "is 25 % of them after 16 samples; above 10 % in 1 of 1 layers",
        "low",
        None,
        "measured",
    ),
    (
        "unrecorded-layer",
        evidence(unrecorded={"fc1": "its activation is inside of SequenceMap"}),
        "fc1",
        "its activation is inside of SequenceMap",
        "info",
        None,
        "exact",
    ),
    (
        "layer-redundancy",
        evidence([layer({"redundancy": 0.71, "utilization": 0.251, "effective": 251.0})]),
        "fc1",
        "redundancy 0.71 (untrained: 0.04), effective weights 251 of 1,000",
        "high",
        666,
        "not verified",
    ),
    (
        "model-utilization",
        evidence(totals={"utilization": 0.251, "effective_weights": 251.0}),
        "the whole model",
        "utilization 25.1 % (untrained: 75.3 %), effective weights 251 of 1,000",
        "high",
        666,
        "not verified",
    ),
    (
        "sparse-layer",
        evidence([layer({"relative_sparsity": {"0.01": 0.62}})]),
        "fc1",
        "62 % of its weights",
        "medium",
        600,
        "not verified",
    ),
    (
        "dead-neurons",
        evidence([layer(dead_neurons=7)]),
        "fc1",
        "7 of 50 neurons are never active",
        "medium",
        140,
        "measured",
    ),
    ("dead-neurons", evidence([layer(dead_neurons=13)]), "fc1", "13 of 50 neurons", "high", 260, "measured"),
    (
        "dead-neurons",
        evidence([layer(dead_neurons=7, mean_activation=None)]),
        "fc1",
        "7 of 50 neurons are without any incoming weight",
        "medium",
        140,
        "exact",
    ),
    (
        "dead-layer",
        evidence([layer({"sum": 0.0})]),
        "fc1",
        "the importance of all 1,000 weights is 0",
        "high",
        1000,
        "measured",
    ),
    ("non-finite", evidence([layer(non_finite=20)]), "fc1", "20", "high", None, "exact"),
    (
        "fp64-weights",
        evidence(graph=DOUBLE, weights={"w": np.ones((5, 3))}),
        "w",
        "15 parameters",
        "medium",
        None,
        "exact",
    ),
    (
        "duplicate-weights",
        evidence(duplicates=DUPLICATE),
        "a, b, c",
        "3 tensors with the same 64 elements",
        "low",
        128,
        "exact",
    ),
    ("unused-initializers", evidence(weights=EXTERNAL), "unused", "7 stored elements", "low", None, "exact"),
    (
        "work-on-constants",
        evidence(graph=ON_CONSTANTS),
        "e",
        "one node depends on constants only",
        "info",
        None,
        "exact",
    ),
    ("uncounted-operators", evidence(graph=UNKNOWN), "cost", "no count for acme::Foo × 2", "info", None, "exact"),
    (
        "checker",
        evidence(checker="Field 'shape' is missing"),
        "the file",
        "Field 'shape' is missing",
        "info",
        None,
        "exact",
    ),
    (
        "redundant-heads",
        evidence(attention=heads(similarity=[0.97, 0.1, 0.97, 0.1], head_importance=[3.0, 4.0, 5.0, 0.1])),
        "layer.0.attention",
        "heads 2 do the same as another (cosine above 0.95); heads 3 have less than 10 % of an equal share",
        "medium",
        None,
        "not verified",
    ),
    (
        "dead-heads",
        evidence(attention=heads(dead_heads=[1, 3])),
        "layer.0.attention",
        "the values of heads 1, 3 of 4 are 0 on the data",
        "high",
        None,
        "measured",
    ),
    (
        "unmapped-attention",
        evidence(attention=heads(parts={"query": [UNMAPPED]}, head_importance=None, similarity=None, dead_heads=None)),
        "layer.0.attention",
        "query: computed by Foo",
        "info",
        None,
        "exact",
    ),
    (
        "unanalysed-weights",
        evidence(declined=(Declined("fc2.bias", 5, "bias"), Declined("fc2.weight", 15, "weight of Foo", weight=True))),
        "fc2.weight",
        "15 weights are in no layer: weight of Foo",
        "info",
        None,
        "exact",
    ),
    ("not-recorded", evidence(recording_error="no kernel"), "recording", "no kernel", "high", None, "exact"),
]


@pytest.mark.parametrize("case", SPEAKS, ids=lambda case: case[0])
def test_a_rule_speaks(case: tuple[str, Evidence, str, str, str, int | None, str]) -> None:
    rule, given, where, text, severity, params, confidence = case
    (finding,) = said(given)[rule]
    assert (finding.where, finding.severity, finding.params, finding.confidence) == (
        where,
        severity,
        params,
        confidence,
    )
    assert text in finding.evidence
    assert finding.action


def test_where_there_is_nothing_to_say_no_rule_speaks() -> None:
    assert find(QUIET) == []


SILENT: dict[str, Evidence] = {
    "redundant, but not more than untrained": evidence([layer({"redundancy": 0.61, "utilization": 0.75})]),
    "a surplus below 60 %": evidence([layer({"redundancy": 0.59, "utilization": 0.3})]),
    "no baseline to compare with": evidence([without_baseline(layer({"redundancy": 0.9, "utilization": 0.1}))]),
    "little used, as untrained ones": evidence(totals={"utilization": 0.25, "baseline_utilization": 0.251}),
    "no layers": evidence([], {"utilization": None, "baseline_utilization": None}),
    "sparse, as untrained ones": evidence(
        [layer({"relative_sparsity": {"0.01": 0.04}})],
    ),
    "no dead neurons known": evidence([layer(dead_neurons=None)]),
    "another criterion": evidence([layer(criteria={})]),
    "heads that differ": evidence(attention=heads()),
    "heads without importance": evidence(attention=heads(head_importance=None, similarity=None, dead_heads=None)),
    "dead attention": evidence(attention=heads(head_importance=[0.0] * 4)),
}


@pytest.mark.parametrize("case", SILENT)
def test_a_rule_is_silent(case: str) -> None:
    assert find(SILENT[case]) == []


def test_a_layer_that_is_all_dead_is_one_finding_and_not_two() -> None:
    assert said(evidence([layer({"sum": 0.0}, dead_neurons=50)])).keys() == {"dead-layer"}


def test_shapes_that_could_not_be_inferred_are_told() -> None:
    given = evidence()
    model = replace(given.model, problems=("shape inference stopped: Gemm",))
    (finding,) = find(replace(given, model=model))
    assert (finding.rule, finding.evidence) == ("shape-inference", "shape inference stopped: Gemm")


def test_every_rule_has_a_case() -> None:
    assert {case[0] for case in SPEAKS} | {"shape-inference"} == set(rule_names())


def test_the_gravest_come_first_and_among_equals_those_that_save_most() -> None:
    given = evidence(
        [layer(name="a", dead_neurons=1), layer(name="b", dead_neurons=9), layer({"sum": 0.0}, name="c")],
        duplicates=DUPLICATE,
        checker="objects",
    )
    found = find(given)
    assert [f.where for f in found] == ["c", "b", "a", "a, b, c", "the file"]
    assert [SEVERITIES.index(f.severity) for f in found] == sorted(SEVERITIES.index(f.severity) for f in found)


def test_dead_neurons_save_their_share_of_the_work() -> None:
    (finding,) = find(evidence([layer(dead_neurons=5, macs=1000)]))
    assert finding.flops == 200
    (finding,) = find(evidence([layer(dead_neurons=5, macs={"text": "1000*batch"})]))
    assert finding.flops is None


def test_json() -> None:
    (finding,) = find(evidence([layer(dead_neurons=5)]))
    data = finding.to_dict()
    assert data["saving"] == {"params": 100, "flops": 200}
    assert data.keys() == {"rule", "severity", "where", "evidence", "action", "saving", "confidence"}


def test_a_second_rule_of_the_same_name_is_refused() -> None:
    rule_names()
    with pytest.raises(ValueError, match="finding rule 'checker': expected one, got a second"):
        finding_rule("checker")(lambda given: iter(()))


def test_a_recording_without_enough_memory_is_told_to_take_fewer_samples_at_once() -> None:
    error = "device='cuda': too little memory for x [9, 3] float32"
    (found,) = (finding for finding in find(evidence(recording_error=error)) if finding.rule == "not-recorded")
    assert found.action == "the figures below rest on the weights alone; give it a smaller batch_size"
