"""Convolutions that only move values, as Keras cuts images into patches, as the operator that moves them."""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir


def cut_patches(model: ir.Model) -> None:
    """Write each convolution of the main graph that is a SpaceToDepth as one, in place.

    `keras.ops.image.extract_patches` multiplies by an identity matrix: no layer of the author's, and no parameters.
    """
    for node in list(model.graph):
        block = _block_of(node)
        if block is not None:
            moved = ir.node("SpaceToDepth", [node.inputs[0]], {"blocksize": block}, name=node.name)
            made, output = moved.outputs[0], node.outputs[0]
            made.name, made.shape, made.type = output.name, output.shape, output.type
            model.graph.insert_before(node, moved)
            ir.convenience.replace_all_uses_with(output, made, replace_graph_outputs=True)
            kernel = node.inputs[1]
            model.graph.remove(node, safe=True)
            if kernel is not None and not kernel.uses():
                del model.graph.initializers[str(kernel.name)]


def _block_of(node: ir.Node) -> int | None:
    """Return the size of the patches that a convolution cuts, without gaps, overlaps or a rest; None for others."""
    if node.op_type != "Conv" or len(node.inputs) != 2 or node.inputs[1] is None or node.inputs[0] is None:
        return None
    kernel, shape = node.inputs[1].const_value, _shape_of(node.inputs[0])
    if kernel is None or len(kernel.shape) != 4 or len(shape) != 4:
        return None
    outputs, channels, block, width = kernel.shape.numpy()
    sizes = [size for size in shape[2:] if isinstance(size, int) and size % block == 0]
    strides = list(node.attributes.get_ints("strides", [1, 1]))
    plain = not any(node.attributes.get_ints("pads", [])) and node.attributes.get_int("group", 1) == 1
    plain = plain and not node.attributes.get_string("auto_pad", "NOTSET").startswith("SAME")
    if not plain or width != block or block < 2 or strides != [block, block] or len(sizes) < 2:
        return None
    if outputs != math.prod((channels, block, block)) or set(node.attributes.get_ints("dilations", [1])) != {1}:
        return None
    identity = np.eye(outputs).reshape(block, block, channels, outputs).transpose(3, 2, 0, 1)
    return int(block) if np.array_equal(kernel.numpy(), identity) else None


def _shape_of(value: ir.Value) -> list[object]:
    """Return the shape of a value, or of what it is a Transpose of; [] where neither is known."""
    producer = value.producer()
    if value.shape is not None or producer is None or producer.op_type != "Transpose":
        return list(value.shape or ())
    source = producer.inputs[0]
    shape = list(source.shape or ()) if source is not None else []
    return [shape[axis] for axis in producer.attributes.get_ints("perm", [])] if shape else []
