"""Convolutions as their author wrote them: along one axis, and transposed ones with padding of the output.

TensorFlow convolves a line as an image of height 1, and tf2onnx keeps the image.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import onnx_ir as ir

_RANK = 4  # of a batch of images
_HEIGHT = 2  # the axis of images, and of the kernels of Conv, that a line does not have


def pad_outputs(model: ir.Model) -> None:
    """Write padding below zero of a ConvTranspose, which onnxruntime refuses, as padding of the output, in place."""
    for node in model.graph.all_nodes():
        pads = list(node.attributes.get_ints("pads", [])) if node.op_type == "ConvTranspose" else []
        last = pads[len(pads) // 2 :]
        if min(last, default=0) < 0 <= min(pads[: len(last)]) and "output_padding" not in node.attributes:
            node.attributes["output_padding"] = ir.AttrInt64s("output_padding", [max(-pad, 0) for pad in last])
            kept = pads[: len(last)] + [max(pad, 0) for pad in last]
            node.attributes["pads"] = ir.AttrInt64s("pads", kept)


def straighten(model: ir.Model) -> None:
    """Write the convolutions of images of height 1 that were made of lines, and become lines again, along one axis.

    The nodes keep their names, the kernels too; each loses its axis of length 1.
    """
    lines = list(_lines(model.graph))
    while True:
        nodes = {node for line in lines for node in line.nodes}
        kept = [line for line in lines if all(_only_in(node.inputs[1], nodes) for node in line.nodes)]
        if len(kept) == len(lines):
            break
        lines = kept
    kernels = {node.inputs[1] for line in lines for node in line.nodes}
    for kernel in kernels:
        assert kernel is not None
        assert kernel.const_value is not None
        kernel.const_value = ir.Tensor(kernel.const_value.numpy().squeeze(_HEIGHT), name=kernel.name)
        kernel.shape = kernel.const_value.shape
    for line in lines:
        line.write(model.graph)


@dataclass(frozen=True, slots=True)
class _Line:
    """Convolutions in a row between what makes an image of a line and what makes a line of the image.

    Attributes:
        source: the line, its channels second where `turned` is False, else last.
        turned: whether a Transpose brings the channels forward.
        nodes: the convolutions.
        end: the Squeeze behind them.
    """

    source: ir.Value
    turned: bool
    nodes: tuple[ir.Node, ...]
    end: ir.Node

    def write(self, graph: ir.Graph) -> None:
        source = self.source
        if self.turned:
            name = f"{self.nodes[0].outputs[0].name}_line"  # several convolutions may read one image
            turn = ir.node("Transpose", [source], {"perm": [0, 2, 1]}, name=name)
            turn.outputs[0].name = name
            graph.insert_before(self.nodes[0], turn)
            source = turn.outputs[0]
        self.nodes[0].replace_input_with(0, source)
        for node in self.nodes:
            node.outputs[0].shape = None
            for name in ("strides", "dilations", "kernel_shape"):
                if name in node.attributes:
                    node.attributes[name] = ir.AttrInt64s(name, list(node.attributes.get_ints(name, []))[1:])
            if "pads" in node.attributes:
                node.attributes["pads"] = ir.AttrInt64s("pads", list(node.attributes.get_ints("pads", []))[1::2])
        made, output = self.nodes[-1].outputs[0], self.end.outputs[0]
        made.shape, made.type = output.shape, made.type or output.type
        name = str(output.name if output.is_graph_output() else made.name)
        ir.convenience.replace_all_uses_with(output, made, replace_graph_outputs=True)
        graph.remove(self.end, safe=True)
        made.name = name


def _lines(graph: ir.Graph) -> Iterator[_Line]:
    for end in graph:
        if end.op_type != "Squeeze" or _axes(end) != [_HEIGHT]:
            continue
        nodes: list[ir.Node] = []
        value = end.inputs[0]
        while value is not None and (node := value.producer()) is not None and _is_flat(node) and _single(value):
            nodes.insert(0, node)
            value = node.inputs[0]
        found = _source(value)
        if nodes and found is not None:
            yield _Line(found[0], found[1], tuple(nodes), end)


def _source(image: ir.Value | None) -> tuple[ir.Value, bool] | None:
    """Return the line that `image` was made of, and whether its channels were last; None where it was no line."""
    node = image.producer() if image is not None else None
    turned = node is not None and node.op_type == "Transpose"
    if node is not None and turned:
        if list(node.attributes.get_ints("perm", [])) != [0, 3, 1, 2] or node.inputs[0] is None:
            return None
        node = node.inputs[0].producer()
    if node is None or node.op_type != "Unsqueeze" or _axes(node) != [1 if turned else _HEIGHT]:
        return None
    return (node.inputs[0], turned) if node.inputs[0] is not None else None


def _is_flat(node: ir.Node) -> bool:
    """Return whether the node convolves images with constant kernels of height 1, without padding there."""
    if node.op_type != "Conv" or node.inputs[1] is None or node.inputs[1].const_value is None:
        return False
    shape = node.inputs[1].const_value.shape.numpy()
    pads = list(node.attributes.get_ints("pads", [0, 0, 0, 0]))
    padded = node.attributes.get_string("auto_pad", "NOTSET") != "NOTSET"
    return len(shape) == _RANK and shape[_HEIGHT] == 1 and not padded and not any(pads[::2])


def _single(value: ir.Value) -> bool:
    return len(value.uses()) == 1 and not value.is_graph_output()


def _only_in(kernel: ir.Value | None, nodes: set[ir.Node]) -> bool:
    return kernel is not None and all(use.node in nodes and use.idx == 1 for use in kernel.uses())


def _axes(node: ir.Node) -> list[int]:
    """Return the axes that a Squeeze or an Unsqueeze takes from images, or gives them."""
    value = node.inputs[1].const_value if len(node.inputs) > 1 and node.inputs[1] is not None else None
    return [int(axis) % _RANK for axis in value.numpy().reshape(-1)] if value is not None else []
