"""Activation functions: single operators and what exporters decompose them into."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest

from wua_onnx.layers import activation_functions as functions
from wua_onnx.layers import find_layers
from wua_onnx.layers.activations import Activation
from wua_onnx.layers.elementwise import EVALUATE
from wua_onnx.model import load
from wua_onnx.model.node import NodeView

from .graphs import MICROSOFT, model, rand, run

NEURONS = 3


def follow(
    nodes: str, constants: dict[str, Any] | None = None, *, opset: int = 24, outputs: str = "float[] y"
) -> Activation:
    """Return where the neurons of `a`, a dense layer's output, are read."""
    proto = model(
        f"(float[N, 5] x) => ({outputs}) {{ a = MatMul(x, w) {nodes} }}",
        {"w": rand(5, NEURONS), **(constants or {})},
        opset=opset,
        also=MICROSOFT,
    )
    (layer,) = find_layers(load(proto)).by_name.values()
    return layer.activations[0]


def name_of(activation: Activation) -> str | None:
    return activation.function.name if activation.function is not None else None


SINGLE = {
    "Celu": "CELU",
    "Clip": "Clip",
    "Elu": "ELU",
    "Erf": "Erf",
    "Gelu": "GELU",
    "HardSigmoid": "HardSigmoid",
    "HardSwish": "HardSwish",
    "Hardmax": "Hardmax",
    "LeakyRelu": "LeakyReLU",
    "LogSoftmax": "LogSoftmax",
    "Mish": "Mish",
    "Relu": "ReLU",
    "Selu": "SELU",
    "Shrink": "Shrink",
    "Sigmoid": "Sigmoid",
    "Sin": "Sin",
    "Softmax": "Softmax",
    "Softplus": "Softplus",
    "Softsign": "Softsign",
    "Swish": "SiLU",
    "Tanh": "Tanh",
    "ThresholdedRelu": "ThresholdedReLU",
    "com.microsoft.FastGelu": "GELU (tanh)",
    "com.microsoft.QuickGelu": "QuickGELU",
}


@pytest.mark.parametrize("operator", SINGLE)
def test_a_single_operator(operator: str) -> None:
    activation = follow(f"y = {operator}(a)")
    assert (activation.value.name, activation.axes, name_of(activation)) == ("y", (1,), SINGLE[operator])


def test_every_activation_function_of_the_standard_is_known() -> None:
    """Those that onnx itself describes as an activation by their context-dependent functions, plus the old ones."""
    standard = {
        "Relu",
        "LeakyRelu",
        "PRelu",
        "Elu",
        "Selu",
        "Celu",
        "Gelu",
        "Mish",
        "HardSwish",
        "HardSigmoid",
        "Swish",
    }
    standard |= {
        "Sigmoid",
        "Tanh",
        "Softplus",
        "Softsign",
        "ThresholdedRelu",
        "Shrink",
        "Clip",
        "Softmax",
        "LogSoftmax",
    }
    assert standard | {"Hardmax"} <= functions.OPERATORS.keys()
    schemas = {schema.name for schema in onnx.defs.get_all_schemas()}
    assert functions.OPERATORS.keys() - schemas == {"BiasGelu", "FastGelu", "QuickGelu"}  # of com.microsoft


E1, E3, E6 = np.float32(1), np.float32(3), np.float32(6)
ROOT = np.float32(np.sqrt(2))
SLOPES = np.array([0.1, 0.2, -0.3], np.float32)
TANH = {
    "p": np.float32(3),
    "k": np.float32(0.044715),
    "r": np.float32(np.sqrt(2 / np.pi)),
    "o": E1,
    "h": np.float32(0.5),
}
GELU = {"r": ROOT, "o": E1, "h": np.float32(0.5)}
SWISH = {"three": E3, "zero": np.float32(0), "six": E6}

