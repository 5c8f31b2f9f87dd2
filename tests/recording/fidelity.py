"""The checks of this folder on whole models: `python -m tests.recording.fidelity FILE_OR_FOLDER...`.

For each .onnx file, on random inputs: the parameters in no account (0 is right), the largest difference of the model's
own outputs from those of a plain run (relative to their largest), and that of the recorded means from all activations
averaged in double precision (relative to the layer's largest mean).
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from wua_onnx import WuaError
from wua_onnx.layers import Layers, find_layers
from wua_onnx.model import Model, load
from wua_onnx.model import dims as d
from wua_onnx.observe.feeds import random_feeds
from wua_onnx.recording import Recorder
from wua_onnx.running.inputs import batch_symbol, input_specs

from .models import Array, session
from .naive import Feeds

SIZES = (7, 1, 512)  # of free dimensions other than the batch: the first that the model runs with
BATCH = 5
TOLERANCE = 1e-5


def main(arguments: Sequence[str]) -> int:
    failed = 0
    for path in files(arguments):
        try:
            line, fine = checked(path)
        except WuaError as error:
            line, fine = f"{type(error).__name__}: {error}".splitlines()[0][:160], False
        failed += not fine
        print(f"{path.name:36} {'ok' if fine else 'NOT OK':7} {line}", flush=True)
    return min(failed, 1)


def files(arguments: Sequence[str]) -> Iterator[Path]:
    for path in map(Path, arguments):
        yield from sorted(path.rglob("*.onnx")) if path.is_dir() else [path]


def checked(path: Path) -> tuple[str, bool]:
    """Return what there is to say of a model, and whether it is as it should be."""
    lost, count = accounted(find_layers(load(path)))
    line, proto = f"{count:3} layers, {lost} parameters lost", onnx.load(path)
    run = plain_run(path, proto)
    if run is None:
        return f"{line}; onnxruntime does not run it", not lost
    model, feeds, plain = run
    recorder = Recorder(model, mask=False, keep_outputs=True)
    recorder.update(feeds)
    recording = recorder.result()
    outputs = largest(zip(recording.outputs.values(), plain, strict=True))
    expected = means(model, proto, feeds)
    got = {(name, i): part.mean for name, parts in recording.layers.items() for i, part in enumerate(parts)}
    wrong = largest((got[key], mean) for key, mean in expected.items() if key in got)
    line += f", outputs {outputs:.0e}, means of {len(expected)} of {len(got)} uses {wrong:.0e}"
    line += f", not recorded: {', '.join(recording.missing)}" if recording.missing else ""
    return line, not lost and max(outputs, wrong) <= TOLERANCE


def means(model: Model, proto: onnx.ModelProto, feeds: Feeds) -> dict[tuple[str, int], Array]:
    """Return mean |a| of each neuron, by layer and use, where an activation is a value of the graph as it is."""
    plain = {
        (name, i): activation
        for name, layer in find_layers(model).by_name.items()
        for i, activation in enumerate(layer.activations)
        if not (activation.valid or activation.lookups or activation.unread or activation.quantization)
        and activation.side is None
        and activation.value.graph is model.ir_model.graph
    }
    whole = onnx.ModelProto()
    whole.CopyFrom(proto)
    known = {output.name for output in proto.graph.output}
    names = list(dict.fromkeys(activation.value.name or "" for activation in plain.values()))
    whole.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in known)
    values = dict(zip(names, session(whole).run(names, dict(feeds)), strict=True)) if names else {}
    return {key: mean_over_others(values[place.value.name or ""], place.axes) for key, place in plain.items()}


def mean_over_others(array: Array, axes: Sequence[int]) -> Array:
    behind = np.moveaxis(np.abs(array.astype(np.float64)), axes, range(-len(axes), 0))
    means: Array = behind.reshape(-1, int(np.prod(behind.shape[-len(axes) :]))).mean(axis=0)
    return means


def accounted(found: Layers) -> tuple[int, int]:
    """Return the parameters that are neither analysed nor declined, and the number of layers."""
    analysed = sum(layer.stored for layer in found.by_name.values())
    return found.parameters - analysed - sum(part.elements for part in found.declined), len(found.by_name)


def plain_run(path: Path, proto: onnx.ModelProto) -> tuple[Model, Feeds, list[Any]] | None:
    """Return the model with sizes that it runs with, inputs, and its outputs; None where it does not run."""
    for size in SIZES:
        model = load(path, dims=dict.fromkeys(others(load(path)), size))
        feeds = random_feeds(input_specs(model), batch=BATCH)
        try:
            return model, feeds, list(session(proto).run(None, dict(feeds)))
        except Exception:  # its exceptions have no base class of their own
            continue
    return None


def others(model: Model) -> list[str]:
    """Return the names of the free dimensions of the inputs, without the batch."""
    batch = batch_symbol(model, 0)
    sizes = {dim for spec in input_specs(model) for dim in spec.dims or () if not isinstance(dim, int) and dim != batch}
    return sorted({model.shown.get(name, name) for dim in sizes if dim is not None for name in d.symbols(dim)})


def largest(pairs: Iterable[tuple[Any, Any]]) -> float:
    """Return the largest difference of the arrays in `pairs`, each relative to the largest value that is right."""
    return max((apart(got, right) for got, right in pairs if np.size(right)), default=0.0)


def apart(got: Any, right: Any) -> float:
    right = np.asarray(right, np.float64)
    return float(np.abs(np.asarray(got, np.float64) - right).max() / (np.abs(right).max() or 1.0))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
