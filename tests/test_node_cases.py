"""onnx's own node cases with their inputs stored as weights: the account is complete and the outputs stay.

The cases come with every input as an input of the model. Here some of them are weights, as in a model that is audited:
each input alone, and all but one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from wua_onnx import analyze
from wua_onnx.layers import find_layers
from wua_onnx.model import load
from wua_onnx.recording import Recorder

Feeds = Mapping[str, NDArray[Any]]
_LATEST = 10  # IR version; the cases say a newer one than they need


def variants(case: Any) -> Iterator[tuple[str, onnx.ModelProto, Feeds]]:
    """Yield (the case with its weights, the model, its inputs)."""
    if case.model is None or not case.data_sets:
        return
    arrays = dict(zip((value.name for value in case.model.graph.input), case.data_sets[0][0], strict=False))
    if not all(isinstance(array, np.ndarray) and array.dtype.kind in "biuf" for array in arrays.values()):
        return
    alone = [{name} for name in arrays]
    for weights in alone + [arrays.keys() - one for one in alone if len(arrays) > 2]:
        if len(weights) < len(arrays):
            feeds = {name: array for name, array in arrays.items() if name not in weights}
            yield f"{case.name} {sorted(weights)}", with_weights(case.model, arrays, weights), feeds


def with_weights(model: onnx.ModelProto, arrays: Feeds, weights: set[str]) -> onnx.ModelProto:
    proto = onnx.ModelProto()
    proto.CopyFrom(model)
    proto.ir_version = min(proto.ir_version, _LATEST)
    for value in [value for value in proto.graph.input if value.name in weights]:
        proto.graph.input.remove(value)
        proto.graph.initializer.append(numpy_helper.from_array(arrays[value.name], value.name))
    return proto


def plain_run(proto: onnx.ModelProto, feeds: Feeds) -> list[Any] | None:
    """Return the outputs of onnxruntime; None where it has no kernel for the operator."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return list(session.run(None, dict(feeds)))
    except Exception:  # its exceptions have no base class of their own
        return None


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # some cases divide by 0 and overflow on purpose
def test_the_account_is_complete_and_the_outputs_stay(every_case: list[Any]) -> None:
    models = layers = recorded = 0
    for case in every_case:
        for name, proto, feeds in variants(case):
            model = load(proto)
            found = find_layers(model)
            declined = sum(part.elements for part in found.declined)
            assert sum(layer.stored for layer in found.by_name.values()) + declined == found.parameters, name
            models += 1
            layers += bool(found.by_name)
            expected = plain_run(proto, feeds) if found.by_name else None
            if expected is not None:
                recorded += 1
                assert_outputs_stay(proto, feeds, expected, name)
    assert models > 4000
    assert layers > 200
    assert recorded > 150


def assert_outputs_stay(proto: onnx.ModelProto, feeds: Feeds, expected: list[Any], name: str) -> None:
    recorder = Recorder(proto, statistics=("square", "firing"), keep_outputs=True)
    recorder.update(feeds)
    audit = analyze(proto, recording=recorder)
    assert audit.to_dict()["recording"]["samples"], name
    for got, wanted in zip(recorder.result().outputs.values(), expected, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6, err_msg=name)
