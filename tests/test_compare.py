"""compare(): two models side by side."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper
from rich.console import Console

import wua_onnx as wua
from wua_onnx.report.comparison import print_comparison

from .small_models import INPUTS, OUTPUTS, data, mlp, mlp_weights, model, right_edges


def figures_of(comparison: Any) -> dict[str, tuple[Any, Any]]:
    return {delta.name: (delta.before, delta.after) for delta in comparison.figures}


def test_compare_puts_the_figures_of_both_beside_each_other() -> None:
    comparison = wua.compare(mlp(13, "before"), mlp(7, "after"), data())
    weights = {hidden: hidden * (INPUTS + OUTPUTS) for hidden in (13, 7)}
    figures = figures_of(comparison)
    assert figures["params"] == (weights[13] + 13 + OUTPUTS, weights[7] + 7 + OUTPUTS)
    assert figures["macs"] == (weights[13], weights[7])
    assert figures["flops"] == tuple(2 * weights[h] + 2 * h + OUTPUTS for h in (13, 7))
    assert figures["dead_neurons"] == (2, 2)
    assert figures["utilization"] == (comparison.before.utilization, comparison.after.utilization)
    assert "accuracy" not in figures
    assert [delta.name for delta in comparison.layers] == ["hidden", "last"]
    assert (comparison.added, comparison.removed) == ((), ())


def test_compare_takes_audits_and_their_json(tmp_path: Path) -> None:
    audits = [wua.analyze(mlp(hidden), data()) for hidden in (13, 7)]
    audits[0].to_json(tmp_path / "before.json")
    mixed = wua.compare(tmp_path / "before.json", audits[1])
    assert mixed.after is audits[1]
    assert figures_of(mixed) == figures_of(wua.compare(*audits))


def test_compare_with_labels_gives_the_accuracy() -> None:
    X, weights = data(101), mlp_weights()
    y = np.random.default_rng(12).integers(0, OUTPUTS, 101)
    h = np.maximum(X @ weights["hidden.weight"] + weights["hidden.bias"], 0.0)
    right = np.mean((h @ weights["last.weight"] + weights["last.bias"]).argmax(axis=1) == y)
    assert figures_of(wua.compare(mlp(), mlp(), X, y))["accuracy"] == pytest.approx((right, right))


def test_both_models_read_an_iterator() -> None:
    from_iterator = wua.compare(mlp(13), mlp(7), iter([data(17), data(19)]))
    assert from_iterator.before.to_dict()["recording"]["samples"] == 36
    assert from_iterator.after.to_dict()["recording"]["samples"] == 36


def test_compare_names_layers_that_only_one_has() -> None:
    relu = helper.make_node("MatMul", ["x", "only.weight"], ["y"], name="only")
    other = model([relu], {"only.weight": np.ones((INPUTS, OUTPUTS))}, ["batch", INPUTS])
    comparison = wua.compare(mlp(), other)
    assert (comparison.added, comparison.removed, comparison.layers) == (("only",), ("hidden", "last"), ())


def shown(comparison: Any) -> list[str]:
    console = Console(file=io.StringIO(), width=100)
    print_comparison(comparison.to_dict(), console)
    # the file is a StringIO
    return [line.rstrip() for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined] # a StringIO


def test_printed_comparison_is_aligned_and_tells_points_from_percent() -> None:
    lines = figure_lines(wua.compare(mlp(1009, "before"), mlp(7, "after"), data()))
    assert lines[0].split() == ["before", "after", "change"]
    rows = {re.split(r" {2,}", line.strip())[0]: re.split(r" {2,}", line.strip())[1:] for line in lines[1:]}
    assert rows["MACs"] == ["8,072", "56", "-99.3 %"]
    assert all(rows[name][2].endswith(" pp") for name in rows if "utilization" in name or "redundancy" in name)
    assert len(right_edges([line for line in lines if line.endswith(("change", "%", "pp"))])) == 1


def figure_lines(comparison: Any) -> list[str]:
    """The printed table of the figures of whole models, with its head."""
    lines = shown(comparison)
    start = next(index for index, line in enumerate(lines) if line.endswith("change"))
    return lines[start : [*lines, ""].index("", start)]


def test_models_of_the_same_name_are_called_before_and_after() -> None:
    assert figure_lines(wua.compare(mlp(), mlp()))[0].split() == ["before", "after", "change"]


def test_free_dimensions_that_both_have_cancel_in_the_change() -> None:
    other = model([helper.make_node("Relu", ["x"], ["y"])], {}, ["n", 3], "other")
    lines = figure_lines(wua.compare(mlp(13), mlp(7)))
    assert any(re.fullmatch(r"MACs +104·batch +56·batch +-46\.2 %", line) for line in lines)
    lines = figure_lines(wua.compare(mlp(13), other))
    assert any(re.fullmatch(r"FLOPs +237·batch +3·n", line) for line in lines)


def test_names_are_shown_as_they_are() -> None:
    """Rich would read brackets in a name as markup, and refuse a closing tag without its opening one."""
    comparison = wua.compare(mlp(7, "[/red]"), mlp(7, "[bold]b"))
    lone = {"kind": "dense", "weight_shape": [5], "weights": 5, "neurons": 1, "macs": 5, "utilization": 0.5}
    hostile = replace(comparison, only_after=({"name": "[/x]\x1b[31m", **lone},))
    assert figure_lines(hostile)[0].split() == ["[/red]", "[bold]b", "change"]
    assert any(line.startswith(r"[/x]\u001b[31m") for line in shown(hostile))