DECOMPOSED: dict[str, tuple[str, str, dict[str, Any]]] = {
    "x·sigmoid(x)": ("SiLU", "s = Sigmoid(a) y = Mul(a, s)", {}),
    "sigmoid(x)·x": ("SiLU", "s = Sigmoid(a) y = Mul(s, a)", {}),
    "x/(1+exp(−x))": ("SiLU", "n = Neg(a) e = Exp(n) p = Add(o, e) y = Div(a, p)", {"o": E1}),
    "x·sigmoid(1.702x)": ("QuickGELU", "k = Mul(a, c) s = Sigmoid(k) y = Mul(a, s)", {"c": np.float32(1.702)}),
    "gelu, half last": ("GELU", "d = Div(a, r) e = Erf(d) f = Add(e, o) m = Mul(a, f) y = Mul(m, h)", GELU),
    "gelu, half first": ("GELU", "d = Div(a, r) e = Erf(d) f = Add(o, e) m = Mul(h, a) y = Mul(m, f)", GELU),
    "gelu, half inside": (
        "GELU",
        "d = Mul(a, i) e = Erf(d) f = Add(e, o) m = Mul(f, h) y = Mul(a, m)",
        {"i": 1 / ROOT, "o": E1, "h": np.float32(0.5)},
    ),
    "gelu, tanh, Pow": (
        "GELU (tanh)",
        "c = Pow(a, p) d = Mul(c, k) e = Add(a, d) f = Mul(e, r) t = Tanh(f) g = Add(t, o) m = Mul(a, h) y = Mul(m, g)",
        TANH,
    ),
    "gelu, tanh, products": (
        "GELU (tanh)",
        "q = Mul(a, a) c = Mul(a, q) d = Mul(k, c) e = Add(d, a) f = Mul(r, e) t = Tanh(f) g = Add(t, o) "
        "m = Mul(g, h) y = Mul(m, a)",
        TANH,
    ),
    "gelu, tanh, factored": (
        "GELU (tanh)",
        "q = Mul(a, a) d = Mul(k, q) e = Add(d, o) i = Mul(a, e) f = Mul(r, i) t = Tanh(f) g = Add(t, o) "
        "m = Mul(a, h) y = Mul(m, g)",
        TANH,
    ),
    "x·relu6(x+3)/6": ("HardSwish", "p = Add(a, three) c = Clip(p, zero, six) m = Mul(a, c) y = Div(m, six)", SWISH),
    "x·(relu6(x+3)/6)": ("HardSwish", "p = Add(a, three) c = Clip(p, zero, six) m = Div(c, six) y = Mul(a, m)", SWISH),
    "x·hardsigmoid(x)": ("HardSwish", "s = HardSigmoid<alpha = 0.16666667, beta = 0.5>(a) y = Mul(a, s)", {}),
    "relu6(x+3)/6": ("HardSigmoid", "p = Add(a, three) c = Clip(p, zero, six) y = Div(c, six)", SWISH),
    "clip(x, 0, 6)": ("ReLU6", "y = Clip(a, zero, six)", SWISH),
    "min(relu(x), 6)": ("ReLU6", "r = Relu(a) y = Min(r, six)", SWISH),
    "min(max(x, 0), 6)": ("ReLU6", "r = Max(a, zero) y = Min(six, r)", SWISH),
    "max(x, 0)": ("ReLU", "y = Max(zero, a)", SWISH),
    "relu(x)²": ("ReLU squared", "r = Relu(a) y = Mul(r, r)", {}),
    "x·tanh(softplus(x))": ("Mish", "s = Softplus(a) t = Tanh(s) y = Mul(a, t)", {}),
    "mish from exp": ("Mish", "e = Exp(a) p = Add(e, o) l = Log(p) t = Tanh(l) y = Mul(a, t)", {"o": E1}),
    "relu(x) − s·relu(−x)": (
        "PReLU",
        "r = Relu(a) n = Neg(a) q = Relu(n) m = Mul(s, q) y = Sub(r, m)",
        {"s": SLOPES},
    ),
    "relu(x) + s·(x − |x|)/2": (
        "PReLU",
        "r = Relu(a) b = Abs(a) d = Sub(a, b) m = Mul(d, s) k = Mul(m, h) y = Add(r, k)",
        {"s": SLOPES, "h": np.float32(0.5)},
    ),
    "prelu": ("PReLU", "y = PRelu(a, s)", {"s": SLOPES}),
    "max(x, 0.1x)": ("LeakyReLU", "m = Mul(a, s) y = Max(a, m)", {"s": np.float32(0.1)}),
    "x if x > 0 else 0.1x": (
        "LeakyReLU",
        "g = Greater(a, z) m = Mul(a, s) y = Where(g, a, m)",
        {"z": 0 * E1, "s": np.float32(0.1)},
    ),
    "ln(1+exp(x))": ("Softplus", "e = Exp(a) p = Add(e, o) y = Log(p)", {"o": E1}),
    "softplus or x": ("Softplus", "s = Softplus(a) g = Greater(a, t) y = Where(g, a, s)", {"t": np.float32(20)}),
    "1/(1+exp(−x))": ("Sigmoid", "n = Neg(a) e = Exp(n) p = Add(e, o) y = Reciprocal(p)", {"o": E1}),
    "x/(1+|x|)": ("Softsign", "b = Abs(a) p = Add(b, o) y = Div(a, p)", {"o": E1}),
    "x − tanh(x)": ("Tanhshrink", "t = Tanh(a) y = Sub(a, t)", {}),
    "ln(sigmoid(x))": ("LogSigmoid", "s = Sigmoid(a) y = Log(s)", {}),
    "x if x > 0 else exp(x)−1": (
        "ELU",
        "e = Exp(a) m = Sub(e, o) g = LessOrEqual(a, z) y = Where(g, m, a)",
        {"o": E1, "z": 0 * E1},
    ),
}


