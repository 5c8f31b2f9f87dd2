"""Recurrent layers that an exporter wrote out are the layers that operators of ONNX are."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np
import onnx
import pytest

import wua_onnx as wua
from wua_onnx.layers import find_layers
from wua_onnx.model import load

from ..recording.naive import assert_outputs_unchanged  # noqa: TID252 - tests are not installed
from .graphs import Array, model, rand, run
from .recurrent_models import CELLS, FORMS, HIDDEN, INPUTS, data, operator, written_out

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


def assert_equal_means(got: wua.LayerAudit, expected: wua.LayerAudit) -> None:
    mean, wanted = got.neurons.mean, expected.neurons.mean
    assert mean is not None
    assert wanted is not None
    np.testing.assert_allclose(mean, wanted, rtol=0, atol=1e-6 * wanted.max())


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
        assert_equal_means(got, expected)
        for criterion in ("activation", "magnitude"):
            scores, others = got.scores[criterion], expected.scores[criterion]
            np.testing.assert_allclose(scores, others, rtol=0, atol=1e-5 * others.max())
            assert flat(got, criterion) == pytest.approx(flat(expected, criterion), rel=1e-5, abs=1e-6)
    assert_all_are_covered(proto, {name: weights[name].size for name in weights})
    assert_outputs_unchanged(proto, feeds)


SCAN = """(float[5, N, 11] x) => (float[] y) {{
    shape = Shape<start = 1, end = 2>(x) sizes = Concat<axis = 0>(shape, hidden) zeros = Expand(nought, sizes)
    {last}, y = Scan<num_scan_inputs = 1, body = b ({given}, float[N, 11] e) => ({taken}, float[N, 7] stacked) {{
        {body} stacked = Identity(h1) }}>({starts}, x)
}}"""
LSTM_END = """i = Sigmoid(gi) f = Sigmoid(gf) t = Tanh(gc) o = Sigmoid(go)
    fc = Mul(f, c) it = Mul(i, t) c1 = Add(fc, it) m = Tanh(c1) h1 = Mul(o, m)"""


def scan(body: str, weights: Mapping[str, Array], states: tuple[str, ...] = ("h", "c")) -> onnx.ModelProto:
    text = SCAN.format(
        body=body,
        last=", ".join(f"last_{state}" for state in states),
        given=", ".join(f"float[N, 7] {state}" for state in states),
        taken=", ".join(f"float[N, 7] {state}1" for state in states),
        starts=", ".join(["zeros"] * len(states)),
    )
    numbers = {"hidden": np.array([HIDDEN]), "nought": np.float32(0), "one": np.float32(1), "axis": np.array([-1])}
    return model(text, {**weights, **numbers})


def hidden_states(proto: onnx.ModelProto) -> Array:
    return np.asarray(run(proto, {"x": data()})[0])


def shapes(proto: onnx.ModelProto) -> dict[str, tuple[str, tuple[int, ...]]]:
    return {name: (layer.kind, layer.shape) for name, layer in find_layers(load(proto)).by_name.items()}


def test_a_product_of_input_and_state_side_by_side() -> None:
    """As TensorFlow 1 wrote it, with 1 added to the forget gate; gates in the order input, cell, forget, output."""
    body = """both = Concat<axis = 1>(e, h) a = MatMul(both, k)
        gi, gc, gf0, go = Split<axis = -1, num_outputs = 4>(a) gf = Add(gf0, one) """
    kernel = rand(INPUTS + HIDDEN, 4 * HIDDEN)
    proto = scan(body + LSTM_END, {"k": kernel})
    assert shapes(proto) == {"k": ("recurrent", (4, HIDDEN, INPUTS + HIDDEN))}
    blocks = kernel.T.reshape(4, HIDDEN, -1)
    np.testing.assert_array_equal(canonical(proto)["k"], blocks[[0, 3, 2, 1]])
    expected = np.abs(hidden_states(proto)).mean((0, 1))
    mean = wua.analyze(proto, data(), batch_axis=1).layers["k"].neurons.mean
    assert mean is not None
    np.testing.assert_allclose(mean, expected, rtol=1e-5)


def test_gates_of_a_unit_side_by_side() -> None:
    body = """p = MatMul(e, k) q = MatMul(h, u) a = Add(p, q) r = Reshape(a, units)
        g0, g1, g2, g3 = Split<axis = -1, num_outputs = 4>(r)
        gi = Squeeze(g3, axis) gf = Squeeze(g2, axis) gc = Squeeze(g1, axis) go = Squeeze(g0, axis) """
    k, u = rand(INPUTS, 4 * HIDDEN), rand(HIDDEN, 4 * HIDDEN)
    proto = scan(body + LSTM_END, {"k": k, "u": u, "units": np.array([0, HIDDEN, 4])})
    for name, weight in {"k": k, "u": u}.items():
        by_gate = weight.T.reshape(HIDDEN, 4, -1).transpose(1, 0, 2)  # output, cell, forget, input
        np.testing.assert_array_equal(canonical(proto)[name], by_gate[[3, 0, 2, 1]])


def test_a_weight_for_every_gate() -> None:
    gates = "ifco"
    body = " ".join(
        f"p{g} = MatMul(e, k{g}) q{g} = MatMul(h, u{g}) b{g} = Add(q{g}, bias{g}) g{g} = Add(p{g}, b{g})" for g in gates
    )
    weights = {f"k{g}": rand(INPUTS, HIDDEN, seed=i) for i, g in enumerate(gates)}
    weights |= {f"u{g}": rand(HIDDEN, HIDDEN, seed=i) for i, g in enumerate(gates)}
    proto = scan(f"{body} {LSTM_END}", {**weights, **{f"bias{g}": rand(HIDDEN) for g in gates}})
    layers = find_layers(load(proto)).by_name
    names = {"i": "input", "f": "forget", "c": "cell", "o": "output"}
    assert {name: layer.uses[0].gates for name, layer in layers.items()} == {
        name: (names[name[1]],) for name in weights
    }
    for name, layer in layers.items():
        np.testing.assert_array_equal(layer.weight(), weights[name].T[None])


CHOICES = {
    "where": "h1 = Where(on, n, h)",
    "where not": "off = Not(on) h1 = Where(off, h, n)",
    "products": """off = Not(on) taken = Cast<to = 1>(on) left = Cast<to = 1>(off)
        new = Mul(taken, n) old = Mul(h, left) h1 = Add(new, old)""",
}


@pytest.mark.parametrize("choice", CHOICES.values(), ids=CHOICES)
def test_steps_that_a_mask_skips_are_not_counted(choice: str) -> None:
    """A sample that a step skips keeps its state, which is not read a second time."""
    body = f"""p = MatMul(e, k) q = MatMul(h, u) a = Add(p, q) n = Tanh(a)
        s = ReduceSum(e, axis) on = Greater(s, nought) {choice}"""
    proto = scan(body, {"k": rand(INPUTS, HIDDEN), "u": rand(HIDDEN, HIDDEN)}, ("h",))
    assert shapes(proto) == {"k": ("recurrent", (1, HIDDEN, INPUTS)), "u": ("recurrent", (1, HIDDEN, HIDDEN))}
    audit = wua.analyze(proto, data(), batch_axis=1)
    valid = data().sum(-1) > 0
    assert 0 < valid.sum() < valid.size
    wanted = np.abs(hidden_states(proto))[valid].mean(0)
    for layer in audit.layers.values():
        assert layer.neurons.mean is not None
        np.testing.assert_allclose(layer.neurons.mean, wanted, rtol=1e-5)


def test_a_mask_of_all_samples_leaves_the_state_as_it_is() -> None:
    """One boolean for all does not count them."""
    body = """p = MatMul(e, k) q = MatMul(h, u) a = Add(p, q) n = Tanh(a)
        s = ReduceSum(e, both) on = Greater(s, nought) h1 = Where(on, n, h)"""
    proto = scan(body, {"k": rand(INPUTS, HIDDEN), "u": rand(HIDDEN, HIDDEN), "both": np.array([0, 1])}, ("h",))
    assert shapes(proto)["u"] == ("recurrent", (1, HIDDEN, HIDDEN))
    assert len(set((data().sum((1, 2)) > 0).tolist())) > 1
    mean = wua.analyze(proto, data(), batch_axis=1).layers["u"].neurons.mean
    assert mean is not None
    np.testing.assert_allclose(mean, np.abs(hidden_states(proto)).mean((0, 1)), rtol=1e-5)


def test_a_mask_of_every_unit_leaves_the_state_as_it_is() -> None:
    """It says nothing of whole samples, so that every state counts."""
    body = """p = MatMul(e, k) q = MatMul(h, u) a = Add(p, q) n = Tanh(a)
        s = Slice(e, first, hidden, axis) on = Greater(s, nought) h1 = Where(on, n, h)"""
    weights = {"k": rand(INPUTS, HIDDEN), "u": rand(HIDDEN, HIDDEN), "first": np.array([0])}
    proto = scan(body, weights, ("h",))
    assert shapes(proto) == {"k": ("recurrent", (1, HIDDEN, INPUTS)), "u": ("recurrent", (1, HIDDEN, HIDDEN))}
    mean = wua.analyze(proto, data(), batch_axis=1).layers["u"].neurons.mean
    assert mean is not None
    np.testing.assert_allclose(mean, np.abs(hidden_states(proto)).mean((0, 1)), rtol=1e-5)


LOOKALIKES = {
    "the update gate the other way round": """p = MatMul(e, k) q = MatMul(h, u)
        pz, pr, pn = Split<axis = -1, num_outputs = 3>(p) qz, qr, qn = Split<axis = -1, num_outputs = 3>(q)
        az = Add(pz, qz) z = Sigmoid(az) ar = Add(pr, qr) r = Sigmoid(ar) rq = Mul(r, qn) an = Add(pn, rq) n = Tanh(an)
        d = Sub(n, h) dz = Mul(d, z) h1 = Add(dz, h)""",
    "a state that is not its own": "p = MatMul(e, k) q = MatMul(c, u) a = Add(p, q) h1 = Tanh(a) c1 = Sigmoid(h)",
    "a sum of products alone": "p = MatMul(e, k) q = MatMul(h, u) h1 = Add(p, q)",
    "a product in between": "p = MatMul(e, k) q = MatMul(h, u) a = Mul(p, q) h1 = Tanh(a)",
}


@pytest.mark.parametrize("name", LOOKALIKES)
def test_what_is_no_known_cell_stays_dense(name: str) -> None:
    body = LOOKALIKES[name]
    gates = 3 if "Split" in body else 1
    weights = {"k": rand(INPUTS, gates * HIDDEN), "u": rand(HIDDEN, gates * HIDDEN)}
    states = ("h", "c") if "c1" in body else ("h",)
    proto = scan(body, weights, states)
    assert shapes(proto) == {name: ("dense", weight.shape) for name, weight in weights.items()}
    assert_outputs_unchanged(proto, {"x": data()})


def test_a_state_that_decays_is_no_peephole() -> None:
    """What the state is multiplied with shifts no gate there: it is added behind the function."""
    body = "p = MatMul(e, k) q = MatMul(h, u) a = Add(p, q) n = Tanh(a) d = Mul(h, decay) h1 = Add(n, d)"
    weights = {"k": rand(INPUTS, HIDDEN), "u": rand(HIDDEN, HIDDEN)}
    proto = scan(body, {**weights, "decay": rand(HIDDEN)}, ("h",))
    assert shapes(proto) == {name: ("dense", weight.shape) for name, weight in weights.items()}


def test_two_branches_that_are_added_are_no_recurrence() -> None:
    graph = (
        "(float[N, 5] x, float[N, 7] z) => (float[] y) { p = MatMul(x, k) q = MatMul(z, u) a = Add(p, q) y = Tanh(a) }"
    )
    assert {kind for kind, _ in shapes(model(graph, {"k": rand(5, 7), "u": rand(7, 7)})).values()} == {"dense"}


def test_a_weight_with_another_use_stays_dense() -> None:
    """It would be two kinds of layers in one."""
    body = "p = MatMul(e, k) q = MatMul(h, u) a = Add(p, q) n = Tanh(a) h1 = Identity(n) c1 = MatMul(c, u)"
    proto = scan(body, {"k": rand(INPUTS, HIDDEN), "u": rand(HIDDEN, HIDDEN)})
    assert shapes(proto)["u"] == ("dense", (HIDDEN, HIDDEN))
    assert shapes(proto)["k"] == ("recurrent", (1, HIDDEN, INPUTS))


def test_two_layers_in_one_loop_are_read_each_in_its_own_state() -> None:
    body = """p = MatMul(e, k) q = MatMul(h, u) a = Add(p, q) h1 = Tanh(a)
        p2 = MatMul(h1, kk) q2 = MatMul(c, uu) a2 = Add(p2, q2) c1 = Tanh(a2)"""
    weights = {"k": rand(INPUTS, HIDDEN)} | {name: rand(HIDDEN, HIDDEN, seed=i) for i, name in enumerate("abc")}
    proto = scan(body, {"k": weights["k"], "u": weights["a"], "kk": weights["b"], "uu": weights["c"]})
    found = find_layers(load(proto)).by_name
    assert {name: (layer.kind, layer.uses[0].parameter) for name, layer in found.items()} == {
        "k": ("recurrent", "W"),
        "u": ("recurrent", "R"),
        "kk": ("recurrent", "W"),
        "uu": ("recurrent", "R"),
    }
    assert {name: layer.activations[0].value.name for name, layer in found.items()} == {
        "k": "h1",
        "u": "h1",
        "kk": "c1",
        "uu": "c1",
    }


@pytest.mark.parametrize("form", FORMS)
def test_other_criteria_and_statistics(form: str) -> None:
    """What the weights are multiplied with has a norm, too."""
    proto = written_out("LSTM", form)
    audit = wua.analyze(proto, data(), batch_axis=1, criterion=["wanda"], statistics=["square"])
    states = hidden_states(proto)
    for name in NAMES.values():
        rms = audit.layers[name].neurons.rms
        assert rms is not None
        np.testing.assert_allclose(rms, np.sqrt(np.square(states).mean((0, 1))), rtol=1e-5)
    if form == "loop":
        norms = np.sqrt(np.square(data()).sum((0, 1)))
        expected = np.abs(canonical(proto)["k"]) * norms
        np.testing.assert_allclose(audit.layers["k"].scores["wanda"], expected, rtol=1e-5)


def test_a_product_that_all_steps_read_costs_once() -> None:
    once, unrolled = (wua.analyze(written_out("LSTM", form)).layers["k"] for form in FORMS[-2:])
    assert (once.uses, unrolled.uses) == (1, 5)
    assert unrolled.nodes == once.nodes
    assert str(unrolled.macs) == str(once.macs)
    assert str(once.macs).endswith("*N")
