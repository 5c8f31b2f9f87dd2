"""Recurrent layers that an exporter wrote out are the layers that operators of ONNX are."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np
import onnx
import pytest

import wua_onnx as wua
from wua_onnx.layers import Layer, find_layers
from wua_onnx.model import load

from ..recording.naive import assert_outputs_unchanged  # noqa: TID252 - tests are not installed
from .graphs import Array, run
from .recurrent_models import CELLS, FORMS, data, operator, written_out

NAMES = {"w": "k", "r": "u"}
GATES = {"LSTM": ["input", "output", "forget", "cell"], "GRU": ["update", "reset", "hidden"], "RNN": ["hidden"]}


@cache
def audit_of_operator(cell: str) -> wua.Audit:
    return wua.analyze(operator(cell), data(), batch_axis=1, criterion=["activation", "magnitude"])


def canonical(proto: onnx.ModelProto) -> dict[str, Array]:
    return {name: layer.weight() for name, layer in find_layers(load(proto)).by_name.items()}


def assert_all_are_covered(proto: onnx.ModelProto, sizes: Mapping[str, int]) -> None:
    """Check that the layers own what `sizes` says, and that they and the rest make up all parameters."""
    found = find_layers(load(proto))
    assert {name: layer.stored for name, layer in found.by_name.items()} == sizes
    assert sum(sizes.values()) + sum(each.elements for each in found.declined) == found.parameters


def flat(layer: wua.LayerAudit, criterion: str) -> dict[str, float]:
    """Return all metrics of a layer and of its gates as single numbers."""
    result: dict[str, float] = {}
    whole = layer.metrics_by[criterion].to_dict()
    for part in (whole, *(gate.to_dict() for gate in layer.gates)):
        for name, value in part.items():
            several = value if isinstance(value, dict) else {"": value}
            result |= {f"{part.get('name')} {name} {key}": x for key, x in several.items() if not isinstance(x, str)}
    return result


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("form", FORMS)
def test_a_cell_that_is_written_out_is_the_layer_of_the_operator(form: str, cell: str) -> None:
    proto, wanted = written_out(cell, form), audit_of_operator(cell)
    feeds = {"x": data()}
    np.testing.assert_allclose(run(proto, feeds)[0], run(operator(cell), feeds)[0], atol=2e-6)
    weights, operators = canonical(proto), canonical(operator(cell))
    audit = wua.analyze(proto, data(), batch_axis=1, criterion=["activation", "magnitude"])
    for operand, name in NAMES.items():
        np.testing.assert_array_equal(weights[name], operators[operand])
        got, expected = audit.layers[name], wanted.layers[operand]
        assert got.kind == "recurrent"
        assert [gate.name for gate in got.gates] == GATES[cell.split()[0]]
        largest = expected.neurons.mean.max()
        np.testing.assert_allclose(got.neurons.mean, expected.neurons.mean, rtol=0, atol=1e-6 * largest)
        for criterion in ("activation", "magnitude"):
            scores, others = got.scores[criterion], expected.scores[criterion]
            np.testing.assert_allclose(scores, others, rtol=0, atol=1e-5 * others.max())
            assert flat(got, criterion) == pytest.approx(flat(expected, criterion), rel=1e-5, abs=1e-6)
    assert_all_are_covered(proto, {name: weights[name].size for name in weights})
    assert_outputs_unchanged(proto, feeds)
