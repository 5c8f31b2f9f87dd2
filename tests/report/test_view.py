import shlex
from pathlib import Path
from typing import Any

import pytest

import wua_onnx as wua
from wua_onnx.cost import __doc__ as cost_conventions
from wua_onnx.errors import WuaError
from wua_onnx.report import rows
from wua_onnx.report.verdict import verdict_of
from wua_onnx.report.view import Page, page

from .sample import digits, hostile, transformer


def tile(view: Page, label: str) -> tuple[str, str]:
    [found] = [t for t in view.tiles if t.label == label]
    return found.value, found.exact


def test_tiles_of_a_recorded_model() -> None:
    view = page(digits())
    assert tile(view, "Parameters") == ("21,570", "21,570")
    assert tile(view, "Weight size") == ("84.3 KiB", "86,280 bytes")
    assert tile(view, "MACs") == ("304 kMACs", "304,192")
    assert tile(view, "Effective weights") == ("6,303", "6,303")
    assert view.bound.label == "exact"


def test_bounds_and_symbols_stand_in_the_tiles() -> None:
    view = page(transformer())
    assert tile(view, "MACs") == (
        "≥ (21.2 M·batch·seq + 9.22 k·batch·seq²) MACs",
        "21,233,664·batch·seq + 9,216·batch·seq²",
    )
    assert tile(view, "Peak activations") == ("not known", "not known")
    assert view.bound.label == "lower bound"
    assert "of them integer" in {fact.label for fact in view.cost.totals}


def test_a_common_factor_leaves_shares_and_a_long_expression_its_symbols() -> None:
    audit = transformer()
    terms = " + ".join(f"{1000 + i}*batch*seq**{i}" for i in range(2, 13))
    audit["cost"].update(macs={"text": "11796480*batch*seq"}, peak_activation_bytes={"text": terms})
    view = page(audit)
    assert view.layers[1].macs_share == "5.0 %"
    assert tile(view, "MACs")[0] == "≥ 11.8 MMACs · batch·seq"
    assert tile(view, "Peak activations")[0] == "depends on batch, seq"


def test_unknown_is_never_zero() -> None:
    audit = digits()
    for key in ("macs", "flops", "int_ops", "params", "weight_bytes", "peak_activation_bytes", "bytes_moved"):
        audit["cost"][key] = None
    for row in (*audit["cost"]["by_operator"], *audit["cost"]["by_module"]):
        row.update(macs=None, flops=None, int_ops=None, bytes=None)
    audit["totals"] = dict.fromkeys(audit["totals"])
    for layer in audit["layers"]:
        layer.update(macs=None, dead_neurons=None)
        layer["criteria"]["activation"].update(metrics={}, baseline=None)
    view = page(audit)
    assert {t.value for t in view.tiles} == {"not known"}
    operator, layer_row = view.cost.operators[0], view.layers[0]
    assert operator.macs == operator.flops == operator.int_ops == operator.bytes == "not known"
    assert operator.length is None
    assert layer_row.utilization.value == layer_row.gini.value == layer_row.coverage == layer_row.dead == "not known"
    assert layer_row.utilization.length is None


def test_huge_integers_keep_every_digit() -> None:
    totals = {fact.label: fact.value for fact in page(transformer()).cost.totals}
    assert totals["integer operations"] == "≥ 18,014,398,509,481,985"


def judged(utilization: float | None, baseline: float | None) -> str:
    audit = digits()
    audit["totals"].update(utilization=utilization, baseline_utilization=baseline)
    return verdict_of(audit).reading


@pytest.mark.parametrize(
    ("utilization", "baseline", "reading"),
    [
        (0.75, 0.753, "efficient"),
        (0.71, None, "efficient"),
        (0.28, 0.29, "as untrained"),  # an untrained network shows as little: no sign of slack
        (0.28, 0.70, "redundant"),
        (0.28, None, "redundant"),
        (0.45, 0.70, "ordinary"),
        (None, None, "cost only"),
    ],
)
def test_the_verdict_is_judged_against_an_untrained_network(
    utilization: float | None, baseline: float | None, reading: str
) -> None:
    assert judged(utilization, baseline) == reading


def test_the_verdict_is_one_sentence_and_names_the_layer_with_most_slack() -> None:
    sentence = verdict_of(digits()).sentence
    assert sentence.endswith("most of the slack is in fc1.")
    assert sentence.count(". ") == 0


def test_a_severe_finding_is_never_called_no_slack() -> None:
    audit = digits()
    audit["totals"].update(utilization=0.474, baseline_utilization=0.481)
    verdict = verdict_of(audit)
    assert verdict.tone == "fair"
    assert verdict.sentence.startswith(
        "digits needs a look at fc1 (utilization 22.1 % (untrained: 68.3 %), gini 0.742);"
    )
    audit["findings"] = audit["findings"][1:]
    assert audit["findings"][0]["severity"] == "medium"
    assert verdict_of(audit).sentence.startswith("digits needs a look at fc1 (")
    audit["findings"] = audit["findings"][1:]
    assert verdict_of(audit).sentence.startswith("digits shows no slack: importance")


