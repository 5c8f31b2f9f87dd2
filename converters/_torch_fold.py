"""Weights that a model computes from its parameters at every run, computed once where the exporter left that."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx_ir as ir

_ANY_SIZE = 1 << 62  # values


def fold_weights(model: ir.Model) -> None:
    """Compute weights of recurrent layers, gates in ONNX's order and directions stacked, and standardised kernels.

    The exporter does that to small weights alone, and leaves big ones as operators to run.
    """
    wanted: set[ir.Node] = set()
    for node in model.graph.all_nodes():
        if node.op_type in ("LSTM", "GRU", "RNN"):
            wanted.update(*(_sources(value) for value in node.inputs[1:4]))
        elif node.op_type in ("Conv", "ConvTranspose"):
            sources = _sources(node.inputs[1])
            # So `torch.nn.functional.batch_norm` standardises the kernels of NFNet and BiT.
            if any(source.op_type == "BatchNormalization" for source in sources):
                wanted.update(sources)
    if wanted:
        from onnxscript import optimizer

        limits = {"input_size_limit": _ANY_SIZE, "output_size_limit": _ANY_SIZE}
        optimizer.fold_constants(model, should_fold=wanted.__contains__, **limits)
        optimizer.remove_unused_nodes(model)


def _sources(value: ir.Value | None) -> set[ir.Node]:
    """Return the nodes that a value is computed by."""
    found: set[ir.Node] = set()
    pending = [value]
    while pending:
        current = pending.pop()
        node = None if current is None else current.producer()
        if node is not None and node not in found:
            found.add(node)
            pending.extend(node.inputs)
    return found
