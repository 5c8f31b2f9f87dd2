"""An LSTM that projects its hidden state, as a Scan over its steps: no operator of ONNX does that.

`h = W_hr (o tanh(c))`, else as PyTorch's LSTM: https://docs.pytorch.org/docs/stable/generated/torch.nn.LSTM.html
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx_ir as ir


def projected(
    x: Any, states: Sequence[Any], params: Sequence[Any], has_biases: bool, layers: int, directions: int, first: bool
) -> tuple[Any, Any, Any]:
    """Write the layers of an LSTM, and return the hidden states, and the last states of all layers and directions.

    Args:
        x: the input, (steps, samples, features), samples first where `first`.
        states: hidden and cell states before the first step, (layers * directions, samples, size).
        params: of each layer and direction the weights, biases if there are some, and the projection.
        has_biases: whether there are biases.
        layers: how many layers there are.
        directions: how many directions each has.
        first: whether samples come first.
    """
    from onnxscript import opset18

    op: Any = opset18  # as PyTorch's exporter calls it: with ONNX values
    each, ends = 5 if has_biases else 3, []
    steps = op.Transpose(x, perm=[1, 0, 2]) if first else x
    for layer in range(layers):
        made = []
        for direction in range(directions):
            index = layer * directions + direction
            initial = [op.Gather(state, op.Constant(value_int=index), axis=0) for state in states]
            *last, sequence = _scan(op, steps, initial, params[each * index : each * (index + 1)], bool(direction))
            ends.append([op.Unsqueeze(state, [0]) for state in last])
            made.append(sequence)
        steps = made[0] if directions == 1 else op.Concat(*made, axis=2)
    hidden, cell = (op.Concat(*each, axis=0) for each in zip(*ends, strict=True))
    return op.Transpose(steps, perm=[1, 0, 2]) if first else steps, hidden, cell


def place_steps(model: ir.Model) -> None:
    """Say of operators inside of a Scan which module they come from: the exporter says it of the Scan alone."""
    for node in model.graph:
        body = node.attributes.get("body")
        if node.op_type == "Scan" and body is not None:
            for inside in body.as_graph():
                inside.metadata_props.update({**node.metadata_props, **inside.metadata_props})


def _scan(op: Any, steps: Any, initial: Sequence[Any], params: Sequence[Any], backward: bool) -> Any:
    """Write one layer in one direction, and return its last states and its hidden states."""
    weight, recurrent, *biases, projection = params
    gates = op.MatMul(steps, op.Transpose(weight, perm=[1, 0]))
    for bias in biases:
        gates = op.Add(gates, bias)
    body = _body(*(op.Transpose(each, perm=[1, 0]) for each in (recurrent, projection)))
    way = [int(backward)]
    node = op.Scan(
        *initial, gates, body=body, num_scan_inputs=1, scan_input_directions=way, scan_output_directions=way
    ).producer()
    node.resize_outputs(len(body.outputs))  # the exporter counts results that may be any number as one
    for result in node.outputs:
        result.type = steps.type
    return node.outputs


def _body(recurrent: ir.Value, projection: ir.Value) -> ir.Graph:
    """Return one step: from hidden state, cell state and what the input adds to the gates to the next states."""
    hidden, cell, gates = (ir.Value(name=f"projecting_{name}") for name in ("hidden", "cell", "gates"))
    tape = ir.tape.Tape()
    summed = tape.op("Add", [gates, tape.op("MatMul", [hidden, recurrent])])
    parts = tape.op_multi_out("Split", [summed], {"axis": -1, "num_outputs": 4}, num_outputs=4)
    functions = ("Sigmoid", "Sigmoid", "Tanh", "Sigmoid")
    i, f, g, o = (tape.op(function, [part]) for function, part in zip(functions, parts, strict=True))
    after = tape.op("Add", [tape.op("Mul", [f, cell]), tape.op("Mul", [i, g])])
    shown = tape.op("MatMul", [tape.op("Mul", [o, tape.op("Tanh", [after])]), projection])
    results = [shown, after, tape.op("Identity", [shown])]
    return ir.Graph([hidden, cell, gates], results, nodes=tape.nodes, name="projecting_step")
