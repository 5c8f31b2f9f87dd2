"""Models in bfloat16, which onnxruntime's CPU has almost no kernels for: computed in float32, and said so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
import torch

import wua_onnx as wua
from wua_onnx.errors import DataError, RunError
from wua_onnx.model import load
from wua_onnx.recording import Recorder, Recording
from wua_onnx.running.bfloat16 import NOTE

from .models import Array, N, model, rand

NARROW = ml_dtypes.bfloat16

# {t} is the element type, {code} its number; each is run in bfloat16 and in float32 with the same numbers.
GRAPHS: dict[str, tuple[str, dict[str, Any], tuple[int, ...]]] = {
    "dense": (
        "({t}[N, 5] x) => ({t}[N, 3] y) {{ a = Gemm(x, w, b) r = Gelu(a) y = MatMul(r, v) }}",
        {"w": rand(5, 7), "b": rand(7), "v": rand(7, 3)},
        (5,),
    ),
    "convolution": (
        "({t}[N, 3, 11, 13] x) => ({t}[N, 5, 1, 1] y) {{ a = Conv(x, w, b) r = HardSwish(a) "
        "y = GlobalAveragePool(r) }}",
        {"w": rand(5, 3, 3, 3), "b": rand(5)},
        (3, 11, 13),
    ),
    "LSTM": (
        "({t}[N, 7, 5] x) => ({t}[7, 1, N, 3] y) {{ z = Transpose<perm = [1, 0, 2]>(x) "
        "y = LSTM<hidden_size = 3>(z, w, r) }}",
        {"w": rand(1, 12, 5), "r": rand(1, 12, 3)},
        (7, 5),
    ),
    "constants": (
        "({t}[N, 5] x) => ({t}[N, 5] y, {t}[2] ones) {{ w = Constant<value = float[5, 5] {{{numbers}}}>() "
        "s = Constant<value_ints = [2]>() ones = ConstantOfShape<value = float[1] {{1.5}}>(s) "
        "eye = EyeLike<dtype = {code}>(w) wi = Add(w, eye) a = MatMul(x, w) y = Relu(a) }}",
        {},
        (5,),
    ),
    "branches": (
        """({t}[N, 5] x) => ({t}[N, 3] y) {{
            s = ReduceSum<keepdims = 0>(x) z = ReduceSum<keepdims = 0>(zeros) go = Greater(s, z)
            y = If(go) <then_branch = t () => ({t}[N, 3] p) {{ a = MatMul(x, w) p = Relu(a) }},
                        else_branch = e () => ({t}[N, 3] q) {{ c = MatMul(x, v) q = Tanh(c) }}>
        }}""",
        {"w": rand(5, 3), "v": rand(5, 3, seed=1), "zeros": np.zeros(1, np.float32)},
        (5,),
    ),
    "loop": (
        """({t}[N, 5] x) => ({t}[N, 5] y) {{
            y = Loop(trips, , x) <body = b (int64 i, bool c, {t}[N, 5] h) => (bool d, {t}[N, 5] o) {{
                d = Identity(c) a = MatMul(h, w) o = Tanh(a) }}>
        }}""",
        {"w": rand(5, 5), "trips": np.array(3)},
        (5,),
    ),
    "scan": (
        """({t}[N, 7, 5] x) => ({t}[7, N, 5] y) {{
            z = Transpose<perm = [1, 0, 2]>(x) h0 = Gather(z, zero)
            h, y = Scan<num_scan_inputs = 1, body = b ({t}[N, 5] s, {t}[N, 5] xt) => ({t}[N, 5] n, {t}[N, 5] o) {{
                a = MatMul(s, w) c = Add(a, xt) n = Tanh(c) o = Identity(n) }}>(h0, z)
        }}""",
        {"w": rand(5, 5), "zero": np.array(0)},
        (7, 5),
    ),
    "sequence": (
        "({t}[N, 5] x) => ({t}[N, 3] y) {{ a = MatMul(x, w) r = Relu(a) s = SequenceConstruct(r, a) "
        "y = SequenceAt(s, zero) }}",
        {"w": rand(5, 3), "zero": np.array(0)},
        (5,),
    ),
    "ends": (
        "({t}[N, 5] x) => ({t}[N, 5] x, {t}[5, 3] w, {t}[N, 3] y) {{ a = MatMul(x, w) y = Relu(a) }}",
        {"w": rand(5, 3)},
        (5,),
    ),
    "some nodes": (
        "(float[N, 5] x) => (float[N, 3] y) {{ n = Cast<to = {code}>(x) a = MatMul(n, w) r = Relu(a) "
        "b = Cast<to = 1>(r) y = MatMul(b, v) }}",
        {"w": rand(5, 7), "v": rand(7, 3).astype(np.float64)},
        (5,),
    ),
    "dequantized": (
        "({t}[N, 5] x) => ({t}[N, 3] y) {{ w = DequantizeLinear(q, step) a = MatMul(x, w) y = Sigmoid(a) }}",
        {"q": np.arange(-7, 8, dtype=np.int8).reshape(5, 3), "step": np.float32(0.25)},
        (5,),
    ),
}  # fmt: skip


def made(name: str, narrow: bool) -> onnx.ModelProto:
    """Return a model in bfloat16, or the same numbers in float32; float64 arrays stand for weights kept in float32."""
    text, weights, _ = GRAPHS[name]
    numbers = ", ".join(f"{number:g}" for number in np.linspace(-2, 2, 25).astype(NARROW).astype(np.float32))
    text = text.format(t="bfloat16" if narrow else "float", code=16 if narrow else 1, numbers=numbers)
    stored = {key: _stored(np.asarray(value), narrow) for key, value in weights.items()}
    proto = model(text, stored, opset=21)
    for attribute in (a for node in proto.graph.node for a in node.attribute if narrow and a.name == "value"):
        array = onnx.numpy_helper.to_array(attribute.t).astype(NARROW)  # the parser knows no numbers in bfloat16
        attribute.t.CopyFrom(onnx.numpy_helper.from_array(array))
    return proto


def _stored(value: Array, narrow: bool) -> Array:
    if value.dtype == np.float64:
        return value.astype(np.float32)
    if value.dtype != np.float32:
        return value
    rounded = value.astype(NARROW)
    return rounded if narrow else rounded.astype(np.float32)


def data(name: str) -> Array:
    return rand(N, *GRAPHS[name][2], seed=9).astype(NARROW).astype(np.float32)


def recorded(proto: Any, X: Any, **options: Any) -> Recording:
    recorder = Recorder(proto, keep_outputs=True, statistics=("square", "firing", "range", "histogram"), **options)
    recorder.update(X)
    return recorder.result()


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("given", [np.float32, NARROW])
def test_the_same_as_in_float32_with_the_same_weights(name: str, given: Any) -> None:
    X = data(name)
    narrow, wide = (
        recorded(made(name, True), X.astype(given) if name != "some nodes" else X),
        recorded(made(name, False), X),
    )
    assert (narrow.precision, wide.precision) == (NOTE, None)
    assert narrow.layers.keys() == wide.layers.keys()
    assert narrow.missing == wide.missing
    for layer, uses in wide.layers.items():
        for got, expected in zip(narrow.layers[layer], uses, strict=True):
            np.testing.assert_allclose(got.mean, expected.mean, rtol=0, atol=1e-5 * expected.mean.max())
            assert got.positions == expected.positions
    assert list(narrow.outputs) == list(wide.outputs) == [o.name for o in made(name, True).graph.output]
    for output, values in wide.outputs.items():
        assert narrow.outputs[output].dtype == np.float32
        np.testing.assert_allclose(narrow.outputs[output], values, rtol=0, atol=1e-5 * np.abs(values).max())


def test_the_numbers_of_numpy() -> None:
    weights = {key: value.astype(NARROW).astype(np.float64) for key, value in GRAPHS["dense"][1].items()}
    X = data("dense")
    recorder = Recorder(made("dense", True), activation="pre")
    recorder.update(X)
    (statistics,) = recorder.result().layers["w"]
    expected = np.abs(X.astype(np.float64) @ weights["w"] + weights["b"]).mean(axis=0)
    np.testing.assert_allclose(statistics.mean, expected, rtol=1e-6)


def test_x_is_rounded_as_the_model_takes_it() -> None:
    X = data("dense") * np.float32(1.001)
    rounded = recorded(made("dense", True), X.astype(NARROW))
    given = recorded(made("dense", True), X)
    np.testing.assert_array_equal(given.outputs["y"], rounded.outputs["y"])


@pytest.mark.parametrize("value", [np.nan, 3.4e38])
def test_what_bfloat16_cannot_hold_is_refused(value: float) -> None:
    X = data("dense")
    X[3, 2] = value
    with pytest.raises(DataError, match=r"input 'x' bfloat16 \[N, 5\]"):
        recorded(made("dense", True), X)
    if np.isnan(value):
        with pytest.raises(DataError, match=r"got 1 NaN, the first at \[3, 2\]"):
            recorded(made("dense", True), X.astype(NARROW))


def test_moves_and_casts_alone_are_run_as_they_are() -> None:
    """Weights kept in bfloat16 and computed with in float32: nothing is widened that the model does not widen."""
    proto = model(
        "(float[N, 5] x) => (float[N, 3] y) { wide = Cast<to = 1>(w) a = MatMul(x, wide) y = Relu(a) }",
        {"w": rand(5, 3).astype(NARROW)},
    )
    assert recorded(proto, data("dense")).precision is None


def test_bits_that_are_looked_at_stay_bits() -> None:
    """What reads a bfloat16 as an integer must not find a float32 there: the error stays that of onnxruntime."""
    proto = model(
        "(bfloat16[N, 5] x) => (int16[N, 3] y) { a = MatMul(x, w) y = BitCast<to = 5>(a) }",
        {"w": rand(5, 3).astype(NARROW)}, opset=26,
    )  # fmt: skip
    with pytest.raises(RunError, match="onnxruntime cannot load the model"):
        Recorder(proto)


def test_in_a_child_process_and_in_batches() -> None:
    X = data("dense")
    whole = recorded(made("dense", True), X)
    cut = recorded(made("dense", True), X, isolate=True, batch_size=7)
    assert cut.precision == NOTE
    np.testing.assert_allclose(cut.outputs["y"], whole.outputs["y"], atol=1e-6)
    for name, (statistics,) in whole.layers.items():
        np.testing.assert_allclose(cut.layers[name][0].mean, statistics.mean, rtol=1e-6)


def test_saved_merged_and_in_the_audit(tmp_path: Path) -> None:
    proto, X = load(made("dense", True)), data("dense")
    first, second = Recorder(proto), Recorder(proto, run=False)
    first.update(X)
    second.merge(first)
    assert second.result().precision == NOTE
    assert Recorder.restore(proto, first.save(tmp_path / "r.npz")).result().precision == NOTE
    audit = wua.analyze(made("dense", True), X)
    assert audit.to_dict()["recording"]["precision"] == NOTE
    assert NOTE in audit.to_html()
    assert wua.analyze(made("dense", False), X).to_dict()["recording"]["precision"] is None


def test_weights_stay_on_disk_in_16_bits(tmp_path: Path) -> None:
    proto = model(
        "(bfloat16[N, 500] x) => (bfloat16[N, 300] y) { a = MatMul(x, w) y = Relu(a) }",
        {"w": rand(500, 300).astype(NARROW)},
    )
    onnx.save(proto, tmp_path / "m.onnx", save_as_external_data=True, location="m.data", size_threshold=0)
    recorder = Recorder(tmp_path / "m.onnx")
    recorder.update(rand(N, 500))
    assert recorder.result().precision == NOTE
    assert len(recorder._plan.model) < 2000


def test_a_network_of_pytorch_against_itself_in_float32(tmp_path: Path) -> None:
    """Its weights in bfloat16, computed by PyTorch in float32: outputs, and means taken by hooks."""
    torch.manual_seed(0)
    narrow = Network().eval().bfloat16()
    x = torch.randn(6, 3, 8, 8).bfloat16()
    path = wua.convert(narrow, tmp_path / "m.onnx", x)
    found = recorded(path, x)
    assert (found.precision, found.missing) == (NOTE, {})
    wide, seen = Network().eval(), dict[str, torch.Tensor]()
    wide.load_state_dict(narrow.state_dict())
    wide.norm.register_forward_hook(lambda _, __, output: seen.update(conv=torch.relu(output).mean((0, 2, 3))))
    wide.encoder.linear1.register_forward_hook(
        lambda _, __, output: seen.update({"encoder.linear1": torch.nn.functional.gelu(output).abs().mean((0, 1))})
    )
    with torch.no_grad():
        expected = wide(x.float()).numpy()
    (output,) = found.outputs.values()
    np.testing.assert_allclose(output, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    for name, means in seen.items():
        np.testing.assert_allclose(found.layers[name][0].mean, means.numpy(), rtol=1e-4, atol=1e-6)


class Network(torch.nn.Module):
    """An image network with a block of attention."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.BatchNorm2d(8)
        self.encoder = torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, activation="gelu")
        self.head = torch.nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = torch.relu(self.norm(self.conv(x))).flatten(2).transpose(1, 2)
        return self.head(self.encoder(rows).mean(1))  # type: ignore[no-any-return] # calls of modules are untyped


@pytest.mark.parametrize(("sign", "macs"), [(1, 15), (-1, 35)])
def test_an_observed_count_takes_the_branch_that_ran(sign: int, macs: int) -> None:
    text = """(bfloat16[N, 5] x, bfloat16[1] zero) => (bfloat16[N, M] y) {
        s = ReduceSum<keepdims = 0>(x) go = Greater(s, zero)
        y = If(go) <then_branch = t () => (bfloat16[N, 3] p) { p = MatMul(x, w) },
                    else_branch = e () => (bfloat16[N, 7] q) { q = MatMul(x, v) }>
    }"""
    proto = model(text, {"w": rand(5, 3).astype(NARROW), "v": rand(5, 7).astype(NARROW)})
    feeds = {"x": np.full((2, 5), sign, np.float32), "zero": np.zeros(1, np.float32)}
    report = wua.cost(proto, feeds, observe=True)
    assert report.observed is not None
    assert (report.observed.error, report.macs) == (None, macs)
