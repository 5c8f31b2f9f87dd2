"""Images in onnxruntime's blocked layout, in which it computes convolutions: channels in blocks of 8 or 16.

What does not know the layout costs a reordering of the whole activation, more than the average itself. Poolings know it
where the channels fill their blocks, depthwise convolutions always.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import onnx_ir as ir

from wua_onnx.recording.taps import LONGEST

_BLOCK = 16  # channels; 8 without AVX-512, of which it is a multiple
_LONGEST_SIDE = 14  # of a block: longer ones are no faster, and their kernels grow
_RANK = 4  # samples, channels, height, width: in one and three dimensions images keep the usual layout
_KEEP = frozenset(
    {
        "Add",
        "BatchNormalization",
        "Clip",
        "HardSigmoid",
        "HardSwish",
        "LeakyRelu",
        "Mul",
        "Relu",
        "Sigmoid",
        "Sum",
        "Tanh",
    }
)
_STEPS = 8  # of a walk back to the convolution


def is_blocked(value: ir.Value) -> bool:
    """Return whether `value` is an image in the blocked layout: of a convolution, or of what keeps it there."""
    if value.dtype != ir.DataType.FLOAT or value.shape is None or len(value.shape) != _RANK:
        return False
    for _ in range(_STEPS):
        node = value.producer()
        if node is None or node.domain not in ("", "ai.onnx"):
            return False
        if node.op_type == "Conv":
            return True
        if node.op_type not in _KEEP:
            return False
        first = next((given for given in node.inputs if given is not None and given.producer() is not None), None)
        if first is None:
            return False
        value = first
    return False


def needs_convolution(channels: int, sizes: Sequence[int]) -> bool:
    """Return whether poolings of an image in the blocked layout would leave it, being of `channels` and `sizes`.

    Its blocks are then averaged by a depthwise convolution. Few channels are not kept in blocks at all.
    """
    if channels <= _BLOCK or channels % _BLOCK == 0:
        return False
    sides = block_sides(sizes)
    return min(sides) > 1 and prod(size // side for size, side in zip(sizes, sides, strict=True)) <= LONGEST


def block_sides(sizes: Sequence[int]) -> list[int]:
    """Return the sides of blocks that divide an image evenly, as large as a depthwise convolution computes fast."""
    return [next(side for side in range(min(size, _LONGEST_SIDE), 0, -1) if size % side == 0) for size in sizes]
