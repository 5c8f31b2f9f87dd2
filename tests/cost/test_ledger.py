"""Every operator has a rule, a stated reason to be free, or a line in unknown.txt; and nothing else has."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import onnx
import pytest

from wua_onnx.cost import registry
from wua_onnx.cost.control import CONTROL_FLOW
from wua_onnx.cost.listing import listed
from wua_onnx.cost.searches import DOMAIN, SEARCHES
from wua_onnx.cost.value import Verdict

# Operators of ai.onnx that onnx itself does not define: onnxruntime's optimizers write them.
NOT_IN_ONNX = {("", "SimplifiedLayerNormalization")}


def versions() -> dict[tuple[str, str], set[int]]:
    """The versions of every operator that onnx defines."""
    found: dict[tuple[str, str], set[int]] = defaultdict(set)
    for schema in onnx.defs.get_all_schemas_with_history():
        found[schema.domain, schema.name].add(schema.since_version)
    return found


def contributed() -> set[tuple[str, str]]:
    """The operators of com.microsoft that the installed onnxruntime has."""
    from onnxruntime.capi import onnxruntime_pybind11_state

    schemas = onnxruntime_pybind11_state.get_all_operator_schema()
    return {(schema.domain, schema.name) for schema in schemas if schema.domain == "com.microsoft"}


def unknown() -> set[tuple[str, str]]:
    lines = (Path(__file__).parent / "unknown.txt").read_text(encoding="utf-8").splitlines()
    names = [line.split("#")[0].strip() for line in lines]
    pairs = [("", name) if "::" not in name else tuple(name.split("::")) for name in names if name]
    assert len(pairs) == len(set(pairs))
    return {(domain, op) for domain, op in pairs}


def bodied() -> set[tuple[str, str]]:
    """The operators that onnx defines by a function in their newest version."""
    newest = onnx.defs.get_all_schemas()
    # onnx's stubs lack these
    return {(s.domain, s.name) for s in newest if s.has_function or s.has_context_dependent_function}  # type: ignore[attr-defined]


def test_what_is_counted_through_graphs_is_listed() -> None:
    rules = {(rule.domain, rule.op) for rule in registry.all_rules()}
    graphs = {("", op) for op in CONTROL_FLOW} | {(DOMAIN, op) for op in SEARCHES}
    lines = [(rule.domain, rule.op) for rule in listed() if (rule.domain, rule.op) not in rules]
    assert sorted(lines) == sorted(graphs | (bodied() - rules))
    known = versions()
    assert all(
        rule.since in known[rule.domain, rule.op] for rule in listed() if (rule.domain, rule.op) in known.keys() - rules
    )


def registered() -> set[tuple[str, str]]:
    graphs = {("", op) for op in CONTROL_FLOW} | {(DOMAIN, op) for op in SEARCHES}
    return {(rule.domain, rule.op) for rule in registry.all_rules()} | graphs


def test_every_operator_is_accounted_for() -> None:
    assert sorted((set(versions()) | contributed()) - registered() - bodied() - unknown()) == []


def test_no_line_is_stale() -> None:
    assert sorted(unknown() & (registered() | bodied())) == []
    assert sorted(unknown() - set(versions()) - contributed()) == []


def test_every_rule_is_for_an_operator_that_exists() -> None:
    assert sorted(registered() - set(versions()) - contributed() - NOT_IN_ONNX) == []


def test_every_since_is_a_version_of_its_operator() -> None:
    known = versions()
    for rule in registry.all_rules():
        if rule.since != 1:
            assert rule.since in known[rule.domain, rule.op], rule


def test_every_rule_states_its_formula_and_its_source() -> None:
    for rule in registry.all_rules():
        assert len(rule.formula) > 1, rule
        if rule.verdict is Verdict.FREE:
            assert rule.reason
            continue
        assert rule.count is not None
        text = rule.count.__doc__ or ""
        module = __import__(rule.count.__module__, fromlist=["__doc__"]).__doc__ or ""
        assert "https://" in text or "https://" in module, rule
        assert (rule.verdict is Verdict.ESTIMATE) == bool(rule.reason), rule


def test_a_second_rule_for_the_same_version_is_refused() -> None:
    with pytest.raises(ValueError, match=r"::Relu since 1: expected one rule, got a second"):
        registry.free("already counted", "Relu")


def test_the_rule_of_the_greatest_version_not_above_the_opset_is_found() -> None:
    assert registry.find("", "Relu", 13) is not None
    assert registry.find("", "NoSuchOperator", 13) is None
    assert registry.find("com.acme", "Relu", 1) is None