@pytest.mark.parametrize("case", DECOMPOSED)
@pytest.mark.parametrize("shifted", [False, True], ids=["plain", "after a bias"])
def test_a_decomposition_is_known_by_what_it_computes(case: str, shifted: bool) -> None:
    name, nodes, constants = DECOMPOSED[case]
    if shifted:
        nodes = "u = Add(a, bias) " + nodes.replace("(a", "(u").replace(" a)", " u)").replace(", a,", ", u,")
        constants = {**constants, "bias": rand(NEURONS, seed=7)}
    activation = follow(nodes, constants)
    assert (activation.value.name, activation.axes, name_of(activation)) == ("y", (1,), name)
    assert np.all(activation.factor == 1)


def test_half_precision_constants_are_close_enough() -> None:
    constants = {name: value.astype(np.float16).astype(np.float32) for name, value in TANH.items()}
    _, nodes, _ = DECOMPOSED["gelu, tanh, Pow"]
    assert name_of(follow(nodes, constants)) == "GELU (tanh)"
    constants = {name: value.astype(np.float16).astype(np.float32) for name, value in GELU.items()}
    _, nodes, _ = DECOMPOSED["gelu, half last"]
    assert name_of(follow(nodes, constants)) == "GELU"


@pytest.mark.parametrize("size", [0, 1e-5, 1.9e-4, 2.1e-4, 1e-3, 0.1])
@pytest.mark.parametrize("operator", ["Add", "Mul"])
def test_shifts_and_scales_are_no_function_however_small(operator: str, size: float) -> None:
    for amounts in ([size, size, size], [-size, size, 0], [-size, -size, -size]):
        constants = {"c": np.array(amounts, np.float32) + np.float32(operator == "Mul")}
        activation = follow(f"b = {operator}(a, c) y = Relu(b)", constants)
        assert (activation.value.name, name_of(activation)) == ("y", "ReLU")
        activation = follow(f"y = {operator}(a, c)", constants)
        assert (activation.value.name, name_of(activation)) == ("y", None)


def test_a_function_without_a_name_is_named_by_its_operators() -> None:
    activation = follow("s = Sin(a) c = Mul(k, a) t = Tanh(c) y = Add(c, t)", {"k": E3}, outputs="float[] y, float[] s")
    assert name_of(activation) is None  # `a` is used by Sin, too
    activation = follow("c = Mul(k, a) t = Tanh(c) y = Add(c, t)", {"k": E3})
    assert (activation.value.name, name_of(activation)) == ("y", "elementwise (Tanh)")
    np.testing.assert_array_equal(activation.factor, 3)


