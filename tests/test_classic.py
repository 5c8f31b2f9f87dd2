"""The short functions of the original library, and compare()."""

from __future__ import annotations

import io
import math
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from rich.console import Console

import wua_onnx as wua
from wua_onnx.errors import DataError, MissingDependency, OutputError, ShapeError, WuaError
from wua_onnx.report.comparison import print_comparison

Array = NDArray[Any]
INPUTS, HIDDEN, OUTPUTS, SAMPLES = 5, 7, 3, 11
DEAD = (2, 6)


def model(nodes: list[onnx.NodeProto], weights: dict[str, Array], shape: list[Any], name: str = "net") -> Any:
    """A model of one input `x` and one output `y`."""
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        name,
        [value("x", TensorProto.FLOAT, shape)],
        [value("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array.astype(np.float32), key) for key, array in weights.items()],
    )
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("com.acme", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def mlp_weights(hidden: int = HIDDEN) -> dict[str, Array]:
    rng = np.random.default_rng(3)
    weights: dict[str, Array] = {
        "hidden.weight": rng.standard_normal((INPUTS, hidden)),
        "hidden.bias": rng.standard_normal(hidden),
        "last.weight": rng.standard_normal((hidden, OUTPUTS)),
        "last.bias": rng.standard_normal(OUTPUTS),
    }
    weights["hidden.bias"][[index for index in DEAD if index < hidden]] = -100.0
    return weights


def mlp(hidden: int = HIDDEN, name: str = "net") -> Any:
    """5 -> hidden, ReLU -> 3, of which hidden neurons 2 and 6 never fire."""
    node = helper.make_node
    nodes = [
        node("Gemm", ["x", "hidden.weight", "hidden.bias"], ["h"], name="gemm1"),
        node("Relu", ["h"], ["r"], name="relu"),
        node("Gemm", ["r", "last.weight", "last.bias"], ["y"], name="gemm2"),
    ]
    return model(nodes, mlp_weights(hidden), ["batch", INPUTS], name)


def data(samples: int = SAMPLES) -> Array:
    return np.random.default_rng(4).standard_normal((samples, INPUTS)).astype(np.float32)


def right_edges(lines: list[str], column: int = -1) -> set[int]:
    """Where the last word of each line ends."""
    return {[match.end() for match in re.finditer(r"\S+", line)][column] for line in lines}


# compute_weight_importance


def test_importance_is_magnitude_times_mean_activation() -> None:
    weights, X = mlp_weights(), data().astype(np.float64)
    h = np.maximum(X @ weights["hidden.weight"] + weights["hidden.bias"], 0.0)
    y = h @ weights["last.weight"] + weights["last.bias"]
    expected = [
        np.abs(weights["hidden.weight"]) * h.mean(axis=0),
        np.abs(weights["last.weight"]) * np.abs(y).mean(axis=0),
    ]
    found = wua.compute_weight_importance(mlp(), data())
    assert [name for _, _, name in found] == ["hidden", "last"]
    for (importance, weight, name), wanted in zip(found, expected, strict=True):
        assert importance.shape == weight.shape == wanted.shape
        np.testing.assert_allclose(importance, wanted, rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(weight, weights[f"{name}.weight"], rtol=1e-6)


@pytest.mark.parametrize("arguments", [{}, {"X": data(), "compute_activations": False}], ids=["no X", "switched off"])
def test_without_activations_importance_is_magnitude(arguments: dict[str, Any]) -> None:
    for importance, weight, _ in wua.compute_weight_importance(mlp(), **arguments):
        np.testing.assert_array_equal(importance, np.abs(weight))


def test_convolution_has_its_filters_first() -> None:
    kernel = np.random.default_rng(5).standard_normal((7, 3, 2, 5))
    conv = model([helper.make_node("Conv", ["x", "w"], ["y"], name="conv")], {"w": kernel}, ["batch", 3, 11, 13])
    X = np.random.default_rng(6).standard_normal((2, 3, 11, 13)).astype(np.float32)
    [(importance, weight, _)] = wua.compute_weight_importance(conv, X)
    assert importance.shape == weight.shape == (7, 3, 2, 5)
    report, _ = wua.generate_report(importance, weight)
    assert report["nodes"] == 7


# generate_report


def brute_force(importance: Array) -> dict[str, float]:
    """The definitions, one weight at a time."""
    values = sorted(map(float, importance.reshape(-1)))
    total, count = math.fsum(values), len(values)
    entropy = -math.fsum(v / total * math.log(v / total) for v in values if v > 0)
    held, kept = 0.0, 0
    while held < 0.9 * total * (1 - 1e-12):
        kept += 1
        held += values[-kept]
    pairs = math.fsum(abs(a - b) for a in values for b in values)
    return {
        "total_weights": count,
        "entropy": entropy,
        "effective_weights": math.exp(entropy),
        "utilization": math.exp(entropy) / count,
        "normalized_entropy": entropy / math.log(count),
        "redundancy": 1 - entropy / math.log(count),
        "gini": pairs / (2 * count * total),
        "top_90_contribution": kept / count,
        "low_weights": sum(v < 0.01 for v in values) / count,
    }


@pytest.mark.parametrize("shape", [(13,), (5, 7), (7, 3, 2, 5)], ids=str)
def test_report_follows_the_definitions(shape: tuple[int, ...]) -> None:
    importance = np.random.default_rng(7).exponential(size=shape) ** 3
    report, normalized = wua.generate_report(importance, importance)
    expected = brute_force(importance)
    assert {key: report[key] for key in expected} == pytest.approx(expected, rel=1e-9)
    assert report["non_finite"] == 0
    np.testing.assert_allclose(normalized, importance / importance.sum(), rtol=1e-12)
    assert normalized.dtype == np.float64


@pytest.mark.parametrize(
    ("shape", "axis", "nodes"),
    [((5, 7), None, 7), ((5, 7), 0, 5), ((7, 3, 2), None, 7), ((7, 3, 2), -1, 2), ((13,), None, 13)],
)
def test_neurons_lie_on_the_last_axis_of_a_matrix_and_on_the_first_otherwise(
    shape: tuple[int, ...], axis: int | None, nodes: int
) -> None:
    importance = np.random.default_rng(8).random(shape)
    report, _ = wua.generate_report(importance, importance, neuron_axis=axis)
    assert report["nodes"] == nodes
    assert report["neuron_importance"].shape == (nodes,)
    assert report["neuron_importance"].sum() == pytest.approx(importance.sum())


def test_report_of_equal_weights_and_of_a_single_one() -> None:
    equal, _ = wua.generate_report(np.full((5, 7), 0.25), np.ones((5, 7)))
    assert equal["effective_weights"] == pytest.approx(35)
    assert equal["top_90_contribution"] == pytest.approx(32 / 35)
    one_hot = np.zeros((5, 7))
    one_hot[3, 2] = 4.0
    single, normalized = wua.generate_report(one_hot, one_hot)
    assert (single["effective_weights"], single["entropy"]) == (1.0, 0.0)
    assert normalized.max() == 1.0


def test_dead_layer() -> None:
    report, normalized = wua.generate_report(np.zeros((5, 7)), np.ones((5, 7)))
    assert (report["effective_weights"], report["utilization"], report["redundancy"]) == (0.0, 0.0, 1.0)
    assert not normalized.any()


def test_nan_is_counted_and_stays_visible() -> None:
    importance = np.array([[1.0, 3.0, np.nan], [2.0, np.inf, 4.0]])
    report, normalized = wua.generate_report(importance, np.ones((2, 3)))
    assert (report["total_weights"], report["non_finite"]) == (6, 2)
    assert normalized[np.isfinite(normalized)].tolist() == [0.1, 0.3, 0.2, 0.4]
    assert np.isfinite(normalized).sum() == 4


@pytest.mark.parametrize(
    ("importance", "weights", "axis", "words"),
    [
        (np.ones((5, 7)), np.ones((7, 5)), None, r"weights: expected the shape of importance, \(5, 7\), got \(7, 5\)"),
        (np.ones(()), np.ones(()), None, "at least one axis"),
        (np.ones((5, 7)), np.ones((5, 7)), 2, "axis"),
        (-np.ones((5, 7)), np.ones((5, 7)), None, "-1"),
    ],
)
def test_report_refuses(importance: Array, weights: Array, axis: int | None, words: str) -> None:
    with pytest.raises(WuaError, match=words):
        wua.generate_report(importance, weights, axis)


# print_report


def test_printed_report_is_aligned_with_thousands_separators(capsys: pytest.CaptureFixture[str]) -> None:
    importance = np.random.default_rng(9).exponential(size=(1009, 1013))
    report, _ = wua.generate_report(importance, importance)
    wua.print_report(report)
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert re.fullmatch(r"weights +1,022,117", lines[0])
    assert re.fullmatch(r"neurons +1,013", lines[1])
    assert f"{report['effective_weights']:,.2f}" in lines[4]
    assert re.fullmatch(r"utilization +65\.\d %", lines[5])  # of an exponential distribution: 65.5 %
    assert len(right_edges(lines)) == 1
    assert not any("NaN" in line for line in lines)


def test_printed_report_shows_what_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    wua.print_report({"entropy": 2.75842, "non_finite": 1013})
    assert re.fullmatch(r"entropy \(nats\) +2\.7584\nNaN or .*, left out +1,013\n", capsys.readouterr().out)


# print_flops_report


def printed_flops(capsys: pytest.CaptureFixture[str], *arguments: Any, **options: Any) -> str:
    wua.print_flops_report(*arguments, **options)
    return capsys.readouterr().out


def test_flops_report_counts_every_loop(capsys: pytest.CaptureFixture[str]) -> None:
    products = sum(1 for _ in range(INPUTS) for _ in range(HIDDEN)) + sum(1 for _ in range(HIDDEN * OUTPUTS))
    gemm = 2 * products + HIDDEN + OUTPUTS
    forward = gemm + HIDDEN  # ReLU
    # backward: products for the weights of both layers and for the inputs of the second; the rest as forward
    backward = 2 * (products + HIDDEN * OUTPUTS) + HIDDEN + OUTPUTS + HIDDEN
    lines = [line.rstrip() for line in printed_flops(capsys, mlp(), 1013, 10_007).splitlines()]
    runs = 1013 * 10_007
    assert lines[0] == "Forward pass, per run of 1 sample"
    assert lines[2].split() == ["Gemm", "2", str(products), str(gemm)]
    assert lines[4].split() == ["total", "3", str(products), str(forward)]
    assert lines[5].startswith("exact")
    assert lines[7] == "Training: 10,007 samples, 1,013 epochs"
    table = {line.split()[0]: line.split()[1] for line in lines[9:12]}
    expected = {"forward": forward * runs, "backward": backward * runs, "total": (forward + backward) * runs}
    assert table == {name: f"{value:,}" for name, value in expected.items()}
    assert len(right_edges(lines[1:5])) == len(right_edges(lines[9:12], column=1)) == 1


def test_rule_of_thumb_for_backward(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed_flops(capsys, mlp(), 1, SAMPLES, factor=2)
    forward, backward = (int(re.search(rf"{word} +([\d,]+)", text)[1].replace(",", "")) for word in _PASSES)  # type: ignore[index]
    assert backward == 2 * forward
    assert "backward: 2 × forward" in text


_PASSES = ("forward", "backward")


def saved(folder: Path) -> Path:
    path = folder / "X.npz"
    np.savez(path, x=data())
    return path


@pytest.mark.parametrize(
    ("dataset", "samples"),
    [
        (lambda _: None, 1),
        (lambda _: 13, 13),
        (lambda _: np.int64(17), 17),
        (lambda _: data(), SAMPLES),
        (lambda _: (data(),), SAMPLES),
        (lambda _: {"x": data()}, SAMPLES),
        (lambda _: [data(2), data(3)], 5),
        (lambda _: iter([data(2), data(5)]), 7),
        (saved, SAMPLES),
    ],
    ids=["none", "int", "numpy int", "array", "tuple", "dict", "list of batches", "iterator", "npz"],
)
def test_samples_of_every_form_of_dataset(
    dataset: Callable[[Path], Any], samples: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    noun = "sample" if samples == 1 else "samples"
    assert f"Training: {samples} {noun}, 3 epochs" in printed_flops(capsys, mlp(), 3, dataset(tmp_path))


def test_free_dimensions_are_named_and_can_be_given(capsys: pytest.CaptureFixture[str]) -> None:
    free = model([helper.make_node("Relu", ["x"], ["y"])], {}, ["batch", "seq", 3])
    with pytest.raises(ShapeError, match="seq"):
        wua.print_flops_report(free)
    assert re.search(r"total +1 +0 +21\n", printed_flops(capsys, free, dims={"seq": 7}))


def test_unknown_operator_makes_a_lower_bound(capsys: pytest.CaptureFixture[str]) -> None:
    nodes = [helper.make_node("[red]Odd[/]", ["x"], ["a"], domain="com.acme"), helper.make_node("Relu", ["a"], ["y"])]
    text = printed_flops(capsys, model(nodes, {}, ["batch", 3]))
    assert re.search(r"com\.acme::\[red\]Odd\[/\] +1 +not known +not known", text)
    assert "lower bound" in text


@pytest.mark.parametrize(("epochs", "dataset", "name"), [(-1, 5, "nb_epochs"), (1, -5, "dataset")])
def test_negative_numbers_are_refused(epochs: int, dataset: int, name: str) -> None:
    with pytest.raises(DataError, match=f"{name}: expected a number >= 0, got -"):
        wua.print_flops_report(mlp(), epochs, dataset)


# plot_importance_histogram


@pytest.fixture
def axes() -> Any:
    from matplotlib.figure import Figure

    return Figure().add_subplot()


def test_every_weight_stands_in_one_bar_of_the_histogram(axes: Any) -> None:
    importance = np.random.default_rng(10).exponential(size=(17, 19))
    importance[:, 3] = 0.0
    report, normalized = wua.generate_report(importance, importance)
    assert wua.plot_importance_histogram(normalized, report["entropy"], ax=axes) is axes
    assert sum(bar.get_height() for bar in axes.patches) == 17 * 18
    positive = importance[importance > 0] / importance.mean()
    assert axes.patches[0].get_x() == pytest.approx(np.log10(positive.min()))
    assert f"{report['effective_weights']:,.1f} effective weights of 323; 17 weights with none" in axes.get_title()


def test_histogram_of_a_dead_layer(axes: Any) -> None:
    wua.plot_importance_histogram(np.zeros((5, 7)), 0.0, ax=axes)
    assert axes.get_title() == "H = 0.0000 nats, 0.0 effective weights of 35; 35 weights with none"


def test_histogram_makes_its_own_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib import pyplot

    monkeypatch.setattr(pyplot, "subplots", _without_a_window(pyplot))
    ax = wua.plot_importance_histogram(np.full(13, 1 / 13), math.log(13))
    ax.figure.savefig(tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


def _without_a_window(pyplot: Any) -> Any:
    from matplotlib.figure import Figure

    def subplots(**options: Any) -> Any:
        figure = Figure(**options)
        return figure, figure.add_subplot()

    return subplots


def test_histogram_without_matplotlib_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "matplotlib.pyplot", raising=False)
    with pytest.raises(MissingDependency, match=r"wua-onnx\[plot\]"):
        wua.plot_importance_histogram(np.ones(3) / 3, math.log(3))


# show


def lines_of(drawing: Any) -> list[tuple[str, float]]:
    """Colour class and thickness of every line of the drawing, by its weight."""
    found = re.findall(r"n\d+_\d+ -> n\d+_\d+ \[(.+?)\]", drawing.digraph.source)
    return [(re.search(r"class=(\w+)", a)[1], float(re.search(r'penwidth="?([\d.]+)', a)[1])) for a in found]  # type: ignore[index]


def circles_of(drawing: Any) -> list[tuple[int, int]]:
    """(layer, index) of every circle."""
    return [(int(a), int(b)) for a, b in re.findall(r"^\tn(\d+)_(\d+) \[", drawing.digraph.source, re.MULTILINE)]


def test_show_draws_a_circle_per_neuron_and_a_line_per_weight() -> None:
    drawing = wua.show(mlp())
    expected = [(0, i) for i in range(INPUTS)] + [(1, i) for i in range(HIDDEN)] + [(2, i) for i in range(OUTPUTS)]
    assert circles_of(drawing) == expected
    assert len(lines_of(drawing)) == INPUTS * HIDDEN + HIDDEN * OUTPUTS
    assert drawing.left_out == 0
    assert "not drawn" not in drawing.digraph.source


@pytest.mark.parametrize("threshold", [0.1, 0.7, 100.0])
def test_lines_are_as_thick_as_their_weight_and_red_above_the_threshold(threshold: float) -> None:
    weights = np.concatenate([mlp_weights()[f"{name}.weight"].reshape(-1) for name in ("hidden", "last")])
    drawn = sorted(lines_of(wua.show(mlp(), threshold=threshold)), key=lambda line: line[1])
    magnitudes = np.sort(np.abs(weights))
    assert [colour for colour, _ in drawn] == ["strong" if m > threshold else "weak" for m in magnitudes]
    thickness = np.array([width for _, width in drawn])
    assert np.corrcoef(magnitudes, thickness)[0, 1] > 0.9999


def test_dead_neurons_are_marked_where_data_show_them() -> None:
    def crossed(drawing: Any) -> list[int]:
        return [int(i) for i in re.findall(r'n1_(\d+) \[label="×"', drawing.digraph.source)]

    assert crossed(wua.show(mlp(), data())) == list(DEAD)
    assert crossed(wua.show(mlp())) == []


def test_wide_layers_keep_their_strongest_and_say_how_many_are_left_out() -> None:
    drawing = wua.show(mlp(hidden=101), max_neurons=5)
    weights = mlp_weights(101)
    strength = np.abs(weights["hidden.weight"]).sum(axis=0) + np.abs(weights["last.weight"]).sum(axis=1)
    kept = [index for layer, index in circles_of(drawing) if layer == 1]
    assert kept == sorted(np.argsort(-strength)[:5])
    assert "+ 96 more" in drawing.digraph.source
    assert drawing.left_out == 96 * INPUTS + 96 * OUTPUTS
    assert "768 connections not drawn" in drawing.digraph.source


def test_layers_of_two_branches_are_not_drawn_as_one_stack() -> None:
    node, rng = helper.make_node, np.random.default_rng(11)
    nodes = [
        node("MatMul", ["x", "a"], ["xa"], name="first"),
        node("MatMul", ["x", "b"], ["xb"], name="second"),  # b could follow a by its shape, and does not
        node("Add", ["xa", "xb"], ["y"]),
    ]
    weights = {"a": rng.standard_normal((5, 5)), "b": rng.standard_normal((5, 5))}
    assert {layer for layer, _ in circles_of(wua.show(model(nodes, weights, ["batch", 5])))} == {0, 1}


def test_show_needs_a_dense_layer() -> None:
    with pytest.raises(WuaError, match="expected a model with dense layers, got 'nothing' without any"):
        wua.show(model([helper.make_node("Relu", ["x"], ["y"])], {}, ["batch", 3], "nothing"))
    with pytest.raises(WuaError, match="max_neurons: expected at least 1, got 0"):
        wua.show(mlp(), max_neurons=0)


@pytest.mark.parametrize(
    ("name", "start"), [("net.svg", b"<svg "), ("net.PNG", b"\x89PNG"), ("net.dot", b"digraph network")]
)
def test_show_saves(name: str, start: bytes, tmp_path: Path) -> None:
    drawing = wua.show(mlp(), data(), path=tmp_path / name)
    content = (tmp_path / name).read_bytes()
    assert content.lstrip(b"/ /").startswith(start)
    if name == "net.svg":
        assert content.decode().count("<ellipse") == INPUTS + HIDDEN + OUTPUTS
        assert drawing._repr_svg_() == content.decode()
    assert [file.name for file in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    ("name", "words"), [("net.gif", "expected a name ending in .svg, .png or .dot, got '.gif'"), ("no/net.svg", "no")]
)
def test_show_refuses_to_save(name: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=re.escape(words)):
        wua.show(mlp(), path=tmp_path / name)
    assert list(tmp_path.iterdir()) == []


# compare


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
    print_comparison(comparison, console)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]


def test_printed_comparison_is_aligned_and_tells_points_from_percent() -> None:
    lines = shown(wua.compare(mlp(1009, "before"), mlp(7, "after"), data()))
    assert lines[0].split() == ["before", "after", "change"]
    rows = {re.split(r" {2,}", line.strip())[0]: re.split(r" {2,}", line.strip())[1:] for line in lines[1:]}
    assert rows["MACs"] == ["8,072", "56", "-99.3 %"]
    assert all(rows[name][2].endswith(" pp") for name in rows if "utilization" in name or "redundancy" in name)
    assert len(right_edges([line for line in lines if line.endswith(("change", "%", "pp"))])) == 1


def test_models_of_the_same_name_are_called_before_and_after() -> None:
    assert shown(wua.compare(mlp(), mlp()))[0].split() == ["before", "after", "change"]


def test_free_dimensions_that_both_have_cancel_in_the_change() -> None:
    other = model([helper.make_node("Relu", ["x"], ["y"])], {}, ["n", 3], "other")
    lines = shown(wua.compare(mlp(13), mlp(7)))
    assert re.fullmatch(r"MACs +104·batch +56·batch +-46\.2 %", lines[3])
    assert re.fullmatch(r"FLOPs +237·batch +3·n", shown(wua.compare(mlp(13), other))[4])


def test_names_are_shown_as_they_are() -> None:
    """Rich would read brackets in a name as markup, and refuse a closing tag without its opening one."""
    comparison = wua.compare(mlp(7, "[/red]"), mlp(7, "[bold]b"))
    hostile = replace(comparison, added=("[/x]\x1b[31m",))
    lines = shown(hostile)
    assert lines[0].split() == ["[/red]", "[bold]b", "change"]
    assert lines[-1] == r"only after: [/x]\u001b[31m"
