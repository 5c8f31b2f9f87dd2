"""What a training has gradients for: the trainable parameters, and the values on their way to an output.

Trainable (convention 13) is a floating-point constant of at least one dimension that is

- the weight or the bias of a layer, by its place among the inputs of the operator (`_PLACES`), or
- added to, subtracted from, multiplied with or dividing what a trainable layer computed, and varies along one axis
  only, as a bias or a scale does (a mask, a table of positions or of rotations varies along two), or
- named a parameter by PyTorch's exporter.

What the exporter names a buffer is not, neither are the statistics of a BatchNormalization, scales and zero points of
quantization, and weights in integers. A constant that is computed from others stands for those it is computed from.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import onnx_ir as ir

from wua_onnx.model.graph import Model

MS = "com.microsoft"
FLOATS = frozenset({ir.DataType.FLOAT, ir.DataType.DOUBLE, ir.DataType.FLOAT16, ir.DataType.BFLOAT16})

# Where the operators of a layer take weights and biases.
# fmt: off
_PLACES: dict[tuple[str, str], tuple[int, ...]] = {
    **dict.fromkeys((("", "Conv"), ("", "ConvTranspose"), ("", "CausalConvWithState"), (MS, "FusedConv"),
                     (MS, "NhwcConv"), (MS, "NhwcFusedConv"), (MS, "GemmFastGelu"), (MS, "Attention"),
                     (MS, "PackedAttention"), ("", "BatchNormalization"), ("", "InstanceNormalization"),
                     ("", "GroupNormalization"), ("", "LayerNormalization"), (MS, "GroupNorm")), (1, 2)),
    **dict.fromkeys((("", "Gemm"), (MS, "FusedGemm"), ("", "Attention"), ("", "LinearAttention"),
                     (MS, "MultiHeadAttention")), (0, 1, 2)),
    **dict.fromkeys((("", "MatMul"), (MS, "FusedMatMul"), (MS, "TransposeMatMul")), (0, 1)),
    **dict.fromkeys((("", "RMSNormalization"), ("", "SimplifiedLayerNormalization"), (MS, "BiasGelu"),
                     (MS, "FastGelu"), (MS, "BiasAdd"), (MS, "BiasDropout"), (MS, "BiasSplitGelu"),
                     ("", "PRelu")), (1,)),
    **dict.fromkeys((("", "RNN"), ("", "GRU")), (1, 2, 3)),
    ("", "LSTM"): (1, 2, 3, 7),
    ("", "Einsum"): tuple(range(16)),
    ("", "Gather"): (0,),
    ("", "DeformConv"): (1, 3),
    (MS, "SkipLayerNormalization"): (2, 3, 4),
    (MS, "SkipSimplifiedLayerNormalization"): (2, 3),
    (MS, "SkipGroupNorm"): (1, 2, 4),
    (MS, "EmbedLayerNormalization"): (2, 3, 4, 5, 6),
    (MS, "MatMulNBits"): (5,),
    (MS, "MoE"): (2, 3, 4, 5, 6, 7),
}
# fmt: on
_SHIFTS_AND_SCALES = frozenset({"Add", "Sub", "Mul", "Div"})
# Their outputs do not change with the values of their inputs, or are whole numbers in disguise.
_NOT_DIFFERENTIABLE = frozenset(
    {"Shape", "Size", "EyeLike", "RandomNormalLike", "RandomUniformLike", "Bernoulli", "Multinomial"}
    | {"DequantizeLinear", "QuantizeLinear", "ArgMax", "ArgMin", "NonZero"}
)
_KIND = "pkg.torch.export.graph_signature.InputSpec.kind"  # what PyTorch's exporter writes beside an initializer


@dataclass(frozen=True, slots=True)
class Gradients:
    """What a training needs gradients of.

    Attributes:
        values: the values whose gradient is computed, trainable parameters included.
        trainable: the trainable parameters, each once.
    """

    values: frozenset[ir.Value]
    trainable: frozenset[ir.Value]

    @property
    def elements(self) -> int:
        """The number of trainable elements."""
        return sum(int(value.const_value.size) for value in self.trainable if value.const_value is not None)


class _Flow:
    """Which value depends on which, floating-point values only."""

    def __init__(self, model: Model, nodes: Iterable[ir.Node]) -> None:
        self.after: dict[ir.Value, list[ir.Value]] = {}
        self.before: dict[ir.Value, list[ir.Value]] = {}
        for node in nodes:
            for sources, targets in _edges(node):
                for source in sources:
                    for target in targets:
                        self.after.setdefault(source, []).append(target)
                        self.before.setdefault(target, []).append(source)


def _edges(node: ir.Node) -> Iterator[tuple[list[ir.Value], list[ir.Value]]]:
    """Yield groups of floating-point values, every value of the second computed from each of the first."""
    graphs = {name: a.as_graph() for name, a in node.attributes.items() if a.type == ir.AttributeType.GRAPH}
    if not graphs:
        if node.op_type not in _NOT_DIFFERENTIABLE:
            yield _floats(node.inputs), _floats(node.outputs)
        return
    for graph in graphs.values():
        first = {"Loop": 2, "Scan": len(node.inputs) - len(graph.inputs), "SequenceMap": 0}.get(node.op_type)
        carried = 1 if node.op_type == "Loop" else 0  # the body's condition comes before what it carries
        results = list(graph.outputs)[carried:]
        yield from (([a], [b]) for a, b in _pairs(results, node.outputs))
        if first is None:
            continue
        inner = list(graph.inputs)[first if node.op_type == "Loop" else 0 :]
        yield from (([a], [b]) for a, b in _pairs(list(node.inputs)[max(first, 0) :], inner))
        if node.op_type in ("Loop", "Scan"):
            states = len(inner) - (node.attributes.get_int("num_scan_inputs", 0) if node.op_type == "Scan" else 0)
            yield from (([a], [b]) for a, b in _pairs(results[:states], inner))


def _pairs(
    sources: Iterable[ir.Value | None], targets: Iterable[ir.Value | None]
) -> Iterator[tuple[ir.Value, ir.Value]]:
    """Yield what corresponds by position, floating-point values only."""
    for source, target in zip(sources, targets, strict=False):
        if source is not None and target is not None and _is_float(source) and _is_float(target):
            yield source, target


def _is_float(value: ir.Value) -> bool:
    return value.dtype is None or value.dtype in FLOATS


def _floats(values: Iterable[ir.Value | None]) -> list[ir.Value]:
    return [value for value in values if value is not None and _is_float(value)]


def _reached(start: Iterable[ir.Value], edges: Mapping[ir.Value, list[ir.Value]]) -> set[ir.Value]:
    found = set(start)
    pending = list(found)
    while pending:
        for value in edges.get(pending.pop(), ()):
            if value not in found:
                found.add(value)
                pending.append(value)
    return found


def find(model: Model) -> Gradients:
    """Return what a training of `model` needs gradients of; no weight is read."""
    nodes = list(model.all_nodes())
    flow = _Flow(model, nodes)
    trainable = _roots(_in_layers(nodes, model), flow) | _named(nodes)
    needing = _reached(trainable, flow.after)
    trainable |= _roots(_beside(nodes, model, needing), flow)
    needing = _reached(trainable, flow.after)
    arriving = _reached(_floats(model.ir_model.graph.outputs), flow.before)
    return Gradients(frozenset(needing & arriving), frozenset(trainable & arriving))


def _in_layers(nodes: Iterable[ir.Node], model: Model) -> Iterator[ir.Value]:
    """Yield the constants that stand where a layer has its weights and biases."""
    for node in nodes:
        domain = "" if node.domain == "ai.onnx" else node.domain
        for index in _PLACES.get((domain, node.op_type), ()):
            value = node.inputs[index] if index < len(node.inputs) else None
            if node.outputs and value in model.constants and node.outputs[0] not in model.constants:
                yield value


def _named(nodes: Iterable[ir.Node]) -> set[ir.Value]:
    """Return what PyTorch's exporter names a parameter."""
    used = (value for node in nodes for value in node.inputs if value is not None)
    return {value for value in used if value.metadata_props.get(_KIND) == "PARAMETER" and _is_root(value)}


