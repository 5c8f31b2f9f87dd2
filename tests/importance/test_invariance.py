"""What each criterion is invariant to, on a network: a ReLU unit scaled by c, its outgoing weights by 1/c."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wua_onnx as wua
from wua_onnx.importance import criterion_names

from ..recording.models import N, model, rand  # noqa: TID252 - tests are not installed

UNIT, C = 2, 8.0
DOCS = Path(__file__).resolve().parents[2] / "docs"
# By criterion: what the scores of the unit's incoming and outgoing weights are multiplied with.
MOVES = {"activation": (C * C, 1 / C), "magnitude": (C, 1 / C), "wanda": (C, 1.0)}


def network(c: float) -> Any:
    w, b, v = rand(5, 7), rand(7, seed=1), rand(7, 3, seed=2)
    w[:, UNIT] *= c
    b[UNIT] *= c
    v[UNIT] /= c
    return model(
        "(float[N, 5] x) => (float[] y) { a = Gemm(x, w, b) r = Relu(a) y = MatMul(r, v) }", {"w": w, "b": b, "v": v}
    )


@pytest.mark.parametrize("criterion", MOVES)
def test_rescaling_a_unit_moves_exactly_the_criteria_that_say_so(criterion: str) -> None:
    x = rand(N, 5)
    before, after = (wua.analyze(network(c), x, criterion=criterion) for c in (1.0, C))
    incoming, outgoing = MOVES[criterion]
    ratios = after.layers["w"].importance / before.layers["w"].importance
    np.testing.assert_allclose(ratios[:, UNIT], incoming, rtol=1e-5)
    np.testing.assert_allclose(np.delete(ratios, UNIT, axis=1), 1, rtol=1e-5)
    ratios = after.layers["v"].importance / before.layers["v"].importance
    np.testing.assert_allclose(ratios[UNIT], outgoing, rtol=1e-5)
    np.testing.assert_allclose(np.delete(ratios, UNIT, axis=0), 1, rtol=1e-5)


def test_the_rescaled_network_computes_the_same() -> None:
    x = rand(N, 5)
    first, second = (wua.Recorder(network(c), keep_outputs=True) for c in (1.0, C))
    first.update(x)
    second.update(x)
    np.testing.assert_allclose(second.result().outputs["y"], first.result().outputs["y"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("scale", [1.0, 1000.0])
def test_normalized_activation_forgets_how_large_activations_are(scale: float) -> None:
    """Weights of a layer whose activations are a thousand times as large rank no higher for it."""
    x = rand(N, 5)
    weights: dict[str, Any] = {"w": rand(5, 7), "v": rand(7, 3), "s": np.float32(scale)}
    proto = model(
        "(float[N, 5] x) => (float[] y) { z = Mul(x, s) a = MatMul(z, w) r = Relu(a) y = MatMul(r, v) }", weights
    )
    audit = wua.analyze(proto, x, criterion=["activation", "activation_normalized"])
    hidden = np.maximum(x @ weights["w"], 0).mean(0)
    layer = audit.layers["w"]
    np.testing.assert_allclose(
        layer.scores["activation_normalized"], np.abs(weights["w"]) * hidden / hidden.mean(), rtol=1e-4
    )
    np.testing.assert_allclose(layer.scores["activation"], np.abs(weights["w"]) * hidden * scale, rtol=1e-4)


def test_the_page_is_generated_and_its_figures_are_measured() -> None:
    spec = importlib.util.spec_from_file_location("criteria", DOCS / "criteria.py")
    assert spec is not None
    assert spec.loader is not None
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    written = (DOCS / "criteria.md").read_text(encoding="utf-8").splitlines()
    rows = {line.split(" | ")[0].strip("| "): line for line in written if line.startswith("| ")}
    figures = program.accuracies()
    for name in criterion_names():
        shown = [float(cell) for cell in rows[name].strip("| ").split(" | ")[1:]]
        assert shown == pytest.approx([100 * x for x in figures[name]], abs=1.5), name
    text = [line for line in program.page().splitlines() if not line.startswith("| ")]
    assert text == [line for line in written if not line.startswith("| ")]
