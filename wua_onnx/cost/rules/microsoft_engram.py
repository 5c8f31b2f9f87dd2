"""com.microsoft: Engram's hashes and gate, and products with a sparse matrix.

Specification: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
"""

from __future__ import annotations

from wua_onnx.cost.registry import rule
from wua_onnx.cost.rules.activations import SIGMOID
from wua_onnx.cost.rules.microsoft_fused import MS, fused_matmul
from wua_onnx.cost.rules.normalization import rms_norm_of
from wua_onnx.cost.value import Cost
from wua_onnx.errors import ShapeError
from wua_onnx.model.dims import product
from wua_onnx.model.node import NodeView

rule("SparseToDenseMatMul", domain=MS, estimate="every element of A counts, zeros too")(fused_matmul)


@rule("EngramGate", domain=MS)
def engram_gate(node: NodeView) -> Cost:
    """macs = N; two RMSNormalizations; then for each of G gates a root and a sigmoid, and mul = N by the values.

    gate = sigmoid(sign(dot)·sqrt(max(|dot|, 1e-6))) with dot = sum(key·query) / sqrt(hidden size);
    G = tokens × connections.
    """
    shape = node.shape(0)
    elements, gates = product(shape), product(shape[:-1])
    norms = 3 if len(node.node.outputs) > 1 and node.node.outputs[1].name else 2
    gate = Cost(div=1, add=1, compare=2, special=1, mul=1) + SIGMOID  # sign and max are comparisons, |dot| an add
    return Cost(macs=elements, mul=elements) + rms_norm_of(elements, gates) * norms + gate * gates


@rule("NGramHashMapping", domain=MS, by_dtype=False, estimate="no sequence ends inside another")
def ngram_hashes(node: NodeView) -> Cost:
    """int_ops = tokens × (2·K − 1 + (K − 1) × heads): K products, K − 1 xors, a remainder for each hash, its offset."""
    most, heads = int(node.attr("max_ngram_size", 0)), int(node.attr("n_head_per_ngram", 0))
    if most < 2 or heads < 1:
        raise ShapeError(f"{node.where}: max_ngram_size: expected at least 2 and a head for each, got {most}, {heads}")
    each = 2 if node.has(4) else 1
    return Cost(int_ops=product(node.shape(0)) * (2 * most - 1 + (most - 1) * heads * each))


__all__ = ["engram_gate", "ngram_hashes"]
