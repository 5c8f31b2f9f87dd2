"""Where the elements of a constant operand lie: the chain of operators from an initializer to it."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from wua_onnx._text import clean
from wua_onnx.layers import computed
from wua_onnx.layers.moves import Unmoved
from wua_onnx.layers.parts import CUTS, Part, part_of
from wua_onnx.model.graph import Model
from wua_onnx.model.node import NodeView

_MAX_CHAIN = 16
_SHAPE_KEPT = frozenset({"Cast", "DequantizeLinear", "Identity", "QuantizeLinear"})
_RESHAPING = frozenset({"Flatten", "Reshape", "Squeeze", "Transpose", "Unsqueeze"})
_SIDES = frozenset({"DequantizeLinear", "QuantizeLinear"})
_WHOLE = frozenset({ir.DataType.INT8, ir.DataType.UINT8, ir.DataType.INT16, ir.DataType.UINT16})
# What changes a weight by its first operand alone, or with scales.
STEPS = _SHAPE_KEPT | _RESHAPING


@dataclass(frozen=True, slots=True, eq=False)
class WeightSource:
    """Where the elements of an operand lie.

    Attributes:
        root: the initializer or Constant that holds them.
        chain: the constant-only operators between it and the operand, first to last.
        outputs: for each of them, the number of the output that the next one reads.
        shape: of the operand.
        part: what of the root is in the operand; None where all is.
    """

    root: ir.Value
    chain: tuple[ir.Node, ...]
    outputs: tuple[int, ...]
    shape: tuple[int, ...]
    part: Part | None = None

    @property
    def stored(self) -> int:
        """The number of elements of the root that are in the operand."""
        tensor = self.root.const_value
        return self.part.size if self.part is not None else 0 if tensor is None else int(tensor.size)


def resolve(value: ir.Value | None, model: Model) -> WeightSource | str:
    """Return where the constant operand `value` comes from, or why it is no weight that can be read."""
    if value is None or value not in model.constants:
        return "no constant operand"
    found = _followed(model.carried.get(value, value), model)
    if isinstance(found, str):
        return found
    root, steps = found
    shape = model.shape(value)
    if shape is None and all(node.op_type in _SHAPE_KEPT for node, _ in steps):
        shape = model.shape(root)
    tensor = ir.convenience.get_const_tensor(root)
    if root.const_value is None:
        root.const_value = tensor
    if tensor is None or shape is None or not all(isinstance(dim, int) for dim in shape):
        return "its shape is unknown"
    try:
        part = _part(root, steps, model)
    except Unmoved as problem:
        return str(problem)
    chain, outputs = tuple(node for node, _ in steps), tuple(output for _, output in steps)
    return WeightSource(root, chain, outputs, tuple(dim for dim in shape if isinstance(dim, int)), part)


def _followed(value: ir.Value, model: Model) -> tuple[ir.Value, list[tuple[ir.Node, int]]] | str:
    """Return what `value` is computed from, and by which operators and outputs of them, the first one first."""
    steps: list[tuple[ir.Node, int]] = []
    while ir.convenience.get_const_tensor(value) is None or value.producer() is not None:
        node = value.producer()
        if node is None or len(steps) > _MAX_CHAIN:
            return "a constant without elements"
        if node.op_type == "Constant":
            break
        main = _main(node, model)
        if isinstance(main, str):
            return main
        if any(isinstance(resolve(side, model), str) for side in node.inputs[1:] if side and node.op_type in _SIDES):
            return f"{clean(node.op_type)} with computed scales"
        steps.insert(0, (node, node.outputs.index(value)))
        operand = node.inputs[main]
        assert operand is not None
        value = model.carried.get(operand, operand)
    return value, steps


def _main(node: ir.Node, model: Model) -> int | str:
    """Return which operand of a step of a chain has the weight's elements, or why `node` is no step."""
    if (is_step(node) or is_cut(node)) and node.inputs and node.inputs[0] is not None:
        return 0
    view = NodeView(node, model)
    main = computed.main_operand(view)
    if main is None:
        return f"computed from constants by {clean(node.op_type)}"
    problem = computed.problem(view, main, STEPS)
    return main if problem is None else problem


def _part(root: ir.Value, steps: list[tuple[ir.Node, int]], model: Model) -> Part | None:
    shape = model.shape(root)
    if shape is None or all(not is_cut(node) for node, _ in steps):
        return None
    sizes = tuple(dim for dim in shape if isinstance(dim, int))
    return part_of(sizes, [(NodeView(node, model), output) for node, output in steps])


def beside(source: WeightSource, model: Model) -> list[ir.Value]:
    """Return the parameters that take part in computing a weight, beside those that hold its elements."""
    nodes = [NodeView(node, model) for node in source.chain if not is_step(node) and not is_cut(node)]
    mains = [(node, computed.main_operand(node)) for node in nodes]
    return [value for node, main in mains if main is not None for value in computed.parameters(node, main)]


def is_cut(node: ir.Node) -> bool:
    """Return whether `node` cuts a part out of a weight."""
    return node.op_type in CUTS and node.domain in ("", "ai.onnx")


def is_step(node: ir.Node) -> bool:
    """Return whether `node` is a step of a chain that is no arithmetic."""
    if node.op_type not in STEPS or (node.op_type == "QuantizeLinear" and not _is_whole(node)):
        return False
    return node.domain in ("", "ai.onnx") or (node.domain == "com.microsoft" and node.op_type in _SIDES)


def _is_whole(node: ir.Node) -> bool:
    """Return whether a QuantizeLinear makes integers of 8 or 16 bits."""
    zero = node.inputs[2] if len(node.inputs) > 2 else None
    return "output_dtype" not in node.attributes if zero is None else zero.dtype in _WHOLE
