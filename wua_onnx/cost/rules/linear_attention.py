"""Operators with a running state: linear attention and causal convolution."""

from __future__ import annotations

from wua_onnx.cost.registry import rule
from wua_onnx.cost.rules.activations import SIGMOID
from wua_onnx.cost.rules.attention import part
from wua_onnx.cost.value import Cost
from wua_onnx.model.dims import product
from wua_onnx.model.node import NodeView


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


@rule("LinearAttention")
@rule("LinearAttention", domain="com.microsoft")
def linear_attention(node: NodeView) -> Cost:
    """macs = tokens × d_k·d_v × (kv heads + query heads), kv heads once more for delta; mul for scale and decay.

    S += k ⊗ v for each kv head, qᵀ·S for each query head. gated: special = size of decay, mul = size of S a token;
    delta: v − Sᵀ·k is add, times beta is mul. https://onnx.ai/onnx/operators/onnx__LinearAttention.html
    """
    batch, tokens, _ = node.shape(0)
    heads, kv_heads = node.attr("q_num_heads"), node.attr("kv_num_heads")
    key = part(node, node.shape(0)[2], heads, "q_num_heads")
    value = part(node, node.shape(2)[2], kv_heads, "kv_num_heads")
    rule_name = _text(node.attr("update_rule", b"gated_delta"))
    steps, state = batch * tokens, key * value
    outputs = max(heads, kv_heads)  # where a query head serves several kv heads each of these has an output
    cost = Cost(macs=state * (outputs + kv_heads), mul=value * outputs)
    if "gated" in rule_name:
        cost += Cost(mul=state * kv_heads)
    if "delta" in rule_name:
        cost += Cost(macs=state * kv_heads, add=value * kv_heads, mul=value * kv_heads)
    return cost * steps + Cost(special=node.size(4) if "gated" in rule_name else 0)


@rule("CausalConvWithState")
@rule("CausalConvWithState", domain="com.microsoft")
@rule("VarlenCausalConvWithState", domain="com.microsoft")
def causal_conv_with_state(node: NodeView) -> Cost:
    """macs = elements of the output × kernel; add for a bias; SiLU where `activation` names it.

    https://onnx.ai/onnx/operators/onnx__CausalConvWithState.html
    """
    outputs, silu = node.size(0), _text(node.attr("activation", b"none")) in ("silu", "swish")
    bias = 3 if node.op_type.startswith("Varlen") else 2
    cost = Cost(macs=product(node.shape(1)[2:]), add=1 if node.has(bias) else 0)
    return (cost + (SIGMOID + Cost(mul=1) if silu else Cost())) * outputs
