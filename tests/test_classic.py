"""The short functions of the original library; show() has a file of its own."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper

import wua_onnx as wua
from wua_onnx.errors import DataError, MissingDependency, ShapeError, WuaError

from .small_models import HIDDEN, INPUTS, OUTPUTS, SAMPLES, Array, data, mlp, mlp_weights, model, right_edges

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
    # no match fails the test
    forward, backward = (int(re.findall(rf"{word} +([\d,]+)", text)[0].replace(",", "")) for word in _PASSES)
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
