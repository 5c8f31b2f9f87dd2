"""What a recording is compared with: every activation as a whole, averaged by NumPy in double precision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx

from wua_onnx.layers import Layer, find_layers
from wua_onnx.model import load
from wua_onnx.recording import Recording, instrument
from wua_onnx.running import Session

from .models import Array, session

Feeds = Mapping[str, Array]


def layers_of(proto: Any) -> Mapping[str, Layer]:
    return find_layers(load(proto)).by_name


def activations(proto: onnx.ModelProto, runs: Sequence[Feeds]) -> dict[str, list[list[Array]]]:
    """Return, by layer and use, the activation of each run with the neurons last: (positions, neurons)."""
    layers = layers_of(proto)
    places = {name: [(a.value.name or "", a.axes[0]) for a in layer.activations] for name, layer in layers.items()}
    wanted = list(dict.fromkeys(value for several in places.values() for value, _ in several))
    whole = onnx.ModelProto.FromString(proto.SerializeToString())
    known = {output.name for output in whole.graph.output}
    whole.graph.output.extend(onnx.ValueInfoProto(name=name) for name in wanted if name not in known)
    if not wanted:
        return {}
    runner = session(whole)
    results = [dict(zip(wanted, runner.run(wanted, dict(feeds)), strict=True)) for feeds in runs]
    return {
        name: [[moved(result[value], axis) for result in results] for value, axis in several]
        for name, several in places.items()
    }


def moved(array: Array, axis: int) -> Array:
    return np.moveaxis(array.astype(np.float64), axis, -1).reshape(-1, array.shape[axis])


def means(proto: onnx.ModelProto, runs: Sequence[Feeds]) -> dict[str, list[Array]]:
    """Return mean |a| of each neuron over everything in `runs`, by layer and use."""
    return {
        name: [np.abs(np.concatenate(parts)).mean(axis=0) for parts in uses]
        for name, uses in activations(proto, runs).items()
    }


def assert_recorded(
    recording: Recording, proto: onnx.ModelProto, runs: Sequence[Feeds], *, within: float = 1e-5
) -> None:
    """Check every mean to `within` of the layer's largest."""
    expected = means(proto, runs)
    assert recording.layers.keys() == expected.keys()
    assert not recording.missing
    for name, uses in expected.items():
        for got, wanted in zip(recording.layers[name], uses, strict=True):
            error = np.abs(got.mean - wanted).max() / wanted.max()
            assert error <= within, f"{name}: {error}"


def assert_outputs_unchanged(proto: onnx.ModelProto, feeds: Feeds) -> None:
    """Check the model's own outputs to 1e-6 of their largest, against a session of the model as it is."""
    model = load(proto)
    plan = instrument(model, find_layers(model).by_name)
    ours = Session(plan.model, plan.folder).run(feeds)
    plain = session(proto).run(None, dict(feeds))
    assert list(plan.outputs) == [output.name for output in proto.graph.output]
    for name, expected in zip(plan.outputs, plain, strict=True):
        assert ours[name].shape == expected.shape
        largest = float(np.abs(expected).max()) or 1.0
        np.testing.assert_allclose(ours[name], expected, rtol=0, atol=1e-6 * largest)