def test_only_slack_that_beats_the_baseline_is_named() -> None:
    audit = digits()
    for layer in audit["layers"]:
        layer["criteria"]["activation"]["baseline"] = layer["criteria"]["activation"]["metrics"]
    assert "most of the slack" not in verdict_of(audit).sentence
    assert "one sample costs 304 kMACs" in verdict_of(audit).sentence


def test_findings_come_by_severity_and_lead_to_their_layer() -> None:
    audit = digits()
    audit["findings"].reverse()
    found = page(audit).findings
    assert [f.severity for f in found] == ["high", "medium", "low"]
    assert [f.anchor for f in found] == ["layer-2", "layer-2", None]
    assert found[0].saving == "7,571 parameters, 15.1 kFLOPs"


def test_unknown_work_comes_before_known_work() -> None:
    names = [row.name for row in page(transformer()).cost.operators]
    assert names.index("com.acme::FlashThing") < names.index("TopK")


def test_nodes_set_apart_are_found_by_their_reason_where_they_are_not_listed() -> None:
    audit = digits()
    cost = audit["cost"]
    del cost["constant"], cost["unused"]
    cost["by_node"][0]["reason"] = "depends on constants only: computed once at load"
    cost["by_node"][2]["reason"] = "reaches no output: never run"
    method = page(audit).method
    assert (method.constant, method.unused) == (("node_conv1",), ("node_fc1",))


def test_bars_stay_inside_their_track() -> None:
    layer = digits()["layers"][0]
    layer["criteria"]["activation"]["metrics"].update(utilization=1.7, gini=-0.3)
    row = rows.layer_row(layer, 0, 1)
    assert (row.utilization.length, row.gini.length, row.macs_length) == (100.0, 0.0, 100.0)


def test_a_layer_without_scores_has_a_row() -> None:
    layer: dict[str, Any] = {**digits()["layers"][0], "criteria": {}}
    assert rows.layer_row(layer, 0, None).utilization.value == "not known"


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_other_schema_versions_are_refused(version: Any) -> None:
    with pytest.raises(WuaError, match="schema_version: expected 1, got"):
        page({**digits(), "schema_version": version})


def test_hostile_text_has_no_control_character_and_no_great_length() -> None:
    def strings(value: Any) -> list[str]:
        if isinstance(value, str):
            return [value]
        if isinstance(value, tuple):
            return [text for item in value for text in strings(item)]
        names = getattr(type(value), "__dataclass_fields__", ())
        return [text for name in names for text in strings(getattr(value, name))]

    found = strings(page(hostile()))
    assert len(found) > 200
    for text in found:
        assert text.isprintable(), repr(text)
        assert len(text) < 2_000


def test_every_convention_of_the_counter_has_its_sentence() -> None:
    numbered = [line for line in (cost_conventions or "").splitlines() if line[:1].isdigit()]
    assert len(page(digits()).method.conventions) == len(numbered) == 14


COMMANDS: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({}, {}, "wua-onnx analyze 'two words.onnx'"),
    ({}, {"dims": {"batch": 3, "a b": 5}}, "wua-onnx analyze 'two words.onnx' --dim batch=3 --dim 'a b=5'"),
    (
        {},
        {"data": True, "criterion": ["activation", "wanda"], "dims": {"batch": 1}, "batch_size": 7, "mask": "m"},
        "wua-onnx analyze 'two words.onnx' --data DATA.npz --criterion activation --criterion wanda --mask m "
        "--batch-size 7",
    ),
    (
        {},
        {"recording": True, "activation": "pre", "statistics": ["firing"], "profile": "unoptimised", "batch_axis": 1},
        "wua-onnx analyze 'two words.onnx' --recording RECORDING --batch-axis 1 --criterion magnitude "
        "--statistic firing --activation pre --profile --unoptimised",
    ),
    ({"file": None}, {"dims": {"batch": 3}}, "wua_onnx.analyze(model, criterion=['magnitude'], dims={'batch': 3})"),
    (
        {"file": None, "converted_from": "pytorch 2.13.0"},
        {"data": True, "normalization": True, "mask": False},
        "wua_onnx.analyze(model, X, criterion=['magnitude'], mask=False, normalization=True)",
    ),
]


@pytest.mark.parametrize(("model", "settings", "command"), COMMANDS)
def test_the_method_says_how_to_make_the_audit_again(
    model: dict[str, Any], settings: dict[str, Any], command: str
) -> None:
    audit = digits()
    audit["model"].update({"file": "two words.onnx", **model})
    plain = {"criterion": ["magnitude"], "data": False, "dims": {}}
    audit["settings"] = {**audit["settings"], **plain, **settings}
    assert page(audit).method.command == command


