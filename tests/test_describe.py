from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
from onnx import helper

import wua_onnx as wua
from wua_onnx.report.layer_csv import layer_csv

from .small_models import model

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_neurons_that_are_always_on_are_counted_where_firing_is_recorded() -> None:
    """Of 5 neurons, biases of ±100 hold two above 0 for every sample and one below."""
    nodes = [helper.make_node("Gemm", ["x", "w", "b"], ["h"]), helper.make_node("Relu", ["h"], ["y"])]
    weights = {"w": np.random.default_rng(7).normal(size=(3, 5)), "b": np.array([100.0, 0.0, -100.0, 100.0, 0.0])}
    relu = model(nodes, weights, ["batch", 3])
    X = np.random.default_rng(11).normal(size=(97, 3)).astype(np.float32)
    [layer] = wua.analyze(relu, X, statistics=["firing"]).to_dict()["layers"]
    assert (layer["always_on"], layer["dead_neurons"]) == (2, 1)
    [layer] = wua.analyze(relu, X).to_dict()["layers"]
    assert layer["always_on"] is None


def test_strongest_neurons_come_with_their_importance() -> None:
    audit = wua.analyze(EXAMPLES / "digits.onnx", EXAMPLES / "digits.npz")
    layer = audit.layers["fc1"]
    told = audit.to_dict()["layers"][2]["criteria"]["activation"]
    order = np.argsort(-layer.neuron_importance, kind="stable")[: len(told["strongest"])]
    assert told["strongest"] == order.tolist()
    np.testing.assert_allclose(told["neuron_importance"], layer.neuron_importance[order])


def test_layers_name_the_class_and_the_line_of_their_module(tmp_path: Path) -> None:
    node = helper.make_node("MatMul", ["x", "w"], ["y"], name="n7")
    scopes = {
        "pkg.torch.onnx.name_scopes": "['', 'enc', 'enc.fc', 'linear']",
        "pkg.torch.onnx.class_hierarchy": "['app.Net', 'app.Encoder', 'app.Scaled', 'aten.linear']",
        "pkg.torch.onnx.stack_trace": 'File "/home/me/enc.py", line 23, in forward',
    }
    for key, value in scopes.items():
        node.metadata_props.add(key=key, value=value)
    audit = wua.analyze(model([node], {"w": np.ones((3, 5))}, ["batch", 3]))
    [layer] = audit.layers.values()
    assert (layer.module, layer.module_class, layer.source) == ("enc.fc", "app.Scaled", "/home/me/enc.py:23")
    audit.to_json(tmp_path / "audit.json")
    [again] = wua.Audit.from_json(tmp_path / "audit.json").layers.values()
    assert (again.module, again.module_class, again.source) == ("enc.fc", "app.Scaled", "/home/me/enc.py:23")
    frame = audit.to_pandas()
    assert frame.loc[0, ["module", "module_class", "source"]].tolist() == [layer.module, "app.Scaled", layer.source]
    [row] = csv.DictReader(io.StringIO(layer_csv(audit.to_dict())))
    assert (row["module"], row["module_class"], row["source"]) == ("enc.fc", "app.Scaled", "/home/me/enc.py:23")
    page = audit.to_html()
    assert "app.Scaled" in page
    assert "me/enc.py:23" in page


def test_layers_of_a_file_that_tells_nothing_have_no_class() -> None:
    audit = wua.analyze(model([helper.make_node("MatMul", ["x", "w"], ["y"])], {"w": np.ones((3, 5))}, ["batch", 3]))
    [layer] = audit.layers.values()
    assert (layer.module, layer.module_class, layer.source) == (None, None, None)
