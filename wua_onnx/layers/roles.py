"""What a parameter that no layer owns is for: why it is not analysed."""

from __future__ import annotations

from collections.abc import Iterator

import onnx
import onnx_ir as ir

from wua_onnx._text import clean
from wua_onnx.model.graph import Model

_MICROSOFT = "com.microsoft"
_MOST = 1000  # nodes looked at for one parameter
_MOST_SCALED = 24  # between a parameter and the convolution that takes it for its weight
_SCALING = frozenset({"Cast", "Div", "Expand", "Mul", "Reshape", "Squeeze", "Transpose", "Unsqueeze"})

# Inputs whose names alone do not tell.
_BIASES = frozenset(
    {("Conv", 2), ("Gemm", 2), ("ConvTranspose", 2), ("DeformConv", 3), ("LSTM", 3), ("GRU", 3), ("RNN", 3)}
    | {("QLinearConv", 8), ("FusedConv", 2), ("FusedGemm", 2), ("NhwcConv", 2), ("NhwcFusedConv", 2), ("QGemm", 6)}
    | {("SkipLayerNormalization", 4), ("SkipSimplifiedLayerNormalization", 3), ("SkipGroupNorm", 4)}
    | {("DynamicQuantizeLSTM", 3), ("BiasGelu", 1), ("ConvTransposeWithDynamicPads", 3), ("AttnLSTM", 3)}
)
_NORMALISATION = "scale, shift or statistics of a normalisation"
_ROLES = {
    **dict.fromkeys(("BatchNormalization", "GroupNorm", "SkipGroupNorm"), _NORMALISATION),
    **dict.fromkeys(("InstanceNormalization", "GroupNormalization"), "scale or shift of a normalisation"),
    **dict.fromkeys(("LayerNormalization", "SkipLayerNormalization"), "scale or shift of a normalisation"),
    **dict.fromkeys(("EmbedLayerNormalization", "QEmbedLayerNormalization"), "scale or shift of a normalisation"),
    **dict.fromkeys(("RMSNormalization", "SimplifiedLayerNormalization"), "scale of a normalisation"),
    **dict.fromkeys(("SkipSimplifiedLayerNormalization", "GatedRMSNorm"), "scale of a normalisation"),
    **dict.fromkeys(("Add", "Sub", "Sum", "BiasAdd", "BiasSplitGelu", "BiasSoftmax"), "bias or constant shift"),
    **dict.fromkeys(("Mul", "Div", "Mean"), "constant scale"),
    **dict.fromkeys(("Clip", "Max", "Min"), "bound"),
    **dict.fromkeys(("Concat", "Expand", "ScatterND", "ScatterElements", "Scatter"), "constant part of an activation"),
    **dict.fromkeys(("Gather", "GatherElements", "GatherND", "Slice", "Split", "Tile"), "table of constants"),
    **dict.fromkeys(("RelativePositionBias", "RotaryEmbedding", "GemmaRotaryEmbedding"), "table of positions"),
    **dict.fromkeys(("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"), "threshold of a comparison"),
    **dict.fromkeys(("QuantizeLinear", "DequantizeLinear"), "quantization parameter"),
    "PRelu": "slope of an activation function",
    "Pad": "padding value",
    "Pow": "exponent",
    "Resize": "scales or region of a Resize",
    "Upsample": "scales or region of a Resize",
    "Where": "constant alternative",
}
_INTEGERS = {"QLinearAdd": "bias or constant shift", "QLinearMul": "constant scale"}
_QUANTIZED = "quantization parameter"
# What part of the name of an input says of it; the first that fits.
_NAMES = (
    ("zero_point", _QUANTIZED),
    ("scale", _QUANTIZED),
    ("absmax", _QUANTIZED),
    ("bias", "bias"),
    ("cos_cache", "table of positions"),
    ("sin_cache", "table of positions"),
    ("mask", "mask"),
    ("initial", "initial state"),
    ("past", "initial state"),
)
# Operators of com.microsoft that hold weights, and the names of their inputs.
_INPUTS = {
    "Attention": "input weights bias mask_index past attention_bias",
    "BiasDropout": "data bias residual",
    "DecoderMaskedMultiHeadAttention": "query key value mask_index attention_bias past_key past_value "
    "past_sequence_length beam_width cache_indirection bias",
    "DecoderMaskedSelfAttention": "input weights bias mask_index past attention_bias",
    "DynamicQuantizeLSTM": "X W R B sequence_lens initial_h initial_c P W_scale W_zero_point R_scale R_zero_point",
    "DynamicQuantizeMatMul": "A B b_scale b_zero_point bias",
    "FastGelu": "X bias",
    "GatherBlockQuantized": "data indices scales zero_points",
    "GemmFastGelu": "X W bias",
    "GroupQueryAttention": "query key value past_key past_value seqlens_k total_sequence_length cos_cache sin_cache",
    "LongformerAttention": "input weight bias mask global_weight global_bias",
    "MatMulBnb4": "A B absmax",
    "MatMulIntegerToFloat": "A B a_scale b_scale a_zero_point b_zero_point bias",
    "MatMulNBits": "A B scales zero_points g_idx bias",
    "MoE": "input router_probs fc1 fc1_bias fc2 fc2_bias fc3 fc3_bias",
    "MultiHeadAttention": "query key value bias key_padding_mask attention_bias past_key past_value",
    "PackedAttention": "input weights bias token_offset cumulative_sequence_length attention_bias",
    "PackedMultiHeadAttention": "query key value bias token_offset cumulative_sequence_length attention_bias",
    "QAttention": "input weight bias input_scale weight_scale mask_index input_zero_point weight_zero_point past",
    "QGemm": "A a_scale a_zero_point B b_scale b_zero_point C y_scale y_zero_point",
    "QLinearConv": "x x_scale x_zero_point w w_scale w_zero_point y_scale y_zero_point B",
    "QLinearMatMul": "a a_scale a_zero_point b b_scale b_zero_point y_scale y_zero_point",
    "QMoE": "input router_probs fc1 fc1_scales fc1_bias fc2 fc2_scales fc2_bias fc3 fc3_scales fc3_bias "
    "fc1_zero_points fc2_zero_points fc3_zero_points",
    **dict.fromkeys(("QLinearAdd", "QLinearMul"), "A A_scale A_zero_point B B_scale B_zero_point C_scale C_zero_point"),
    **dict.fromkeys(
        ("QLinearLeakyRelu", "QLinearSigmoid", "QLinearSoftmax", "QLinearGlobalAveragePool", "QLinearAveragePool"),
        "X X_scale X_zero_point Y_scale Y_zero_point",
    ),
}
# They hold weights of which this package knows no more than that.
_UNKNOWN_LAYERS = frozenset(
    {"AttnLSTM", "GemmFloat8", "MatMulBlockQuantizedFp4Weight", "MatMulBlockQuantizedFp8Weight", "MatMulFpQ4"}
    | {"MatMulNBitsMlp", "MatMulNBitsQkv", "QOrderedMatMul", "SparseToDenseMatMul", "WordConvEmbedding"}
)