GRID = np.linspace(-9.9, 9.7, 53, dtype=np.float32).reshape(-1, 1)
BINARY = {"Add", "Sub", "Mul", "Div", "Max", "Min", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"}
BINARY |= {"PRelu", "Pow", "Sum", "Clip"}
LOGICAL = {"And": "And(g, h)", "Or": "Or(g, h)", "Not": "Not(g)"}
CALLS = {"Where": "Where(g, x, c)", "Cast": "Cast<to = 1>(x)", "QuickGelu": "com.microsoft.QuickGelu(x)", **LOGICAL}


def computed(node: NodeView, *arguments: Any) -> Any:
    with np.errstate(all="ignore"):
        return EVALUATE[node.op_type](node, arguments)


@pytest.mark.parametrize("operator", sorted(EVALUATE))
def test_elementwise_operators_compute_what_onnxruntime_does(operator: str) -> None:
    """On a grid; the constant stands second."""
    constants = {"c": np.float32(2 if operator == "Pow" else 0.3), "d": np.float32(5)}
    call = CALLS.get(operator, f"{operator}(x, c)" if operator in BINARY else f"{operator}(x)")
    output = "bool" if operator in LOGICAL or operator.startswith(("Equal", "Greater", "Less")) else "float"
    nodes = f"g = Greater(x, c) h = Less(x, d) y = {call}"
    proto = model(f"(float[N, 1] x) => ({output}[] y) {{ {nodes} }}", constants, opset=24, also=MICROSOFT)
    x, c = GRID.astype(np.float64), np.float64(constants["c"])
    arguments: list[Any] = [x, c] if operator in BINARY else [x]
    if operator in LOGICAL:
        arguments = [x > c] if operator == "Not" else [x > c, x < 5]
    elif operator == "Where":
        arguments = [x > c, x, c]
    result = computed(load(proto).nodes[-1], *arguments)
    np.testing.assert_allclose(result, run(proto, {"x": GRID})[0], rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        ('Gelu<approximate = "tanh">(x)', "GELU (tanh)"),
        ("Gelu(x)", "GELU"),
        ("Swish<alpha = 1.0>(x)", "SiLU"),
        ("Swish<alpha = 1.702>(x)", "QuickGELU"),
        ("Swish<alpha = 0.8>(x)", "Swish"),
        ("com.microsoft.QuickGelu<alpha = 1.0>(x)", "SiLU"),
        ("Clip(x, c)", "Clip"),
        ("Celu<alpha = 1.0>(x)", "CELU"),
    ],
)
def test_attributes_tell_which_function_an_operator_is(call: str, name: str) -> None:
    """Onnxruntime joins Sigmoid and Mul to QuickGelu, whatever the factor."""
    activation = follow(f"y = {call.replace('(x', '(a')}", {"c": np.float32(-0.2)})
    assert (activation.value.name, name_of(activation)) == ("y", name)


def test_casts_of_truth_values_and_whole_numbers() -> None:
    for kind, given in ((9, GRID), (7, GRID), (1, GRID > 0.3)):
        proto = model(
            f"({'bool' if given.dtype == bool else 'float'}[N, 1] x) => (float[] y) "
            f"{{ i = Cast<to = {kind}>(x) y = Cast<to = 1>(i) }}"
        )
        first, second = load(proto).nodes
        np.testing.assert_array_equal(computed(second, computed(first, given)), run(proto, {"x": given})[0])


@pytest.mark.parametrize("operator", [op for op, function in functions.OPERATORS.items() if function.non_negative])
def test_what_is_called_non_negative_never_falls_below_zero(operator: str) -> None:
    proto = model(f"(float[N, 1] x) => (float[] y) {{ y = {operator}(x) }}", opset=22)
    assert run(proto, {"x": GRID})[0].min() >= 0


@pytest.mark.parametrize("operator", ["Relu", "Clip", "HardSigmoid", "HardSwish", "Shrink", "ThresholdedRelu"])
def test_what_is_not_smooth_is_constant_somewhere(operator: str) -> None:
    nodes = f"y = {operator}(x)" if operator != "Clip" else "y = Clip(x, c)"
    proto = model(f"(float[N, 1] x) => (float[] y) {{ {nodes} }}", {"c": np.float32(0)}, opset=22)
    assert not functions.OPERATORS[operator].smooth
    assert (np.diff(run(proto, {"x": GRID})[0][:, 0]) == 0).any()
