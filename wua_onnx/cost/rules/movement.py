"""Operators that do no arithmetic: each is free for a stated reason; its bytes are counted all the same."""

from __future__ import annotations

from wua_onnx.cost.registry import free, rule
from wua_onnx.cost.value import Cost, Estimate
from wua_onnx.model.dims import Dim
from wua_onnx.model.node import NodeView, ShapeUnknown

free("the same elements in another shape", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze")
free("tells the shape only", "Shape", "Size")
free("makes a constant", "Constant", "ConstantOfShape", "EyeLike")
free(
    "moves data",
    *("CenterCropPad", "Concat", "DepthToSpace", "Expand", "Pad", "ReverseSequence", "Slice", "SpaceToDepth"),
    *("Split", "Tile", "Transpose", "Trilu"),
)
free("selects elements by index", "Gather", "GatherElements", "GatherND", "MaxUnpool", "Scatter", "TensorScatter")
free("selects elements by a mask", "Compress", "NonZero", "Where")
free("writes ones at given positions", "OneHot")
free("counts up positions", "Range")
free("changes the element type", "BitCast", "Cast", "CastLike")
free(
    "handles a list of tensors",
    *("ConcatFromSequence", "SequenceAt", "SequenceConstruct", "SequenceEmpty", "SequenceErase", "SequenceInsert"),
    *("SequenceLength", "SplitToSequence"),
)
free("handles a value that may be missing", "Optional", "OptionalGetElement", "OptionalHasElement")
free("works on text: no arithmetic", "RegexFullMatch", "StringConcat", "StringNormalizer", "StringSplit")


@rule("Dropout")
def dropout(node: NodeView) -> Cost | Estimate:
    """0: the identity outside training; in training mode compare = N and mul = 2·N, an estimate.

    scale · x · (u >= ratio), without the draw of u. https://onnx.ai/onnx/operators/onnx__Dropout.html
    """
    if node.opset >= 12:
        mode = node.const(2) if node.has(2) else False
        training = mode is None or bool(mode)
    else:
        training = node.opset < 7 and not node.attr("is_test", 0)
    return dropped(node.size(0)) if training else Cost()


def dropped(elements: Dim) -> Estimate:
    """Return the cost of dropping some of `elements` elements in training mode."""
    return Estimate(Cost(compare=1, mul=2) * elements, "training mode; the draw of a uniform number is not counted")


@rule("ScatterElements")
@rule("ScatterND")
def scatter(node: NodeView) -> Cost:
    """0 without a reduction; else one add, mul or compare for each update.

    https://onnx.ai/onnx/operators/onnx__ScatterND.html
    """
    reduction = node.attr("reduction", "none")
    name = reduction.decode() if isinstance(reduction, bytes) else reduction
    kind = {"none": None, "add": "add", "mul": "mul", "max": "compare", "min": "compare"}.get(name, "unknown")
    if kind == "unknown":
        raise ShapeUnknown("the reduction is none of add, mul, max and min")
    return Cost(**{kind: node.size(2)}) if kind else Cost()
