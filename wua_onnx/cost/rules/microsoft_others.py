"""com.microsoft: arithmetic that is neither fused, nor attention, nor quantised; and what LLM exporters write.

Specification: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
"""

from __future__ import annotations

from wua_onnx.cost.registry import free, rule
from wua_onnx.cost.rules._sizes import minus
from wua_onnx.cost.rules.activations import SIGMOID
from wua_onnx.cost.rules.contractions import gemm, matmul_macs
from wua_onnx.cost.rules.microsoft_fused import MS, function_of, fused_matmul
from wua_onnx.cost.rules.normalization import rms_norm_of
from wua_onnx.cost.rules.pooling import max_pool
from wua_onnx.cost.rules.quantization import int_macs
from wua_onnx.cost.rules.resize import interpolated
from wua_onnx.cost.rules.signal import FFT, fft_of
from wua_onnx.cost.rules.sorting import square_of, unique
from wua_onnx.cost.value import Cost
from wua_onnx.errors import ShapeError
from wua_onnx.model.dims import Dim, product
from wua_onnx.model.node import NodeView, ShapeUnknown

free("works on text: no arithmetic", "Tokenizer", domain=MS)
free("selects elements by index", "TorchEmbedding", domain=MS)
free("counts up positions", "Range", domain=MS)
free("the same elements", "SampleOp", domain=MS)

rule("NhwcMaxPool", domain=MS)(max_pool)
rule("MaxpoolWithMask", domain=MS)(max_pool)
rule("Unique", domain=MS, estimate="a sort: ceil(log2 N) comparisons for each of N elements")(unique)


@rule("CDist", domain=MS)
def cdist(node: NodeView) -> Cost:
    """mul = P·N, add = P·(2·N − 1) for P pairs of rows of N elements; special = P where the metric is euclidean."""
    (rows, width), others = node.shape(0), node.shape(1)[0]
    metric = node.attr("metric", "sqeuclidean")
    root = (metric.decode() if isinstance(metric, bytes) else metric) == "euclidean"
    per_pair = Cost(mul=width, add=width + minus(width, 1), special=int(root))
    return per_pair * (rows * others)


@rule("Inverse", domain=MS, estimate="Gauss and Jordan's elimination in place, without pivoting")
def inverse(node: NodeView) -> Cost:
    """For each M × M matrix: mul = M³ − M; add = M³ − M²; div = M."""
    size = square_of(node)
    cost = Cost(mul=size**3 - size, add=size**3 - size**2, div=size)
    return cost * product(node.shape(0)[:-2])


@rule("Rfft", domain=MS, estimate=FFT)
@rule("Irfft", domain=MS, estimate=FFT)
def rfft(node: NodeView) -> Cost:
    """mul = 2·n·ceil(log2 n), add = 3·n·ceil(log2 n) for each line of n real points."""
    if int(node.attr("signal_ndim", 1)) != 1:
        raise ShapeUnknown("transforms of more than one axis")
    real = node.shape(0) if node.op_type == "Rfft" else node.out_shape()
    return fft_of(real[-1], product(real[:-1]))


@rule("ComplexMul", domain=MS)
@rule("ComplexMulConj", domain=MS)
def complex_mul(node: NodeView) -> Cost:
    """mul = 2·N; add = N: 4 products and 2 sums for each pair of real and imaginary part."""
    return Cost(mul=2, add=1) * node.out_size()


@rule("IsAllFinite", domain=MS, by_dtype=False)
def is_all_finite(node: NodeView) -> Cost:
    """compare = elements of all inputs."""
    return sum((Cost(compare=node.size(index)) for index in range(len(node.node.inputs))), start=Cost())


@rule("DynamicTimeWarping", domain=MS, estimate="every cell has three neighbours; the way back is not counted")
def dynamic_time_warping(node: NodeView) -> Cost:
    """compare = 2·N; add = N: the cost of each cell, and the least of its neighbours."""
    return Cost(compare=2, add=1) * node.size(0)


@rule("ConvTransposeWithDynamicPads", domain=MS)
def conv_transpose_with_dynamic_pads(node: NodeView) -> Cost:
    """As ConvTranspose."""
    node.expect("input channels", node.shape(1)[0], node.shape(0)[1])
    return Cost(macs=node.size(0) * product(node.shape(1)[1:]), add=node.out_size() if node.has(3) else 0)


@rule("CropAndResize", domain=MS)
def crop_and_resize(node: NodeView) -> Cost:
    """As Resize over 2 axes for each output."""
    mode = node.attr("mode", "bilinear")
    return interpolated(mode.decode() if isinstance(mode, bytes) else mode, 2, node.out_size())


@rule("MulInteger", domain=MS, by_dtype=False)
def mul_integer(node: NodeView) -> Cost:
    """int_ops = N, and one for each element that a zero point is taken from."""
    return Cost(int_ops=node.out_size() + sum((node.size(i) for i in (0, 2) if node.has(i + 1)), start=0))


@rule("ReduceSumInteger", domain=MS, by_dtype=False)
def reduce_sum_integer(node: NodeView) -> Cost:
    """int_ops = N − G for G sums."""
    return Cost(int_ops=minus(node.size(0), node.out_size()))


@rule("MatMulInteger16", domain=MS, by_dtype=False)
def matmul_integer16(node: NodeView) -> Cost:
    """int_macs as MatMul."""
    return int_macs(matmul_macs(node, 0, 1))


@rule("FusedMatMulActivation", domain=MS)
def fused_matmul_activation(node: NodeView) -> Cost:
    """As FusedMatMul, and the activation function."""
    return fused_matmul(node) + function_of(node, "activation") * node.out_size()


