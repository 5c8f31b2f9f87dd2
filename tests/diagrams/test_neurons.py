from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from wua_onnx.diagrams.neurons import DenseLayer, network_json


def layers(*sizes: int, seed: int = 7) -> list[DenseLayer]:
    generator = np.random.default_rng(seed)
    shapes = pairwise(sizes)
    return [(f"fc{i}", generator.normal(size=shape), None, None) for i, shape in enumerate(shapes)]


def test_a_small_network_is_shown_whole() -> None:
    (_, first, _, _), (_, second, _, _) = layers(2, 3, 1)
    network = network_json(
        [("fc1", first, np.array([0.5, 0.0, np.nan]), np.array([False, True, False])), ("fc2", second, None, None)]
    )
    assert [layer["name"] for layer in network["layers"]] == ["input", "fc1", "fc2"]
    assert network["layers"][1]["neurons"] == [
        {"index": 0, "value": 0.5, "dead": False},
        {"index": 1, "value": 0.0, "dead": True},
        {"index": 2, "value": None, "dead": False},
    ]
    assert (len(network["edges"]), network["left_out"], network["threshold"]) == (9, 0, 0.1)
    weights = {(e["layer"], e["from"], e["to"]): e["weight"] for e in network["edges"]}
    assert weights[0, 1, 2] == first[1, 2]
    assert weights[1, 2, 0] == second[2, 0]


def test_wide_layers_keep_the_strongest_and_say_how_many_are_left_out() -> None:
    stack = layers(101, 53, 7)
    network = network_json(stack, max_neurons=11, max_edges=38, paths=0)
    assert [len(layer["neurons"]) for layer in network["layers"]] == [11, 11, 7]
    assert [layer["left_out"] for layer in network["layers"]] == [90, 42, 0]
    assert len(network["edges"]) == 38
    assert network["left_out"] == 101 * 53 + 53 * 7 - 38
    strength = [abs(stack[0][1][:, j]).sum() + abs(stack[1][1][j]).sum() for j in range(53)]
    strongest = sorted(range(53), key=lambda j: -strength[j])[:11]
    assert [neuron["index"] for neuron in network["layers"][1]["neurons"]] == sorted(strongest)


def test_the_lines_shown_are_the_heaviest_between_the_neurons_shown() -> None:
    stack = layers(13, 17)
    network = network_json(stack, max_neurons=5, max_edges=9, paths=0)
    rows, columns = ([neuron["index"] for neuron in layer["neurons"]] for layer in network["layers"])
    heaviest = sorted((abs(stack[0][1][i, j]) for i in rows for j in columns), reverse=True)[:9]
    assert sorted((abs(edge["weight"]) for edge in network["edges"]), reverse=True) == heaviest


def test_zeros_are_no_connection_and_broken_weights_are_not_drawn() -> None:
    weight = np.array([[0.5, 0.0], [np.nan, np.inf]])
    network = network_json([("fc", weight, None, None)])
    assert [(edge["from"], edge["to"]) for edge in network["edges"]] == [(0, 0)]
    assert network["left_out"] == 0


@pytest.mark.parametrize(
    ("stack", "message"),
    [
        ([], "at least one"),
        ([("a", np.zeros((2, 3)), None, None), ("b", np.zeros((5, 2)), None, None)], "'b': expected 3 inputs, got 5"),
        ([("c", np.zeros((2, 3, 5)), None, None)], r"'c': expected a weight of shape \(in, out\)"),
    ],
)
def test_bad_stacks(stack: list[DenseLayer], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        network_json(stack)


def test_the_neurons_and_lines_of_the_strongest_pathways_are_always_shown() -> None:
    stack = layers(101, 53, 7)
    stack[0][1][:, 41] *= 1e-2  # little leads to this neuron or from it, but for one strong pathway
    stack[0][1][83, 41] = 50
    stack[1][1][41] = [1e-3, 0.5, 0, 0, 0, 0, 0]
    network = network_json(stack, max_neurons=3, max_edges=2)
    [best, *_] = network["paths"]
    assert best["neurons"] == [83, 41, 1]
    assert len(network["paths"]) == 3
    for path in network["paths"]:
        for k, neuron in enumerate(path["neurons"]):
            assert neuron in {shown["index"] for shown in network["layers"][k]["neurons"]}
        for k, ends in enumerate(pairwise(path["neurons"])):
            assert (k, *ends) in {(edge["layer"], edge["from"], edge["to"]) for edge in network["edges"]}


def test_activations_decide_which_pathway_is_strongest() -> None:
    weight = np.array([[0.5, 0.4]])
    plain = network_json([("fc", weight, None, None)], paths=1)
    seen = network_json([("fc", weight, np.array([0.1, 0.9]), None)], paths=1)
    assert (plain["paths"][0]["neurons"], seen["paths"][0]["neurons"]) == ([0, 0], [0, 1])
    assert seen["paths"][0]["share"] == pytest.approx(0.36 / 0.41, abs=1e-6)
