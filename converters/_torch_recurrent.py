"""Recurrent layers of PyTorch as the operators of ONNX that they are, over a free number of steps.

torch.export keeps `aten.lstm`, `aten.gru` and `aten.rnn_*` whole, and finds the shapes of their results by running them
step by step, which fixes the number of steps to that of the example. Their shapes can be told without running them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ._torch_projected import projected


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """An operator of ONNX: its name, in which order it has PyTorch's gates, its activation and attributes."""

    op: str
    gates: tuple[int, ...] = (0,)
    activation: str | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)


# PyTorch has input, forget, cell, output and reset, update, new; ONNX input, output, forget, cell and update, reset,
# new. PyTorch's GRU resets the product of the state, not the state.
_KINDS = {
    "lstm": _Kind(op="LSTM", gates=(0, 3, 1, 2)),
    "gru": _Kind(op="GRU", gates=(1, 0, 2), attributes={"linear_before_reset": 1}),
    "rnn_tanh": _Kind(op="RNN", activation="Tanh"),
    "rnn_relu": _Kind(op="RNN", activation="Relu"),
}


def _operators() -> dict[Any, _Kind]:
    import torch

    return {getattr(torch.ops.aten, name).input: kind for name, kind in _KINDS.items()}


@contextlib.contextmanager
def free_steps() -> Iterator[None]:
    """Let recurrent layers that are exported or translated in the body keep the number of their steps free.

    PyTorch has the same two places replaced where its exporter makes a loop of them (torch.export._patches).
    """
    import torch

    key, decompositions = torch._C.DispatchKey.CompositeImplicitAutograd, torch._decomp.decomposition_table
    before = {op: (op.py_kernels[key], decompositions[op]) for op in _operators()}
    for op, (kernel, _) in before.items():
        op.py_kernels[key] = decompositions[op] = partial(_results, kernel)
        op._dispatch_cache.clear()
    try:
        yield
    finally:
        for op, (kernel, decomposition) in before.items():
            op.py_kernels[key], decompositions[op] = kernel, decomposition
            op._dispatch_cache.clear()


def _results(kernel: Callable[..., Any], x: Any, hx: Any, *rest: Any) -> Any:
    """Return tensors of the shapes of a layer's results; the results themselves where there are values to compute."""
    import torch
    from torch._subclasses.fake_tensor import FakeTensor

    states = [hx] if isinstance(hx, torch.Tensor) else list(hx)
    if not isinstance(x, FakeTensor):
        return kernel(x, hx, *rest)
    bidirectional = rest[-2]
    made = x.new_empty((*x.shape[:2], states[0].shape[2] * (1 + bidirectional)))
    return made, *map(torch.empty_like, states)


def _opset() -> Any:
    """Return the operators that PyTorch's exporter writes, to be called as functions of ONNX values."""
    from onnxscript import opset18

    return opset18


def translations() -> dict[Any, Callable[..., Any]]:
    """Return the functions that write recurrent layers in ONNX, as `torch.onnx.export` takes them."""
    return {op: _translation(kind) for op, kind in _operators().items()}


def _translation(kind: _Kind) -> Callable[..., Any]:
    """Return the function that writes an operator of ONNX for each layer of PyTorch's operator, with its arguments."""
    op = _opset()

    def translated(  # type: ignore[no-untyped-def] # the exporter reads annotations as types of ONNX
        x, hx, params, has_biases, num_layers, dropout, train, bidirectional, batch_first
    ):
        directions = 2 if bidirectional else 1
        states = [hx] if kind.op != "LSTM" else list(hx)
        if len({state.shape[2] for state in states}) > 1:  # no operator of ONNX projects the hidden state
            return projected(x, states, params, has_biases, num_layers, directions, batch_first)
        attributes = {"hidden_size": params[1].shape[1], **kind.attributes}
        if bidirectional:
            attributes["direction"] = "bidirectional"
        if kind.activation:
            attributes["activations"] = [kind.activation] * directions
        ends: list[list[Any]] = [[] for _ in states]
        steps = op.Transpose(x, perm=[1, 0, 2]) if batch_first else x
        for first in range(0, num_layers * directions, directions):
            initial = [op.Slice(state, [first], [first + directions], [0]) for state in states]
            of_layer = _weights(kind, params, 4 if has_biases else 2, range(first, first + directions))
            bias = of_layer[2] if has_biases else None
            made, *last = getattr(op, kind.op)(steps, *of_layer[:2], bias, None, *initial, **attributes)
            # (steps, directions, batch, hidden) becomes (steps, batch, directions * hidden).
            steps = op.Reshape(op.Transpose(made, perm=[0, 2, 1, 3]), [0, 0, -1])
            for found, end in zip(ends, last, strict=True):
                found.append(end)
        output = op.Transpose(steps, perm=[1, 0, 2]) if batch_first else steps
        return output, *(op.Concat(*found, axis=0) for found in ends)

    return translated


def _weights(kind: _Kind, params: Sequence[Any], each: int, directions: range) -> list[Any]:
    """Return the weights, recurrent weights and biases of a layer, its directions stacked.

    Args:
        kind: of which operator they are.
        params: those of all layers and directions, one after the other.
        each: how many a direction has: two weights, and two biases or none.
        directions: those of the layer, counted over all layers.
    """
    op = _opset()

    def ordered(value: Any) -> Any:
        """Return the gates in ONNX's order."""
        if len(kind.gates) == 1:
            return value
        size = params[1].shape[1]
        return op.Concat(*(op.Slice(value, [gate * size], [(gate + 1) * size], [0]) for gate in kind.gates), axis=0)

    def stacked(parts: Sequence[Any]) -> Any:
        leading = [op.Unsqueeze(part, [0]) for part in parts]
        return leading[0] if len(leading) == 1 else op.Concat(*leading, axis=0)

    owned = [list(map(ordered, params[each * i : each * (i + 1)])) for i in directions]
    weights = [stacked([part[of] for part in owned]) for of in range(2)]
    return weights if each == 2 else [*weights, stacked([op.Concat(*part[2:], axis=0) for part in owned])]
