"""Removing heads from a model by setting weights to zero, and what its outputs then are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from wua_onnx.layers import find_layers
from wua_onnx.layers.attention import AttentionBlock, HeadMap, find_attention
from wua_onnx.layers.layer import Layer
from wua_onnx.layers.weights import positions, resolve
from wua_onnx.model import load

from .graphs import Array, run

# Which of the three parts of a bias that an operator adds itself.
_PART = {"query": 0, "key": 1, "value": 2}

_BEFORE_BIAS = ("Add", "Reshape", "Transpose", "Identity")


class Surgery:
    """A model whose weights can be set to zero by head."""

    def __init__(self, proto: onnx.ModelProto, feeds: Mapping[str, Array]) -> None:
        self.proto, self.feeds = _with_initializers(proto), feeds
        self.model = load(self.proto)
        self.layers: Mapping[str, Layer] = find_layers(self.model).by_name
        self.blocks = find_attention(self.model, self.layers)
        self.original = run(self.proto, feeds)[0]

    def without(self, *removed: Mapping[str, Array]) -> Array:
        """Return the first output with elements of initializers (by name, flat) set to zero."""
        proto = onnx.ModelProto()
        proto.CopyFrom(self.proto)
        for initializer in proto.graph.initializer:
            which = [elements[initializer.name] for elements in removed if initializer.name in elements]
            if which:
                array = onnx.numpy_helper.to_array(initializer).copy()
                array.reshape(-1)[np.concatenate(which)] = 0
                initializer.CopyFrom(onnx.numpy_helper.from_array(array, initializer.name))
        return np.asarray(run(proto, self.feeds)[0])

    def rows(self, block: AttentionBlock, heads: Iterable[int]) -> dict[str, Array]:
        """Return the weights that read the given heads' slices of the result."""
        chosen: dict[str, Array] = {}
        for found in block.output:
            layer = self._layer(found)
            which = np.flatnonzero(np.isin(found.heads, list(heads)))
            assert which.size
            where = layer.uses[0].positions(self.model)
            chosen[_initializer(layer)] = np.take(where, which, 0 if layer.kind == "dense" else 1).ravel()
        return chosen

    def columns(self, block: AttentionBlock, part: str, head: int) -> dict[str, Array]:
        """Return the weights and biases that make up the queries, keys or values of a head."""
        chosen: dict[str, list[Array]] = {}
        for found in block.parts[part]:
            layer = self._layer(found)
            which = np.flatnonzero(found.heads == head)
            where = layer.uses[0].positions(self.model)
            chosen.setdefault(_initializer(layer), []).append(np.take(where, which, layer.neuron_axis).ravel())
            for name, elements in self._biases(block, part, layer, which):
                chosen.setdefault(name, []).append(elements)
        return {name: np.concatenate(parts) for name, parts in chosen.items()}

    def _layer(self, found: HeadMap) -> Layer:
        assert found.layer is not None, found.reason
        return self.layers[found.layer]

    def _biases(self, block: AttentionBlock, part: str, layer: Layer, which: Array) -> Iterable[tuple[str, Array]]:
        node = layer.uses[0].node.node
        third = node.inputs[2] if len(node.inputs) > 2 else None
        if node.op_type in ("Gemm", "Conv", "Attention", "QAttention") and third is not None:
            yield str(third.name), which
        anchor = next(node for node in self.model.all_nodes() if node.name == block.node or _first(node) == block.node)
        if anchor.op_type == "MultiHeadAttention" and len(anchor.inputs) > 3 and anchor.inputs[3] is not None:
            yield str(anchor.inputs[3].name), which + _PART[part] * layer.neurons
        yield from self._added(layer, which)

    def _added(self, layer: Layer, which: Array) -> Iterable[tuple[str, Array]]:
        """Yield what is added to the projection, one number for each column."""
        value: ir.Value | None = layer.uses[0].output
        while value is not None:
            users = [
                use.node for use in value.uses() if use.node.op_type in ("Add", "Reshape", "Transpose", "Identity")
            ]
            value = users[0].outputs[0] if len(users) == 1 else None
            for operand in users[0].inputs if value is not None and users[0].op_type == "Add" else ():
                source = resolve(operand, self.model)
                if not isinstance(source, str) and source.stored == layer.neurons:
                    yield str(source.root.name), positions(source, self.model).ravel()[which]
                    return


def _initializer(layer: Layer) -> str:
    return str(layer.uses[0].source.root.name)


def _first(node: ir.Node) -> Any:
    return node.outputs[0].name if node.outputs else None


def _with_initializers(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with its constants as initializers."""
    result = onnx.ModelProto()
    result.CopyFrom(proto)
    kept = []
    for node in result.graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            tensor = onnx.TensorProto()
            tensor.CopyFrom(node.attribute[0].t)
            tensor.name = node.output[0]
            result.graph.initializer.append(tensor)
        else:
            kept.append(node)
    del result.graph.node[:]
    result.graph.node.extend(kept)
    return result
