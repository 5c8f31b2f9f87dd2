"""Which dense layers follow each other in the graph: what a neuron diagram may draw side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import onnx_ir as ir

from wua_onnx.layers import Layer

_NO_VALUES = frozenset({"Shape", "Size"})  # what comes out of these are sizes, not the values of neurons


def runs(layers: Sequence[Layer]) -> list[list[Layer]]:
    """Return the dense layers in runs: each layer of a run reads the neurons of the one before, and nothing else.

    Between two of them stand only operators without weights of a layer; a weight that is used more than once, a
    second branch or a residual connection ends the run.
    """
    outputs = {use.output: layer for layer in layers for use in layer.uses}
    ending: dict[Layer | None, list[Layer]] = {}
    found: list[list[Layer]] = []
    for layer in layers:
        if layer.kind != "dense" or len(layer.uses) != 1:
            continue
        sources = set(_sources(layer, outputs))
        before = sources.pop() if len(sources) == 1 else None
        fits = before is not None and before.neurons == layer.shape[0]
        run = ending.pop(before, None) if fits else None
        if run is None:
            run = []
            found.append(run)
        run.append(layer)
        ending[layer] = run
    return found


def _sources(layer: Layer, outputs: dict[ir.Value, Layer]) -> Iterator[Layer | None]:
    """Yield the layers whose outputs reach the input of `layer`; None for an input of the model."""
    constants, use = layer.model.constants, layer.uses[0]
    pending = [value for value in use.node.node.inputs if value is not None and value not in constants]
    seen: set[ir.Value] = set()
    while pending:
        value = pending.pop()
        if value in seen:
            continue
        seen.add(value)
        producer = value.producer()
        if value in outputs or producer is None:
            yield outputs.get(value)
        elif producer.op_type not in _NO_VALUES:
            pending += [given for given in producer.inputs if given is not None and given not in constants]
