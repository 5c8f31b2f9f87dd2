"""Group normalisations, which Keras writes out, as PyTorch's exporter writes them: around an InstanceNormalization."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir


def gather_groups(model: ir.Model, graph: Any) -> None:
    """Write every group normalisation of the main graph that is written out around an operator, in place.

    Left as they are: those beside another Reshape, of which and their own tf2onnx makes one, as before a Flatten.

    https://arxiv.org/abs/1803.08494: each group of channels of each sample has mean 0 and variance 1 before a scale and
    a shift for each channel.

    Args:
        model: what tf2onnx wrote; values bear TensorFlow's names.
        graph: the tf.Graph.
    """
    for node in list(model.graph):
        found = _found(node)
        if found is not None and {found.rank} == {_rank(found.source, graph), _rank(node.outputs[0], graph)}:
            found.write(model.graph, node)


def _rank(value: ir.Value, graph: Any) -> int | None:
    """Return how many axes a value has; None where that is not known."""
    node = _made(value, "Transpose")
    if node is not None:
        return len(node.attributes.get_ints("perm", []))
    try:
        return int(graph.get_tensor_by_name(str(value.name)).shape.rank)
    except (KeyError, ValueError, TypeError):  # a value of tf2onnx's own, or without a rank
        return None


@dataclass(frozen=True, slots=True)
class _Groups:
    """A group normalisation of a value whose channels are last.

    Attributes:
        source: the value.
        rank: how many axes it has.
        scale: one number for each channel, by group, (1, …, groups, channels of a group).
        shift: the same, or None.
        epsilon: what is added to the variance.
    """

    source: ir.Value
    rank: int
    scale: ir.Value
    shift: ir.Value | None
    epsilon: float

    def write(self, graph: ir.Graph, end: ir.Node) -> None:
        """Write it before `end`, in whose place it stands from then on."""
        name = str(end.name)
        assert self.scale.const_value is not None
        groups = int(self.scale.const_value.shape.numpy()[-2])

        def constant(what: str, values: np.ndarray[Any, Any]) -> ir.Value:
            tensor = ir.tensor(values, name=f"{name}/{what}")
            kind = ir.TensorType(tensor.dtype)
            made = ir.Value(name=tensor.name, shape=ir.Shape(values.shape), type=kind, const_value=tensor)
            graph.initializers.add(made)
            return made

        def op(kind: str, *inputs: ir.Value, **attributes: Any) -> ir.Value:
            made = ir.node(kind, inputs, attributes, name=f"{name}/{kind}")
            made.outputs[0].name = f"{name}/{kind}:0"
            graph.insert_before(end, made)
            return made.outputs[0]

        first = op("Transpose", self.source, perm=[0, self.rank - 1, *range(1, self.rank - 1)])
        rows = op("Reshape", first, constant("rows", np.array([0, groups, -1])))
        kind = self.scale.const_value.dtype.numpy()
        ones, zeros = constant("ones", np.ones(groups, kind)), constant("zeros", np.zeros(groups, kind))
        value = op("InstanceNormalization", rows, ones, zeros, epsilon=self.epsilon)
        back = ir.node("Reshape", [value, op("Shape", first)], name=f"{name}/back")
        back.outputs[0].name = f"{name}/back:0"
        graph.insert_before(end, back)
        value = op("Mul", back.outputs[0], self._along(self.scale))
        value = value if self.shift is None else op("Add", value, self._along(self.shift))
        last = ir.node("Transpose", [value], {"perm": [0, *range(2, self.rank), 1]}, name=f"{name}/last")
        last.outputs[0].shape, last.outputs[0].type = end.outputs[0].shape, end.outputs[0].type
        graph.insert_before(end, last)
        output, called = end.outputs[0], str(end.outputs[0].name)
        ir.convenience.replace_all_uses_with(output, last.outputs[0], replace_graph_outputs=True)
        graph.remove(end, safe=True)
        last.outputs[0].name, last.name = called, name

    def _along(self, value: ir.Value) -> ir.Value:
        """Return the numbers for each channel along the second axis."""
        assert value.const_value is not None
        array = value.const_value.numpy().reshape(-1, *[1] * (self.rank - 2))
        value.const_value = ir.Tensor(array, name=value.name)
        value.shape = value.const_value.shape
        return value


def _found(end: ir.Node) -> _Groups | None:
    """Return the group normalisation that `end`, a Reshape, is the last operator of; None where there is none."""
    total = _made(end.inputs[0] if end.op_type == "Reshape" else None, "Add")
    scaled, moved = (total.inputs[0], total.inputs[1]) if total is not None else (None, None)
    product, shifted = _made(scaled, "Mul"), _made(moved, "Add")
    shift = _constant(shifted)
    centre = _made(_other(shifted, shift) if shifted is not None else moved, "Mul")
    factor = product.inputs[1] if product is not None else None
    grouped = product.inputs[0] if product is not None else None
    scale = _constant(_made(factor, "Mul"))
    root = _made(_made_of(_made_of(_other(_made(factor, "Mul"), scale), "Reciprocal"), "Sqrt"), "Add")
    epsilon = _constant(root)
    start = _made(grouped, "Reshape")
    if centre is None or start is None or scale is None or epsilon is None or (shifted is not None and shift is None):
        return None
    mean = _made_of(centre.inputs[0], "Neg")
    if centre.inputs[1] is not factor or not _is_variance(_other(root, epsilon), grouped, mean):
        return None
    sizes = _sizes(scale)
    rank, source = len(sizes), start.inputs[0]
    alone = all(len(value.uses()) == 1 for value in (scale, shift) if value is not None)
    same = shift is None or _sizes(shift) == sizes
    if source is None or rank < 4 or set(sizes[:-2]) != {1} or not alone or not same or not _over_groups(mean, rank):
        return None
    assert epsilon.const_value is not None
    return _Groups(source, rank - 1, scale, shift, float(epsilon.const_value.numpy().reshape(-1)[0]))


def _is_variance(value: ir.Value | None, of: ir.Value | None, mean: ir.Value | None) -> bool:
    """Return whether `value` is the mean of the squared differences between `of` and `mean`, over the same axes."""
    over = _made(value, "ReduceMean")
    square = _made(over.inputs[0] if over is not None else None, "Mul")
    difference = _made(square.inputs[0] if square is not None else None, "Sub")
    first = _made(mean, "ReduceMean")
    if over is None or square is None or difference is None or first is None:
        return False
    same = square.inputs[0] is square.inputs[1] and first.inputs[0] is of
    return same and tuple(difference.inputs) == (of, mean) and _axes(over) == _axes(first)


def _over_groups(mean: ir.Value | None, rank: int) -> bool:
    """Return whether the mean is over all axes but those of the samples and of the groups."""
    node = _made(mean, "ReduceMean")
    return node is not None and sorted(a % rank for a in _axes(node)) == [*range(1, rank - 2), rank - 1]


def _axes(node: ir.Node) -> list[int]:
    value = node.inputs[1].const_value if len(node.inputs) > 1 and node.inputs[1] is not None else None
    return [int(axis) for axis in value.numpy().reshape(-1)] if value is not None else []


def _made(value: ir.Value | None, kind: str) -> ir.Node | None:
    """Return the operator that makes `value` where it is of this kind."""
    node = value.producer() if value is not None else None
    return node if node is not None and node.op_type == kind else None


def _made_of(value: ir.Value | None, kind: str) -> ir.Value | None:
    node = _made(value, kind)
    return node.inputs[0] if node is not None else None


def _constant(node: ir.Node | None) -> ir.Value | None:
    """Return the input of `node` that is an initializer."""
    inputs = node.inputs if node is not None else ()
    return next((value for value in inputs if value is not None and value.const_value is not None), None)


def _other(node: ir.Node | None, value: ir.Value | None) -> ir.Value | None:
    inputs = node.inputs if node is not None and value is not None else ()
    return next((other for other in inputs if other is not value), None)


def _sizes(value: ir.Value) -> list[int]:
    return [int(size) for size in value.const_value.shape.numpy()] if value.const_value is not None else []