def role(value: ir.Value, model: Model) -> str:
    """Return what a parameter that no layer owns is for."""
    inner = [use for use in value.uses() if use.node.graph is not model.ir_model.graph]
    if not inner and not any(use.node in model.reachable for use in value.uses()):
        return "used only by nodes that reach no output"
    uses = list(_uses(value, model))
    if not uses:
        return "a result of the model is computed from it alone"
    reason = min((role_of(node, index) for node, index in uses), key=is_unknown)
    return _scaled_weight([node for node, _ in uses]) or reason if reason == _ROLES["Mul"] else reason


def _scaled_weight(nodes: list[ir.Node]) -> str | None:
    """Return which convolution's weight is made of a parameter and the data by `nodes`; None where none's is."""
    pending, seen = list(nodes), set(nodes)
    while pending and len(seen) < _MOST_SCALED:
        for output in pending.pop().outputs:
            for use in output.uses():
                if use.node.op_type in ("Conv", "ConvTranspose") and use.idx == 1:
                    return f"weight of {use.node.op_type} that the data scales: this kind of layer is not analysed yet"
                if use.node.op_type in _SCALING and use.node not in seen:
                    seen.add(use.node)
                    pending.append(use.node)
    return None


def role_of(node: ir.Node, index: int) -> str:
    """Return what input `index` of `node` is for, where it is constant and no weight that a layer owns."""
    op = clean(node.op_type)
    if (node.op_type, index) in _BIASES:
        return "bias"
    if node.domain == _MICROSOFT and node.op_type in _UNKNOWN_LAYERS:
        return f"weight of {op}: this kind of layer is not analysed yet"
    name = _name(node, index)
    if node.domain in ("", "ai.onnx", _MICROSOFT):
        if node.op_type in _ROLES:
            return _ROLES[node.op_type]
        if node.op_type in _INTEGERS and index in (0, 3):
            return _INTEGERS[node.op_type]
        for part, meaning in _NAMES:
            if name is not None and part in name.lower():
                return meaning
    if name is None:
        return f"weight of {op}: this kind of layer is not analysed yet"
    return f"constant input {name} of {op}, which holds no weights there"


def is_unknown(reason: str) -> bool:
    """Return whether `reason`, from `role`, is that of a weight of a kind of layer that is not known."""
    return reason.endswith("not analysed yet")


def _uses(value: ir.Value, model: Model) -> Iterator[tuple[ir.Node, int]]:
    """Yield where `value`, or what is computed from constants with it, meets something that depends on the data."""
    pending, seen = [value], {value}
    while pending and len(seen) < _MOST:
        latest = pending.pop()
        carried = [state for state, start in model.carried.items() if start is latest]
        seen.update(carried)
        pending.extend(carried)
        for use in () if carried else latest.uses():
            outputs = [output for output in use.node.outputs if output not in seen]
            if not all(output in model.constants for output in use.node.outputs):
                yield use.node, use.idx
            elif use.node.op_type not in ("QuantizeLinear", "DequantizeLinear") or use.idx == 0:
                seen.update(outputs)
                pending.extend(outputs)
            else:
                yield use.node, use.idx


def _name(node: ir.Node, index: int) -> str | None:
    """Return what the specification calls an input; None for an operator without one."""
    if node.domain == _MICROSOFT:
        names = _INPUTS.get(node.op_type, "").split()
        return names[index] if index < len(names) else None
    if node.domain not in ("", "ai.onnx") or not onnx.defs.has(node.op_type):
        return None
    inputs = onnx.defs.get_schema(node.op_type).inputs
    return inputs[min(index, len(inputs) - 1)].name if inputs else None
