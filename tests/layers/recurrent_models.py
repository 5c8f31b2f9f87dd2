"""The same recurrent layers as operators of ONNX and written out: as a Loop, as a Scan, as unrolled steps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx

from .graphs import Array, model, rand

STEPS, BATCH, INPUTS, HIDDEN = 5, 3, 11, 7

# The gates in the order that frameworks store them in (Keras i f c o, PyTorch r z n), by their place in that of ONNX.
ORDERS = {
    "LSTM": (0, 2, 3, 1),
    "LSTM with peepholes": (0, 2, 3, 1),
    "LSTM of two functions": (0, 2, 3, 1),
    "GRU": (1, 0, 2),
    "GRU reset before": (0, 1, 2),
    "RNN": (0,),
}
_LSTM = """p = MatMul(e, k) q = MatMul(h, u) a = Add(p, q) b = Add(a, bias)
    gi, gf, gc, go = Split<axis = -1, num_outputs = 4>(b) i = Sigmoid(gi) f = Sigmoid(gf) t = Tanh(gc) o = Sigmoid(go)
    fc = Mul(f, c) it = Mul(i, t) c1 = Add(fc, it) m = Tanh(c1) h1 = Mul(o, m)"""
# Peepholes: the gates see the memory, too, each unit its own; the output gate sees the new one.
_PEEPHOLES = (
    _LSTM.replace(
        "i = Sigmoid(gi) f = Sigmoid(gf)",
        """ci = Mul(c, peep_i) ai = Add(gi, ci) i = Sigmoid(ai)
    cf = Mul(c, peep_f) af = Add(gf, cf) f = Sigmoid(af)""",
    )
    .replace("o = Sigmoid(go)", "")
    .replace("m = Tanh(c1)", "co = Mul(c1, peep_o) ao = Add(go, co) o = Sigmoid(ao) m = Tanh(c1)")
)
# The next state as PyTorch computes it: (h - n) z + n.
_GRU = """p = MatMul(e, k) pb = Add(p, bias) q = MatMul(h, u) qb = Add(q, bias_r)
    pr, pz, pn = Split<axis = -1, num_outputs = 3>(pb) qr, qz, qn = Split<axis = -1, num_outputs = 3>(qb)
    ar = Add(pr, qr) r = Sigmoid(ar) az = Add(pz, qz) z = Sigmoid(az) rq = Mul(r, qn) an = Add(pn, rq) n = Tanh(an)
    d = Sub(h, n) dz = Mul(d, z) h1 = Add(dz, n)"""
# As Keras computes it: z h + (1 - z) n; the recurrent kernel is cut in two.
_GRU_BEFORE = """p = MatMul(e, k) pb = Add(p, bias) pz, pr, pn = Split<axis = -1, num_outputs = 3>(pb)
    uzr = Slice(u, zero, two_gates, last) un = Slice(u, two_gates, three_gates, last)
    q = MatMul(h, uzr) qz, qr = Split<axis = -1, num_outputs = 2>(q)
    az = Add(pz, qz) z = Sigmoid(az) ar = Add(pr, qr) r = Sigmoid(ar) rh = Mul(r, h) qn = MatMul(rh, un)
    an = Add(pn, qn) n = Tanh(an) y = Sub(one, z) zh = Mul(z, h) yn = Mul(y, n) h1 = Add(zh, yn)"""
_RNN = "p = MatMul(e, k) q = MatMul(h, u) a = Add(p, q) b = Add(a, bias) h1 = Tanh(b)"
CELLS = {
    "LSTM": _LSTM,
    "LSTM with peepholes": _PEEPHOLES,
    "LSTM of two functions": _LSTM.replace("t = Tanh(gc)", "t = Relu(gc)"),
    "GRU": _GRU,
    "GRU reset before": _GRU_BEFORE,
    "RNN": _RNN,
}
FORMS = ("loop", "loop that carries weights", "scan", "unrolled", "input before", "unrolled, input before")


@dataclass(frozen=True)
class Weights:
    """Weights in the order of ONNX: (gates * hidden, in), (gates * hidden, hidden) and two biases."""

    w: Array
    r: Array
    wb: Array
    rb: Array

    @classmethod
    def of(cls, cell: str) -> Weights:
        rows = len(ORDERS[cell]) * HIDDEN
        both = cell == "GRU"
        return cls(rand(rows, INPUTS), rand(rows, HIDDEN), rand(rows, seed=1), rand(rows, seed=2) * np.float32(both))


def data() -> Array:
    return rand(STEPS, BATCH, INPUTS, seed=9)


def operator(cell: str) -> onnx.ModelProto:
    """Return the layer as one operator; it returns the hidden state of every step."""
    weights, op = Weights.of(cell), cell.split()[0]
    linear = ", linear_before_reset = 1" if cell == "GRU" else ""
    linear += ', activations = ["Sigmoid", "Relu", "Tanh"]' if cell == "LSTM of two functions" else ""
    peepholes = _peepholes(cell)
    return model(
        f"(float[{STEPS}, N, {INPUTS}] x) => (float[] y) "
        f"{{ s = {op}<hidden_size = {HIDDEN}{linear}>(x, w, r, b{', , , , p' * bool(peepholes)}) "
        "y = Squeeze(s, one_axis) }",
        {
            "w": weights.w[None],
            "r": weights.r[None],
            "b": np.concatenate([weights.wb, weights.rb])[None],
            "one_axis": np.array([1]),
            **({"p": np.concatenate(list(peepholes.values()))[None]} if peepholes else {}),
        },
    )


def _peepholes(cell: str) -> dict[str, Array]:
    """Return the peepholes in the order of ONNX."""
    return {f"peep_{g}": rand(HIDDEN, seed=i) for i, g in enumerate("iof")} if "peepholes" in cell else {}


def written_out(cell: str, form: str) -> onnx.ModelProto:
    """Return the same layer in elementary operators, its gates in the order of a framework."""
    text, states = CELLS[cell], ["h", "c"] if cell.startswith("LSTM") else ["h"]
    project, width = "xs = Identity(x)", INPUTS
    if "input before" in form:  # the product with the input, for all steps at once
        project, width = "xs = MatMul(x, k)", len(ORDERS[cell]) * HIDDEN
        text = text.replace("p = MatMul(e, k)", "p = Identity(e)")
    start = f"(float[{STEPS}, N, {INPUTS}] x) => (float[] y) {{ {project} {_zeros()} "
    if "unrolled" in form:
        return _unrolled(start, text, states, _initializers(cell))
    if form in ("scan", "input before"):
        return model(start + _scan(text, states, width) + "}", _initializers(cell))
    return model(start + _loop(text, states, ["k", "u"] if "carries" in form else []) + "}", _initializers(cell))


def _zeros() -> str:
    return "shape = Shape<start = 1, end = 2>(x) sizes = Concat<axis = 0>(shape, hidden) zeros = Expand(nought, sizes)"


def _initializers(cell: str) -> dict[str, Array]:
    weights, order = Weights.of(cell), ORDERS[cell]
    rows = np.concatenate([np.arange(HIDDEN) + gate * HIDDEN for gate in order])
    shared = cell != "GRU"
    numbers = {"zero": 0, "two_gates": 2 * HIDDEN, "three_gates": 3 * HIDDEN, "last": 1, "hidden": HIDDEN}
    return {
        "k": weights.w[rows].T,
        "u": weights.r[rows].T,
        "bias": (weights.wb + weights.rb if shared else weights.wb)[rows],
        "bias_r": weights.rb[rows],
        "one": np.float32(1),
        "nought": np.float32(0),
        "steps": np.array(STEPS),
        **_peepholes(cell),
        "axis": np.array([0]),
        **{name: np.array([number]) for name, number in numbers.items()},
    }


def _types(states: list[str], suffix: str = "") -> str:
    return ", ".join(f"float[N, {HIDDEN}] {state}{suffix}" for state in states)


def _loop(text: str, states: list[str], carried: list[str]) -> str:
    """A Loop that looks its step up in the whole sequence; weights that it carries come back as they are."""
    for name in carried:
        text = text.replace(f", {name})", f", {name}_in)").replace(f"Slice({name},", f"Slice({name}_in,")
    taken = "".join(f", float[] {name}_in" for name in carried)
    given = "".join(f", float[] {name}_out" for name in carried)
    copies = " ".join(f"{name}_out = Identity({name}_in)" for name in carried)
    outputs = ", ".join([*(f"last_{state}" for state in states), *(f"same_{name}" for name in carried), "y"])
    inputs = ", ".join([*["zeros"] * len(states), *carried])
    return f"""{outputs} = Loop(steps, , {inputs}) <body = b (int64 trip, bool more, {_types(states)}{taken})
        => (bool on, {_types(states, "1")}{given}, float[N, {HIDDEN}] stacked) {{
            on = Identity(more) e = Gather(xs, trip) {copies} {text} stacked = Identity(h1) }}>"""


def _scan(text: str, states: list[str], width: int) -> str:
    outputs = ", ".join([*(f"last_{state}" for state in states), "y"])
    inputs = ", ".join(["zeros"] * len(states))
    return f"""{outputs} = Scan<num_scan_inputs = 1, body = b ({_types(states)}, float[N, {width}] e)
        => ({_types(states, "1")}, float[N, {HIDDEN}] stacked) {{ {text} stacked = Identity(h1) }}>({inputs}, xs)"""


def _unrolled(start: str, text: str, states: list[str], initializers: dict[str, Array]) -> onnx.ModelProto:
    parts = ", ".join(f"part_{t}" for t in range(STEPS))
    split = f"{parts} = Split<axis = 0, num_outputs = {STEPS}>(xs)"
    squeezed = " ".join(f"e_{t} = Squeeze(part_{t}, axis)" for t in range(STEPS))
    proto = model(f"{start} {split} {squeezed} }}", initializers)
    step = model(f"(float[] e) => (float[] h1) {{ {text} }}").graph.node
    for t in range(STEPS):
        before = {state: f"{state}1_{t - 1}" if t else "zeros" for state in states}
        for node in step:
            new = proto.graph.node.add()
            new.CopyFrom(node)
            new.output[:] = [f"{name}_{t}" for name in node.output]
            new.input[:] = [n if n in initializers else before.get(n, f"{n}_{t}") for n in node.input]
    stacked = " ".join(f"w_{t} = Unsqueeze(h1_{t}, axis)" for t in range(STEPS))
    steps = ", ".join(f"w_{t}" for t in range(STEPS))
    end = model(f"(float[] e) => (float[] y) {{ {stacked} y = Concat<axis = 0>({steps}) }}")
    proto.graph.node.extend(end.graph.node)
    return proto