def test_the_command_is_one_that_the_command_line_takes() -> None:
    from wua_onnx.cli import _parser

    for model, settings, command in COMMANDS:
        if model:
            continue
        options = _parser().parse_args(shlex.split(command)[1:])
        assert options.model == "two words.onnx"
        assert options.recording == ("RECORDING" if settings.get("recording") else None)


def test_the_method_tells_of_a_conversion() -> None:
    audit = digits()
    audit["model"].update(converted_from="keras 3.15.0", max_difference=1.5e-7, warnings=["<b>odd</b>"])
    method = page(audit).method
    assert [fact.value for fact in method.conversion] == ["keras 3.15.0", "1.5e-07 at most"]
    assert method.warnings == ("<b>odd</b>",)


def test_the_method_counts_verdicts() -> None:
    audit = transformer()
    counts = [row["count"] for row in audit["cost"]["by_operator"] if row["verdict"] == "unknown"]
    unknown = f"unknown: {len(counts)} operator{'s' * (len(counts) != 1)}, {sum(counts)} node"
    assert unknown in page(audit).method.verdicts


def test_figures_of_a_free_batch_are_those_of_one_sample() -> None:
    file = Path(__file__).parents[2] / "examples" / "digits.onnx"
    free, bound = (page(wua.analyze(file, dims=dims).to_dict()) for dims in (None, {"batch": 1}))
    assert [tile.value for tile in free.tiles] == [tile.value for tile in bound.tiles]
    assert "batch" in {tile.label: tile.exact for tile in free.tiles}["MACs"], "all of it is in the hover text"
    for part in ("operators", "modules"):
        shown = [
            [(row.name, row.macs, row.share, row.flops, row.bytes) for row in getattr(view.cost, part)]
            for view in (free, bound)
        ]
        assert shown[0] == shown[1] != []
    assert [row.macs for row in free.layers] == [row.macs for row in bound.layers]
    assert (free.cost.per, bound.cost.per) == ("of one sample", "")


def test_checks_that_found_nothing_are_listed() -> None:
    audit = digits()
    rules = {finding["rule"] for finding in audit["findings"]}
    assert rules
    audit["checks"] = {**dict.fromkeys(rules, "what was found"), "fp64-weights": "Weights in 64 bits."}
    assert [(fact.label, fact.value) for fact in page(audit).passed] == [("fp64-weights", "Weights in 64 bits.")]
    assert page(digits()).passed == (), "older audits do not tell"


def test_every_rule_says_what_it_looks_for() -> None:
    checks = wua.analyze(Path(__file__).parents[2] / "examples" / "digits.onnx").to_dict()["checks"]
    assert len(checks) > 10
    assert [name for name, text in checks.items() if not text.endswith(".") or len(text) < 20] == []


def test_words_of_the_method_are_those_of_the_criteria_used() -> None:
    audit = digits()
    audit["settings"]["criterion"] = ["wanda", "magnitude", "one of a newer version"]
    labels = [fact.label for fact in page(audit).method.metrics]
    assert labels[:3] == ["Importance by wanda", "Importance by magnitude", "Entropy"]
    assert "‖x_i‖₂" in page(audit).method.metrics[0].value


@pytest.mark.parametrize(
    ("where", "shown"),
    [
        ("fc1", "fc1"),
        ("a, b and 7 more", "a, b and 7 more"),
        (", ".join(f"encoder.layer_{i}.in_proj_bias" for i in range(7)), 2),
        (", ".join(f"encoder.layer_{i}.in_proj_bias" for i in range(4)) + "x" * 90 + " and 3 more", 2),
        ("n" * 500 + ", second and 11 more", None),
    ],
    ids=["one", "few", "many", "counted", "long"],
)
def test_a_list_of_names_keeps_whole_names(where: str, shown: str | int | None) -> None:
    audit = digits()
    audit["findings"] = [{**audit["findings"][0], "where": where}]
    [finding] = page(audit).findings
    if isinstance(shown, int):
        assert finding.where == f"{', '.join(where.split(', ')[:shown])} and {7 - shown} more"
    else:
        assert finding.where == (shown or f"{'n' * 54}…{'n' * 26} (500 characters) and 12 more")


def test_free_dimensions_but_the_batch_are_named_with_what_to_do() -> None:
    audit = digits()
    assert "free" not in page(audit).recording
    audit["cost"].update(symbols=["batch"], batch={"text": "batch"})
    assert "free" not in page(audit).recording
    audit["cost"].update(symbols=["a", "b", "batch", "c", "d"])
    assert page(audit).recording.endswith(" 4 dimensions free (a, b, c and 1 more): bind with --dim NAME=SIZE.")
