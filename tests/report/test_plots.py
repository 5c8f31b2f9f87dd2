"""Plots of an audit: what is drawn is what the JSON says."""

from __future__ import annotations

import builtins
import copy
from collections.abc import Iterator
from typing import Any

import matplotlib
import numpy as np
import pytest

from tests.report.sample import HOSTILE, digits, transformer
from wua_onnx._result import Audit
from wua_onnx.errors import MissingDependency, WuaError

matplotlib.use("agg")


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    from matplotlib import pyplot

    yield
    pyplot.close("all")


def drawn(ax: Any) -> Any:
    """Draw the figure, as saving it does; warnings are errors."""
    ax.figure.canvas.draw()
    return ax


def many(count: int) -> dict[str, Any]:
    audit = digits()
    audit["layers"] = [{**copy.deepcopy(audit["layers"][i % 4]), "name": f"block.{i}"} for i in range(count)]
    return audit


def words(ax: Any) -> list[str]:
    texts = [*ax.get_xticklabels(), *ax.get_yticklabels(), *(ax.get_legend().get_texts() if ax.get_legend() else [])]
    return [text.get_text() for text in texts]


def test_importance_of_one_layer_is_its_histogram() -> None:
    audit = digits()
    histogram = audit["layers"][2]["criteria"]["activation"]["histogram"]
    [patch] = drawn(Audit(audit).plot.importance("fc1")).patches
    drawn_values, edges, _ = patch.get_data()
    np.testing.assert_allclose(edges, histogram["edges"])
    np.testing.assert_allclose(
        drawn_values * np.diff(edges) / 0.1, 100 * np.array(histogram["counts"]) / sum(histogram["counts"])
    )


def test_importance_of_few_layers_has_a_line_each_and_of_many_a_row_each() -> None:
    few = drawn(Audit(digits()).plot.importance())
    assert [text for text in words(few) if text in ("conv1", "conv2", "fc1", "fc2")] == ["conv1", "conv2", "fc1", "fc2"]
    rows = drawn(Audit(many(23)).plot.importance())
    assert [text.get_text() for text in rows.get_yticklabels()] == [f"block.{i}" for i in range(23)]
    assert len(drawn(Audit(many(211)).plot.importance()).get_yticklabels()) == 40


def test_a_map_keeps_the_weights_that_its_columns_reach() -> None:
    audit = many(11)
    for layer in audit["layers"]:
        layer["criteria"]["activation"]["histogram"] = {"edges": [-1.5, -0.5, 0.5], "counts": [3, 5]}
    [mesh] = drawn(Audit(audit).plot.importance()).collections
    np.testing.assert_allclose(np.asarray(mesh.get_array()).reshape(11, -1).sum(axis=1), 100.0)


def test_cost_is_sorted_and_adds_up() -> None:
    audit = digits()
    ax = drawn(Audit(audit).plot.cost())
    rows = sorted(((row["macs"], row["op"]) for row in audit["cost"]["by_operator"] if row["macs"]), reverse=True)
    assert [text.get_text() for text in ax.get_yticklabels()] == [name for _, name in rows]
    widths = [bar.get_width() for bar in ax.patches]
    np.testing.assert_allclose(widths, [100 * value / audit["cost"]["macs"] for value, _ in rows])


@pytest.mark.parametrize("by", ["operator", "module", "node"])
@pytest.mark.parametrize("figure", ["macs", "flops", "bytes"])
def test_every_kind_of_row_holds_all_of_a_figure(figure: str, by: str) -> None:
    ax = drawn(Audit(digits()).plot.cost(figure, by=by))
    assert sum(bar.get_width() for bar in ax.patches) == pytest.approx(100)


def test_more_than_fifteen_rows_are_one_at_the_end() -> None:
    audit = many(23)
    for index, layer in enumerate(audit["layers"]):
        layer["macs"] = 7 * index + 1
    ax = drawn(Audit(audit).plot.cost(by="layer"))
    assert ax.get_yticklabels()[-1].get_text() == "8 more"
    total = sum(7 * i + 1 for i in range(23))
    assert ax.patches[-1].get_width() == pytest.approx(100 * sum(7 * i + 1 for i in range(8)) / total)


def test_coverage_passes_through_the_points_of_the_metric() -> None:
    audit = digits()
    for layer in audit["layers"]:
        layer["criteria"]["activation"].pop("lorenz", None)
    ax = drawn(Audit(audit).plot.coverage())
    for line, layer in zip(ax.lines, audit["layers"], strict=False):
        coverage = layer["criteria"]["activation"]["metrics"]["coverage"]
        for level, share in coverage.items():
            assert np.interp(100 * share, line.get_xdata(), line.get_ydata()) == pytest.approx(100 * float(level))


def test_coverage_reads_the_lorenz_curve() -> None:
    audit = digits()
    points = [0.0, 0.1, 0.25, 0.55, 0.9]
    for layer in audit["layers"]:
        layer["criteria"]["activation"]["lorenz"] = points
    line = drawn(Audit(audit).plot.coverage()).lines[0]
    np.testing.assert_allclose(line.get_xdata(), [*(100 * x for x in points), 100])
    np.testing.assert_allclose(line.get_ydata(), [0, 25, 50, 75, 100, 100])


def test_many_layers_name_the_ends_of_coverage() -> None:
    ax = drawn(Audit(many(23)).plot.coverage())
    assert words(ax)[-1] == "19 between them"


@pytest.mark.parametrize("plot", ["importance", "cost", "coverage"])
def test_plots_go_where_they_are_told(plot: str) -> None:
    from matplotlib import pyplot

    own = pyplot.subplots(1, 2)[1][1]
    assert getattr(Audit(digits()).plot, plot)(ax=own) is own
    assert getattr(Audit(digits()).plot, plot)() is not own


@pytest.mark.parametrize("name", [*(name for name in HOSTILE if "\ufeff" not in name), "$x^2$", "_hidden", ""])
def test_names_are_shown_as_they_are(name: str) -> None:
    audit = digits()
    audit["model"]["name"] = audit["layers"][0]["name"] = audit["cost"]["by_operator"][0]["op"] = name
    for plot in ("importance", "cost", "coverage"):
        ax = drawn(getattr(Audit(audit).plot, plot)())
        assert len(ax.get_legend().get_texts() if ax.get_legend() else ax.get_yticklabels()) >= 2
    drawn(Audit(audit).plot.importance(name))


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda plot: plot.importance("nope"), "expected a layer, one of conv1, conv2, fc1, fc2, got 'nope'"),
        (lambda plot: plot.importance(criterion="nope"), "expected layers measured by nope (activation), got none"),
        (lambda plot: plot.cost("colour"), "expected a figure of macs, flops, int_ops, bytes, params by operator"),
        (lambda plot: plot.cost(by="colour"), "got 'macs' by 'colour'"),
        (lambda plot: plot.cost("bytes", by="layer"), "expected macs or params by layer, got 'bytes'"),
        (lambda plot: plot.cost("int_ops"), "expected integer operations by operator as numbers, got none"),
    ],
)
def test_what_is_not_there_says_what_is(call: Any, says: str) -> None:
    with pytest.raises(WuaError) as caught:
        call(Audit(digits()).plot)
    assert says in str(caught.value)


def test_expressions_that_do_not_compare_ask_for_sizes() -> None:
    with pytest.raises(WuaError, match="give their sizes"):
        Audit(transformer()).plot.cost("flops")


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingDependency, match="matplotlib"):
        Audit(digits()).plot.importance()