def _beside(nodes: Iterable[ir.Node], model: Model, needing: set[ir.Value]) -> Iterator[ir.Value]:
    """Yield the shifts and scales of what trainable layers computed."""
    for node in nodes:
        if node.op_type in _SHIFTS_AND_SCALES and len(node.inputs) == 2:
            for value, other in (node.inputs, reversed(node.inputs)):
                if value is not None and value in model.constants and other in needing and _varies_along_one(value):
                    yield value


def _varies_along_one(value: ir.Value) -> bool:
    return value.shape is not None and sum(dim != 1 for dim in value.shape) == 1


def _roots(values: Iterable[ir.Value], flow: _Flow) -> set[ir.Value]:
    """Return the initializers that constant `values` are, or are computed from, where they can be trained."""
    return {value for value in _reached(values, flow.before) if _is_root(value)}


def _is_root(value: ir.Value) -> bool:
    if value.const_value is None:
        producer = value.producer()
        if producer is None or producer.op_type != "Constant":
            return False
        value.const_value = ir.convenience.get_const_tensor(value)
    is_buffer = value.metadata_props.get(_KIND) in ("BUFFER", "CONSTANT_TENSOR")
    tensor = value.const_value
    return tensor is not None and tensor.dtype in FLOATS and len(tensor.shape) > 0 and not is_buffer
