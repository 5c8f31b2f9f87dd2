"""show(): the neuron diagram."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper

import wua_onnx as wua
from wua_onnx.errors import OutputError, WuaError

from .small_models import DEAD, HIDDEN, INPUTS, OUTPUTS, data, mlp, mlp_weights, model


def lines_of(drawing: Any) -> list[tuple[str, float]]:
    """Colour class and thickness of every line of the drawing, by its weight."""
    found = re.findall(r"[np]\d+_\d+ -> n\d+_\d+ \[(.+?)\]", drawing.source)
    # no match fails the test
    return [(re.findall(r"class=(\w+)", a)[0], float(re.findall(r'penwidth="?([\d.]+)', a)[0])) for a in found]


def circles_of(drawing: Any) -> list[tuple[int, int]]:
    """(layer, index) of every circle."""
    return [(int(a), int(b)) for a, b in re.findall(r"^\tn(\d+)_(\d+) \[", drawing.source, re.MULTILINE)]


def test_show_draws_a_circle_per_neuron_and_a_line_per_weight() -> None:
    drawing = wua.show(mlp())
    expected = [(0, i) for i in range(INPUTS)] + [(1, i) for i in range(HIDDEN)] + [(2, i) for i in range(OUTPUTS)]
    assert circles_of(drawing) == expected
    assert len(lines_of(drawing)) == INPUTS * HIDDEN + HIDDEN * OUTPUTS
    assert drawing.left_out == 0
    assert "not drawn" not in drawing.source


@pytest.mark.parametrize("threshold", [0.1, 0.7, 100.0])
def test_lines_are_as_thick_as_their_weight_and_red_above_the_threshold(threshold: float) -> None:
    weights = np.concatenate([mlp_weights()[f"{name}.weight"].reshape(-1) for name in ("hidden", "last")])
    drawn = sorted(lines_of(wua.show(mlp(), threshold=threshold, pathways=0)), key=lambda line: line[1])
    magnitudes = np.sort(np.abs(weights))
    assert [colour for colour, _ in drawn] == ["strong" if m > threshold else "weak" for m in magnitudes]
    thickness = np.array([width for _, width in drawn])
    assert np.corrcoef(magnitudes, thickness)[0, 1] > 0.9999


def test_dead_neurons_are_marked_where_data_show_them() -> None:
    def crossed(drawing: Any) -> list[int]:
        return [int(i) for i in re.findall(r'n1_(\d+) \[label="×"', drawing.source)]

    assert crossed(wua.show(mlp(), data())) == list(DEAD)
    assert crossed(wua.show(mlp())) == []


def test_wide_layers_keep_their_strongest_and_say_how_many_are_left_out() -> None:
    drawing = wua.show(mlp(hidden=101), max_neurons=5)
    weights = mlp_weights(101)
    strength = np.abs(weights["hidden.weight"]).sum(axis=0) + np.abs(weights["last.weight"]).sum(axis=1)
    kept = [index for layer, index in circles_of(drawing) if layer == 1]
    assert kept == sorted(np.argsort(-strength)[:5])
    assert "+ 96 more" in drawing.source
    assert drawing.left_out == 96 * INPUTS + 96 * OUTPUTS
    assert "768 connections not drawn" in drawing.source


def test_the_strongest_pathways_lie_on_top_in_their_own_colour() -> None:
    weights = mlp_weights()
    strengths = np.einsum("ij,jk->ijk", np.abs(weights["hidden.weight"]), np.abs(weights["last.weight"]))
    best = [np.unravel_index(flat, strengths.shape) for flat in np.argsort(-strengths, axis=None)[:2]]
    drawn = re.findall(r"p(\d)_(\d+) -> n\d_(\d+) \[class=path ", wua.show(mlp(), pathways=2).source)
    expected = {(k, way[k], way[k + 1]) for way in best for k in range(2)}
    assert {tuple(map(int, line)) for line in drawn} == expected
    assert "strongest 2 pathways" in wua.show(mlp(), pathways=2).source


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
    with pytest.raises(WuaError, match="pathways: expected at least 0, got -1"):
        wua.show(mlp(), pathways=-1)


@pytest.mark.parametrize(
    ("name", "start"), [("net.svg", b"<svg "), ("net.PNG", b"\x89PNG"), ("net.gv", b"digraph network")]
)
def test_show_saves(name: str, start: bytes, tmp_path: Path) -> None:
    drawing = wua.show(mlp(), data(), path=tmp_path / name)
    content = (tmp_path / name).read_bytes()
    assert content.lstrip(b"/ /").startswith(start)
    if name == "net.svg":
        assert content.decode().count("<ellipse") == INPUTS + HIDDEN + OUTPUTS
        assert drawing._repr_mimebundle_() == {"image/svg+xml": content.decode()}
    assert [file.name for file in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    ("name", "words"),
    [("net.gif", "expected a name ending in .svg, .png, .dot or .gv, got '.gif'"), ("no/net.svg", "no")],
)
def test_show_refuses_to_save(name: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=re.escape(words)):
        wua.show(mlp(), path=tmp_path / name)
    assert list(tmp_path.iterdir()) == []
