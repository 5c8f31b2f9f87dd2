"""check(): figures against their limits and against a baseline."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper

import wua_onnx as wua
from tests.small_models import DEAD, HIDDEN, INPUTS, OUTPUTS, SAMPLES, data, mlp, mlp_weights, model
from wua_onnx.budget import all_metrics, budgets_of
from wua_onnx.errors import BudgetError, DataError, ShapeError, WuaError

BATCH = 11
# 5 -> 7 -> 3 with biases, by hand.
PARAMS = INPUTS * HIDDEN + HIDDEN + HIDDEN * OUTPUTS + OUTPUTS
MACS = BATCH * (INPUTS * HIDDEN + HIDDEN * OUTPUTS)
# While the first layer writes its result: x and h; and r with h, which is as much as the two of them: h + r.
PEAK = 4 * BATCH * 2 * HIDDEN
EXACT: dict[str, Any] = {
    "max_macs": MACS, "max_flops": 2 * MACS + BATCH * (HIDDEN + OUTPUTS) + BATCH * HIDDEN, "max_params": PARAMS,
    "max_weight_bytes": 4 * PARAMS, "max_peak_memory": PEAK, "max_total_memory": 4 * PARAMS + PEAK, "max_nodes": 3,
    "max_int_ops": 0, "max_unsupported": 0, "max_kv_cache_per_token": 0,
}  # fmt: skip


def unknown(shape: list[Any] | None = None) -> Any:
    """A model with an operator that nothing is known of."""
    nodes = [
        helper.make_node("Gemm", ["x", "hidden.weight"], ["h"], name="gemm"),
        helper.make_node("Odd", ["h"], ["y"], name="odd", domain="com.acme"),
    ]
    return model(nodes, mlp_weights(), shape or [BATCH, INPUTS])


def limit(key: str, value: Any) -> dict[str, Any]:
    """One budget, named at run time."""
    return {key: value}


@pytest.mark.parametrize(("key", "value"), EXACT.items())
def test_a_limit_is_kept_at_the_figure_and_broken_below_it(key: str, value: int) -> None:
    [kept] = wua.check(mlp(), dims={"batch": BATCH}, **limit(key, value)).outcomes
    assert kept.ok
    assert (kept.got, kept.over, kept.over_text) == (Fraction(value), Fraction(0), "")
    if value:
        result = wua.check(mlp(), dims={"batch": BATCH}, **limit(key, value - 1))
        assert not result.ok
        assert result.broken[0].over == 1


def test_data_decides_dead_neurons_redundancy_and_accuracy() -> None:
    labels = np.zeros(SAMPLES, int)
    result = wua.check(mlp(), data(), labels, max_dead_neurons=len(DEAD), min_accuracy="100%", max_redundancy="1%")
    found = {outcome.key: outcome for outcome in result.outcomes}
    audit = wua.analyze(mlp(), data(), labels)
    assert found["max_dead_neurons"].got == len(DEAD)
    assert float(found["max_redundancy"].got) == audit.average_redundancy
    assert not found["max_redundancy"].ok
    recorded = audit.to_dict()["recording"]
    assert float(found["min_accuracy"].got) == recorded["accuracy"] < 1
    assert [outcome.key for outcome in result.broken] == ["max_redundancy", "min_accuracy"]


def test_a_latency_is_measured() -> None:
    result = wua.check(mlp(), data(), max_latency="60s", isolate=True)
    [latency] = result.outcomes
    assert (latency.ok, latency.bound) == (True, "measured")
    assert 0 < latency.got < 60


def test_a_lower_bound_that_passes_says_at_least() -> None:
    result = wua.check(unknown(), max_macs="1M", max_params=PARAMS, max_unsupported=0)
    macs, params, unsupported = result.outcomes
    assert macs.got_text.startswith("at least ")
    assert (macs.ok, macs.certain) == (True, False)
    assert (params.ok, params.certain, params.bound) == (True, True, "exact")
    assert (unsupported.ok, unsupported.where) == (False, "com.acme::Odd")
    assert any("com.acme::Odd" in note for note in result.notes)
    assert "at least" in str(result)
    assert "ok?" in str(result)


def test_a_lower_bound_that_breaks_is_certain() -> None:
    [macs] = wua.check(unknown(), max_macs=1).outcomes
    assert (macs.ok, macs.certain, macs.bound) == (False, True, "lower")


@pytest.mark.parametrize("key", ["max_macs", "max_flops", "max_peak_memory", "max_bytes_moved", "max_total_memory"])
def test_free_dimensions_ask_for_their_sizes(key: str) -> None:
    with pytest.raises(ShapeError, match=rf"{key}: expected a number .*·batch.*--dim batch=1.*--data"):
        wua.check(mlp(), **limit(key, 10**9))
    assert wua.check(mlp(), dims={"batch": BATCH}, **limit(key, 10**9)).ok
    assert wua.check(mlp(), data(), **limit(key, 10**9)).ok


def test_what_does_not_depend_on_free_dimensions_needs_no_sizes() -> None:
    assert wua.check(mlp(), max_params=PARAMS, max_weight_bytes=4 * PARAMS).ok


def test_a_count_reads_no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*arguments: object, **named: object) -> None:
        raise AssertionError("the whole audit was made for a count")

    monkeypatch.setattr("wua_onnx._check.analyze", never)
    assert wua.check(mlp(), data(), max_macs="1M").ok


@pytest.mark.parametrize("given", ["audit", "json", "report"])
def test_what_was_counted_before_can_be_checked(given: str, tmp_path: Path) -> None:
    audit = wua.analyze(mlp())
    audit.to_json(tmp_path / "audit.json")
    subject: Any = {"audit": audit, "json": tmp_path / "audit.json", "report": wua.cost(mlp())}[given]
    assert wua.check(subject, dims={"batch": BATCH}, max_macs=MACS).outcomes[0].got == MACS
    assert not wua.check(subject, dims={"batch": BATCH + 1}, max_macs=MACS).ok
    with pytest.raises(DataError, match="leave X out"):
        wua.check(subject, data(), max_macs=MACS)


@pytest.mark.parametrize(
    ("budget", "needs"), [("min_accuracy", "labels"), ("max_latency", "profile")], ids=["accuracy", "latency"]
)
def test_a_figure_that_an_audit_does_not_have(budget: str, needs: str) -> None:
    with pytest.raises(DataError, match=f"{budget}: expected an audit .*{needs}"):
        wua.check(wua.analyze(mlp()), **limit(budget, 1))


def test_nothing_to_compare_with() -> None:
    with pytest.raises(BudgetError, match=r"expected a budget .* got neither"):
        wua.check(mlp())
    with pytest.raises(BudgetError, match="neither"):
        wua.check(mlp(), max_flops=None)


def test_an_unknown_budget_names_the_known_ones() -> None:
    with pytest.raises(BudgetError, match=r"max_flops, max_macs.*min_accuracy.*got 'max_flop'"):
        wua.check(mlp(), max_flop="2G")


def test_every_metric_says_something_of_a_recorded_and_profiled_audit() -> None:
    audit = wua.analyze(mlp(), data(), np.zeros(SAMPLES, int), profile=True).to_dict()
    silent = [one.name for one in all_metrics() if one.figure(audit).value is None]
    assert silent == ["file_bytes"]  # the model is no file
    assert len({one.key for one in all_metrics()}) == len(all_metrics()) > 15


def test_registering_a_metric_twice_is_refused() -> None:
    from wua_onnx.budget.registry import Figure, metric

    with pytest.raises(ValueError, match="flops"):
        metric("flops", "FLOPs", "count")(lambda audit: Figure(value=1))


def test_limits_keep_the_order_of_the_tables() -> None:
    assert [b.metric.name for b in budgets_of({"min_accuracy": 1, "max_params": 1, "max_flops": 1})] == [
        "flops", "params", "accuracy"
    ]  # fmt: skip


# Baselines


def compared(result: Any) -> dict[str, Any]:
    return {outcome.key.removesuffix("_of_baseline"): outcome for outcome in result.outcomes}


def test_a_model_keeps_its_own_figures() -> None:
    result = wua.check(mlp(), baseline=mlp())
    assert result.ok
    assert {"flops", "params", "peak_memory", "redundancy", "dead_neurons"} <= compared(result).keys()


@pytest.mark.parametrize("sizes", [{}, {"dims": {"batch": BATCH}}], ids=["symbolic", "at a size"])
def test_a_wider_model_breaks_every_size_unless_allowed(sizes: Any) -> None:
    found = compared(wua.check(mlp(HIDDEN + 1), baseline=mlp(), **sizes))
    assert {name for name in ("flops", "macs", "params", "weight_bytes", "peak_memory") if not found[name].ok} == {
        "flops", "macs", "params", "weight_bytes", "peak_memory"
    }  # fmt: skip
    growth = Fraction(HIDDEN + 1, HIDDEN) - 1  # of the MACs: exactly 1/7
    assert found["macs"].over / found["macs"].baseline == growth
    assert compared(wua.check(mlp(HIDDEN + 1), baseline=mlp(), allow_increase="15%", **sizes))["macs"].ok
    assert not compared(wua.check(mlp(HIDDEN + 1), baseline=mlp(), allow_increase="14%", **sizes))["macs"].ok


def test_a_smaller_model_is_no_break() -> None:
    found = compared(wua.check(mlp(HIDDEN - 1), baseline=mlp()))
    assert all(found[name].ok for name in ("flops", "macs", "params", "weight_bytes", "peak_memory"))


def test_accuracy_may_fall_as_much_as_is_allowed() -> None:
    audit = wua.analyze(mlp(), data(), np.zeros(SAMPLES, int)).to_dict()
    from wua_onnx.budget import against_baseline

    audit["recording"]["accuracy"] = 0.95
    better = json.loads(json.dumps(audit))
    better["recording"]["accuracy"] = 1.0
    for allowed, ok in ((Fraction(5, 100), True), (Fraction(4, 100), False)):
        outcomes, _ = against_baseline(audit, better, allowed)
        assert {o.key: o.ok for o in outcomes}["accuracy_of_baseline"] is ok


def test_the_sizes_of_the_baseline_are_taken_where_there_are_none(tmp_path: Path) -> None:
    wua.analyze(mlp(), dims={"batch": BATCH}).to_json(tmp_path / "audit.json")
    result = wua.check(mlp(), baseline=tmp_path / "audit.json", max_macs=MACS)
    assert result.ok
    assert compared(result)["macs"].got == MACS
    assert result.notes == ()


def test_a_baseline_of_other_sizes_is_said(tmp_path: Path) -> None:
    wua.analyze(mlp(), dims={"batch": BATCH}).to_json(tmp_path / "audit.json")
    result = wua.check(mlp(), baseline=tmp_path / "audit.json", dims={"batch": 2})
    assert any("batch=2 against batch=11" in note for note in result.notes)


def test_a_baseline_on_data_is_not_compared_by_importance_with_weights_alone(tmp_path: Path) -> None:
    wua.analyze(mlp(), data()).to_json(tmp_path / "audit.json")
    result = wua.check(mlp(), baseline=tmp_path / "audit.json")
    assert "redundancy" not in compared(result)
    assert any("magnitude against activation on data" in note for note in result.notes)
    assert "redundancy" in compared(wua.check(mlp(), data(), baseline=tmp_path / "audit.json"))


def test_audits_that_share_no_layer() -> None:
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"], name="other")]
    other = model(nodes, {"w": np.ones((INPUTS, 13))}, ["batch", INPUTS], "stranger")
    with pytest.raises(
        DataError, match=r"baseline stranger: expected an audit that shares a layer with net .*got none"
    ):
        wua.check(mlp(), baseline=other)


def test_figures_whose_sizes_do_not_cancel_ask_for_them() -> None:
    nodes = [helper.make_node("MatMul", ["x", "hidden.weight"], ["y"], name="gemm1")]
    weights = {"hidden.weight": mlp_weights()["hidden.weight"]}
    flat, deep = (model(nodes, weights, shape) for shape in (["batch", INPUTS], ["batch", "length", INPUTS]))
    with pytest.raises(ShapeError, match=r"--dim batch=1 --dim length=1"):
        wua.check(deep, baseline=flat)


@pytest.mark.parametrize("text", ["[]", "{}", '{"schema_version": 2}', '{"schema_version": 1}', "{", '{"by_node": []}'])
def test_a_baseline_that_is_no_audit(text: str, tmp_path: Path) -> None:
    (tmp_path / "audit.json").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=r"audit\.json: expected"):
        wua.check(mlp(), baseline=tmp_path / "audit.json")


def test_a_malformed_audit_is_an_error_of_ours(tmp_path: Path) -> None:
    audit = wua.analyze(mlp()).to_dict()
    del audit["totals"]["average_redundancy"]
    (tmp_path / "audit.json").write_text(json.dumps(audit), encoding="utf-8")
    with pytest.raises(WuaError, match="average_redundancy"):
        wua.check(tmp_path / "audit.json", max_redundancy=1)


def expression(**coefficients: int) -> Any:
    """c·1 + b·batch as the JSON of an audit holds it."""
    terms = [[str(c), [] if name == "one" else [[name, 1]]] for name, c in coefficients.items()]
    return {"text": " + ".join(f"{c}*{name}" for name, c in coefficients.items()), "terms": terms}


@pytest.mark.parametrize(
    ("value", "before", "allowed", "expected"),
    [
        # 8·batch + 6 of 4·batch + 5 lies between 6/5 and 2 of it.
        ({"batch": 8, "one": 6}, {"batch": 4, "one": 5}, "100%", (True, 2, "upper")),
        ({"batch": 8, "one": 6}, {"batch": 4, "one": 5}, "10%", (False, Fraction(6, 5), "lower")),
        ({"batch": 8, "one": 6}, {"batch": 4, "one": 5}, "50%", None),
        ({"batch": 8, "one": 6}, {"batch": 4, "one": 3}, "100%", (True, 2, "exact")),
        ({"batch": 8}, {"batch": 4, "one": 3}, "100%", (True, 2, "upper")),
        ({"batch": 8, "one": 6}, {"batch": 4}, "100%", None),
        ({"batch": 8, "length": 1}, {"batch": 9}, "100%", None),
    ],
)
def test_symbolic_figures_are_compared_whatever_the_sizes(
    value: Any, before: Any, allowed: str, expected: tuple[bool, Fraction, str] | None
) -> None:
    from wua_onnx.budget import against_baseline
    from wua_onnx.budget.amounts import parse

    audit, baseline = (wua.analyze(mlp()).to_dict() for _ in range(2))
    for side, coefficients in ((audit, value), (baseline, before)):
        side["cost"]["bytes_moved"] = expression(**coefficients)
    share = parse("allow_increase", allowed, "increase")
    if expected is None:
        with pytest.raises(ShapeError, match="max_bytes_moved"):
            against_baseline(audit, baseline, share)
        return
    outcomes, _ = against_baseline(audit, baseline, share)
    found = {outcome.key: outcome for outcome in outcomes}["bytes_moved_of_baseline"]
    assert (found.ok, found.got, found.bound) == expected


# Cost reports


def cost_json(folder: Path, dims: Any = None) -> Path:
    file = folder / "cost.json"
    file.write_text(json.dumps(wua.cost(mlp(), dims=dims).to_dict()), encoding="utf-8")
    return file


def test_the_json_of_a_cost_report_is_a_baseline(tmp_path: Path) -> None:
    file = cost_json(tmp_path, {"batch": BATCH})
    found = compared(wua.check(mlp(HIDDEN + 1), baseline=file))
    assert (found["macs"].baseline, found["macs"].ok) == (MACS, False)
    assert "redundancy" not in found
    assert wua.check(mlp(), baseline=file).ok
    assert wua.check(mlp(), baseline=file).baseline == "cost"


def test_the_json_of_a_cost_report_has_budgets(tmp_path: Path) -> None:
    file = cost_json(tmp_path)
    assert wua.check(file, dims={"batch": BATCH}, max_macs=MACS).ok
    assert wua.check(file, max_params=PARAMS - 1).model == "cost"
    with pytest.raises(ShapeError, match="max_macs"):
        wua.check(file, max_macs=MACS)


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("max_redundancy", "expected an audit with layers, got a cost report"),
        ("max_dead_neurons", "expected an audit with layers, got a cost report"),
        ("min_accuracy", "labels"), ("max_latency", "--profile"), ("max_nodes", "expected a model or an audit"),
    ],
)  # fmt: skip
def test_what_a_cost_report_does_not_hold(key: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        wua.check(cost_json(tmp_path), **limit(key, 1))
    assert key in str(caught.value)
    assert says in str(caught.value)


def test_a_path_below_the_working_directory_is_told_from_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Annotations of GitHub and SARIF find files by their path in the repository."""
    import onnx

    inner = tmp_path / "models"
    inner.mkdir()
    onnx.save(mlp(), inner / "net.onnx")
    monkeypatch.chdir(tmp_path)
    told = {given: wua.check(given, max_params=PARAMS).file for given in ("models/net.onnx", str(inner / "net.onnx"))}
    assert set(told.values()) == {"models/net.onnx"}
    assert wua.check(tmp_path / "models" / ".." / "models" / "net.onnx", max_params=PARAMS).file == "models/net.onnx"
    monkeypatch.chdir(inner)
    other = tmp_path / "other.onnx"
    onnx.save(mlp(), other)
    assert wua.check(other, max_params=PARAMS).file == str(other)
