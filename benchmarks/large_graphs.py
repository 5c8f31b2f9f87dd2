"""Made-up graphs with module scopes, as an exporter writes them: many small nodes, so that only their number counts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

Scope = tuple[str, ...]
Shape = list[str | int]


class Graph:
    """A graph that grows node by node; weights are random, named by their module."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: dict[str, onnx.TensorProto] = {}
        self._draw = np.random.default_rng(0)

    def add(self, op: str, inputs: list[str], scope: Scope, **attributes: Any) -> str:
        """Add a node of module `scope`; return the name of its output."""
        output = f"v{len(self.nodes)}"
        node = helper.make_node(op, inputs, [output], name=f"node_{output}", **attributes)
        scopes = ["", *(".".join(scope[: depth + 1]) for depth in range(len(scope))), node.name]
        node.metadata_props.add(key="pkg.torch.onnx.name_scopes", value=repr(scopes))
        self.nodes.append(node)
        return output

    def weight(self, name: str, *shape: int) -> str:
        """Add a random weight and return its name."""
        values = self._draw.standard_normal(shape, dtype=np.float32) / 4
        self.weights[name] = numpy_helper.from_array(values, name)
        return name

    def constant(self, name: str, values: object) -> str:
        """Add a constant and return its name."""
        self.weights[name] = numpy_helper.from_array(np.asarray(values), name)
        return name

    def save(self, path: Path, shape: Shape, last: str, result: Shape) -> None:
        """Write the graph from input `x` to `last`."""
        ends = [
            helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, dims)
            for name, dims in (("x", shape), (last, result))
        ]
        graph = helper.make_graph(self.nodes, path.stem, ends[:1], ends[1:], list(self.weights.values()))
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
        path.write_bytes(model.SerializeToString())


def write_transformer(path: Path, blocks: int = 400, width: int = 16) -> None:
    """Write blocks of 25 nodes: attention of two heads and a perceptron over free batch and sequence."""
    graph, last = Graph(), "x"
    split, join = graph.constant("split", [0, 0, 2, width // 2]), graph.constant("join", [0, 0, width])
    scale = graph.constant("scale", np.float32(4))
    for index in range(blocks):
        block = ("h", str(index))
        attention, mlp, name = (*block, "attn"), (*block, "mlp"), ".".join(block)
        scales = [graph.weight(f"{name}.ln.{part}", width) for part in ("weight", "bias")]
        normal = graph.add("LayerNormalization", [last, *scales], (*block, "ln"))
        parts = []
        for part in "qkv":
            inner, own = (*attention, part), f"{name}.attn.{part}"
            product = graph.add("MatMul", [normal, graph.weight(f"{own}.weight", width, width)], inner)
            shifted = graph.add("Add", [product, graph.weight(f"{own}.bias", width)], inner)
            heads = graph.add("Reshape", [shifted, split], attention)
            parts.append(graph.add("Transpose", [heads], attention, perm=[0, 2, 3, 1] if part == "k" else [0, 2, 1, 3]))
        scores = graph.add("Div", [graph.add("MatMul", parts[:2], attention), scale], attention)
        context = graph.add("MatMul", [graph.add("Softmax", [scores], attention), parts[2]], attention)
        back = graph.add("Reshape", [graph.add("Transpose", [context], attention, perm=[0, 2, 1, 3]), join], attention)
        out = graph.add("MatMul", [back, graph.weight(f"{name}.attn.o.weight", width, width)], (*attention, "o"))
        middle = graph.add("Add", [out, last], block)
        wide = graph.add("MatMul", [middle, graph.weight(f"{name}.mlp.fc.weight", width, 2 * width)], (*mlp, "fc"))
        active = graph.add("Relu", [wide], mlp)
        slim = graph.add("MatMul", [active, graph.weight(f"{name}.mlp.out.weight", 2 * width, width)], (*mlp, "out"))
        last = graph.add("Add", [slim, middle], block)
    graph.save(path, ["batch", "seq", width], last, ["batch", "seq", width])


def write_unet(path: Path, depth: int = 5, blocks: int = 33, channels: int = 4) -> None:
    """Write stages of residual blocks down and up again, long edges from one way to the other: 2,000 nodes."""
    graph, skips = Graph(), list[str]()

    def convolution(value: str, scope: Scope, inputs: int) -> str:
        weight = graph.weight(f"{'.'.join(scope)}.weight", channels, inputs, 3, 3)
        return graph.add("Conv", [value, weight], scope, pads=[1, 1, 1, 1], kernel_shape=[3, 3])

    def stage(value: str, scope: Scope, inputs: int) -> str:
        for index in range(blocks):
            block = (*scope, "blocks", str(index))
            first = graph.add(
                "Sigmoid", [convolution(value, (*block, "conv1"), inputs if not index else channels)], block
            )
            second = graph.add("Relu", [convolution(first, (*block, "conv2"), channels)], block)
            value = graph.add("Relu", [graph.add("Add", [second, value], block) if index else second], block)
        return value

    value = "x"
    for level in range(depth):
        value = stage(value, ("down", str(level)), channels if level else 3)
        skips.append(value)
        value = graph.add("MaxPool", [value], ("down", str(level), "pool"), kernel_shape=[2, 2], strides=[2, 2])
    scales = graph.constant("scales", np.array([1, 1, 2, 2], np.float32))
    for level in range(depth):
        up = ("up", str(level))
        larger = graph.add("Resize", [value, "", scales], (*up, "resize"), mode="nearest")
        value = stage(graph.add("Concat", [larger, skips.pop()], up, axis=1), up, 2 * channels)
    for index in range(7):
        value = graph.add("Relu", [convolution(value, ("head", str(index)), channels)], ("head",))
    value = graph.add("Sigmoid", [value], ("head",))
    graph.save(path, ["batch", 3, 256, 256], value, ["batch", channels, 256, 256])


def write_layers(path: Path, layers: int = 10_000, width: int = 8) -> None:
    """Write a chain of products with a weight of its own each: as many layers as nodes."""
    graph, last = Graph(), "x"
    for index in range(layers):
        scope = ("stack", str(index))
        last = graph.add("MatMul", [last, graph.weight(f"stack.{index}.weight", width, width)], scope)
    graph.save(path, ["batch", width], last, ["batch", width])


LARGE: dict[str, Callable[[Path], None]] = {
    "unet_2000": write_unet,
    "transformer_10000": write_transformer,
    "layers_10000": write_layers,
}
