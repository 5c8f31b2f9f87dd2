"""Small models of the kinds people use, each with data: 37 samples."""

from __future__ import annotations

import numpy as np
import onnx

from ..layers.graphs import MICROSOFT, Array, model, rand, run, session  # noqa: TID252 - tests are not installed

N = 37
__all__ = ["CASES", "MICROSOFT", "Array", "N", "images", "mlp", "model", "rand", "resnet", "run", "session", "vit"]


def mlp(opset: int = 21) -> onnx.ModelProto:
    return model(
        "(float[N, 5] x) => (float[] y) { a = Gemm(x, w, b) r = Relu(a) "
        "c = MatMul(r, v) t = Tanh(c) y = MatMul(t, u) }",
        {"w": rand(5, 7), "b": rand(7), "v": rand(7, 11), "u": rand(11, 3)},
        opset=opset,
    )


RESNET = """(float[N, 3, 17, 13] x) => (float[] y) {
    a = Conv<kernel_shape = [3, 3], pads = [1, 1, 1, 1], strides = [2, 2]>(x, w1) n = BatchNormalization(a, s, b, m, v)
    r = Relu(n)
    c = Conv<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>(r, w2, b) q = Relu(c)
    d = Conv<kernel_shape = [3, 3], pads = [1, 1, 1, 1], group = 5>(q, w3)
    e = Add(d, r) f = Relu(e)
    g = GlobalAveragePool(f) h = Flatten(g) y = Gemm<transB = 1>(h, w4, b4)
}"""


def resnet(opset: int = 21, shape: str = "N, 3, 17, 13") -> onnx.ModelProto:
    weights = {"w1": rand(5, 3, 3, 3), "w2": rand(5, 5, 3, 3), "w3": rand(5, 1, 3, 3), "w4": rand(7, 5), "b4": rand(7)}
    norm = {"s": rand(5), "b": rand(5, seed=1), "m": rand(5, seed=2), "v": np.abs(rand(5, seed=3)) + 0.5}
    return model(RESNET.replace("N, 3, 17, 13", shape), {**weights, **norm}, opset=opset)


# Attention over 7 tokens of 6 features in 2 heads; its projection works on merged axes, tokens first.
VIT = """(float[N, 3, 4, 12] x) => (float[] y) {
    p = Conv<kernel_shape = [4, 2], strides = [4, 2]>(x, wp, bp)
    pf = Reshape(p, s_flat) tokens = Transpose<perm = [0, 2, 1]>(pf)
    z = Add(tokens, position)
    n = LayerNormalization(z, g, gb)
    q0 = MatMul(n, wq) q1 = Add(q0, bq) q2 = Reshape(q1, s_heads) q = Transpose<perm = [0, 2, 1, 3]>(q2)
    k0 = MatMul(n, wk) k2 = Reshape(k0, s_heads) k = Transpose<perm = [0, 2, 3, 1]>(k2)
    v0 = MatMul(n, wv) v2 = Reshape(v0, s_heads) v = Transpose<perm = [0, 2, 1, 3]>(v2)
    qk = MatMul(q, k) a = Softmax<axis = -1>(qk) c0 = MatMul(a, v)
    c1 = Transpose<perm = [2, 0, 1, 3]>(c0) c = Reshape(c1, s_rows)
    o0 = Gemm<transB = 1>(c, wo, bo) o1 = Reshape(o0, s_tokens) o = Transpose<perm = [1, 0, 2]>(o1)
    z2 = Add(z, o)
    f0 = MatMul(z2, wf) f1 = Add(f0, bf) f2 = Div(f1, root) f3 = Erf(f2) f4 = Add(f3, one)
    f5 = Mul(f1, f4) f = Mul(f5, half)
    h0 = MatMul(f, wh) z3 = Add(h0, z2)
    y0 = ReduceMean<keepdims = 0>(z3, axes1) y = MatMul(y0, wy)
}"""  # fmt: skip