@rule("GemmFloat8", domain=MS)
def gemm_float8(node: NodeView) -> Cost:
    """As Gemm, the activation function, and mul = N for each scale."""
    scales = sum(node.has(index) for index in (3, 4, 5))
    return gemm(node) + (function_of(node, "activation") + Cost(mul=scales)) * node.out_size()


def _rows(node: NodeView) -> Dim:
    return product(node.shape(0)[:-1])


@rule("MatMulBlockQuantizedFp4Weight", domain=MS)
@rule("MatMulBlockQuantizedFp8Weight", domain=MS)
def matmul_block_quantized(node: NodeView) -> Cost:
    """macs = rows × N × K; add for a bias; constant weights are scaled at load. A quantised: div, compare, mul = A."""
    eight = node.op_type.endswith("Fp8Weight")
    outputs = _rows(node) * node.shape(1)[0]
    rounded = Cost(div=1, compare=3, mul=1) * node.size(0) if eight and node.has(3) else Cost()
    return Cost(macs=outputs * node.shape(0)[-1], add=outputs if node.has(4 if eight else 5) else 0) + rounded


def _normed(node: NodeView) -> Cost:
    """Return the cost of the root-mean-square normalisation, after a residual, that a fused projection begins with."""
    added = Cost(add=node.size(0)) if node.has(1) else Cost()
    return added + (rms_norm_of(node.size(0), _rows(node)) if node.has(2) else Cost())


@rule("MatMulNBitsMlp", domain=MS)
def matmul_n_bits_mlp(node: NodeView) -> Cost:
    """macs = rows × 2·N × K; their biases; the activation function and mul = rows × N; the normalisation before."""
    outputs = _rows(node) * int(node.attr("N"))
    node.expect("inner dimensions", node.attr("K"), node.shape(0)[-1])
    adds = int(node.has(5)) + int(node.has(8))
    per_output = Cost(macs=node.attr("K") * 2, add=adds, mul=1) + function_of(node, "activation")
    return _normed(node) + per_output * outputs


@rule("MatMulNBitsQkv", domain=MS)
def matmul_n_bits_qkv(node: NodeView) -> Cost:
    """macs = rows × (Nq + 2·Nkv) × K; their biases; the normalisation before."""
    sizes = [int(node.attr(name)) for name in ("Nq", "Nkv", "Nkv")]
    node.expect("inner dimensions", node.attr("K"), node.shape(0)[-1])
    biased = sum(size for size, index in zip(sizes, (5, 8, 11), strict=True) if node.has(index))
    return _normed(node) + Cost(macs=sum(sizes) * node.attr("K"), add=biased) * _rows(node)


@rule("ScaledSiLU", domain=MS)
def scaled_silu(node: NodeView) -> Cost:
    """mul = 2·N; add = 2·N; special = N; div = N: z · sigmoid(z), z = scale·x."""
    return (SIGMOID + Cost(mul=2)) * node.size(0)


@rule("GatedAdd", domain=MS)
def gated_add(node: NodeView) -> Cost:
    """mul = N; add = N: x + y·gate."""
    return Cost(mul=1, add=1) * node.size(0)


@rule("GatedRMSNorm", domain=MS)
def gated_rms_norm(node: NodeView) -> Cost:
    """As RMSNormalization over groups as long as the scale; SiLU or sigmoid of the gate; mul = N."""
    elements, length = node.size(0), node.size(1)
    if not isinstance(length, int) or length < 1:
        raise ShapeUnknown("the size of a group is unknown")
    name = node.attr("activation", "silu")
    silu = (name.decode() if isinstance(name, bytes) else name) != "sigmoid"
    return rms_norm_of(elements, elements // length) + (SIGMOID + Cost(mul=2 if silu else 1)) * elements


@rule("BranchwiseRMSNorm", domain=MS)
def branchwise_rms_norm(node: NodeView) -> Cost:
    """As RMSNormalization over each branch; mul = N less without a scale."""
    elements, branches = node.size(0), int(node.attr("num_branches", 0))
    groups = _rows(node) * branches if branches else _rows(node)
    return rms_norm_of(elements, groups) + Cost(mul=0 if node.has(1) else elements * -1)


@rule("LinearAttentionGate", domain=MS)
def linear_attention_gate(node: NodeView) -> Cost:
    """For a: add = 2·N, special = 2·N, mul = N: scale · softplus(a + bias); for b a sigmoid."""
    gated = SIGMOID * node.size(3) if node.has(3) else Cost()
    return Cost(add=2, special=2, mul=1) * node.size(0) + gated


@rule("HyperConnectionPreMix", domain=MS)
def hyper_connection_pre_mix(node: NodeView) -> Cost:
    """mul = N; add = N − G; mul = G more where reduction_scale is not 1: N streams summed to G features."""
    outputs = node.out_size()
    scaled = outputs if node.attr("reduction_scale", 1.0) != 1.0 else 0
    return Cost(mul=node.size(0) + scaled, add=minus(node.size(0), outputs))


@rule("HyperConnectionPostMix", domain=MS)
def hyper_connection_post_mix(node: NodeView) -> Cost:
    """mul = add = N for the branch; macs = N × streams where stream_mix is given."""
    elements = node.size(0)
    if node.has(3) and len(node.shape(3)) < 2:
        raise ShapeError(f"{node.where}: stream_mix: expected at least 2 dimensions, got {node.shape(3)}")
    return Cost(mul=elements, add=elements, macs=elements * node.shape(3)[-1] if node.has(3) else 0)