def vit() -> onnx.ModelProto:
    weights = {
        "wp": rand(6, 3, 4, 2),
        "bp": rand(6),
        "position": rand(1, 6, 6),
        "g": rand(6),
        "gb": rand(6),
        "bq": rand(6),
    }
    weights |= {name: rand(6, 6, seed=i) for i, name in enumerate(("wq", "wk", "wv", "wo"))}
    weights |= {"bo": rand(6), "wf": rand(6, 11), "bf": rand(11), "wh": rand(11, 6), "wy": rand(6, 5)}
    shapes = {"s_flat": [0, 6, -1], "s_heads": [0, 0, 2, 3], "s_rows": [-1, 6], "s_tokens": [6, -1, 6], "axes1": [1]}
    constants = {"root": np.float32(np.sqrt(2)), "one": np.float32(1), "half": np.float32(0.5)}
    return model(VIT, {**weights, **{k: np.array(v) for k, v in shapes.items()}, **constants})


def several_inputs() -> onnx.ModelProto:
    """Three inputs: two with samples, one (a table for all of them) without."""
    return model(
        """(float[N, 5] x, float[N, 7, 3] z, float[11, 5] table) => (float[] y, float[] s) {
            a = MatMul(x, w) r = Relu(a) t = MatMul(table, w) tr = Relu(t)
            c = Conv(z, k) d = Sigmoid(c) s = ReduceSum<keepdims = 0>(tr) m = ReduceMean<keepdims = 0>(d, last)
            y = Concat<axis = 1>(r, m)
        }""",
        {"w": rand(5, 2), "k": rand(3, 7, 2), "last": np.array([2])},
    )


def microsoft_only() -> onnx.ModelProto:
    return model(
        "(float[N, 5] x) => (float[] y) { y = com.microsoft.FusedMatMul(x, w) }",
        {"w": rand(5, 3)},
        opset=None,
        also=MICROSOFT,
    )


def mixed_domains() -> onnx.ModelProto:
    return model(
        "(float[N, 5] x) => (float[] y) { a = MatMul(x, w) g = com.microsoft.FastGelu(a, b) y = MatMul(g, v) }",
        {"w": rand(5, 7), "b": rand(7), "v": rand(7, 3)},
        also=MICROSOFT,
    )


def quantized() -> onnx.ModelProto:
    """What a tool for quantization leaves: every tensor stored in 8 bits, the layers in between in floats."""
    step = {"s": np.float32(0.03), "z": np.uint8(128), "ws": np.float32(0.01), "wz": np.int8(0)}
    return model(
        """(float[N, 3, 17, 13] x) => (float[] y) {
            xq = QuantizeLinear(x, s, z) xd = DequantizeLinear(xq, s, z)
            wd = DequantizeLinear(w, ws, wz) a = Conv(xd, wd, b) r = Relu(a)
            rq = QuantizeLinear(r, s, z) rd = DequantizeLinear(rq, s, z)
            vd = DequantizeLinear(v, ws, wz) c = Conv(rd, vd, b)
            cq = QuantizeLinear(c, s, z) cd = DequantizeLinear(cq, s, z)
            e = Add(rd, cd) eq = QuantizeLinear(e, s, z) y = DequantizeLinear(eq, s, z)
        }""",
        {
            **step,
            "w": np.random.default_rng(0).integers(-99, 99, (5, 3, 1, 1)).astype(np.int8),
            "v": np.random.default_rng(1).integers(-99, 99, (5, 5, 1, 1)).astype(np.int8),
            "b": np.zeros(5, np.float32),
        },
    )


def images(n: int = N) -> Array:
    return rand(n, 3, 17, 13, seed=9)


CASES: dict[str, tuple[onnx.ModelProto, dict[str, Array]]] = {
    "MLP": (mlp(), {"x": rand(N, 5, seed=9)}),
    "ResNet-like": (resnet(), {"x": images()}),
    "ViT-like": (vit(), {"x": rand(N, 3, 4, 12, seed=9)}),
    "several inputs": (
        several_inputs(),
        {"x": rand(N, 5, seed=9), "z": rand(N, 7, 3, seed=9), "table": rand(11, 5, seed=9)},
    ),
    "mixed domains": (mixed_domains(), {"x": rand(N, 5, seed=9)}),
    "quantized": (quantized(), {"x": images()}),
    "no layers": (microsoft_only(), {"x": rand(N, 5, seed=9)}),
}
