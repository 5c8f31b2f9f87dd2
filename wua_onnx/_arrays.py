"""The big arrays of an audit, which its JSON leaves out, as one .npz file."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from wua_onnx._files import replacing
from wua_onnx._layer_audit import LayerAudit

Array: TypeAlias = np.ndarray[Any, Any]

_NEURONS = ("mean", "standard_error", "rms", "firing_rate", "largest", "smallest")


def write_arrays(path: Path, layers: Sequence[LayerAudit]) -> Path:
    """Write the arrays of every layer, one at a time; no more than one layer is held.

    `names` is the JSON list of the layers' names as UTF-8 bytes. The arrays of the layer at place 3 of that list are
    `3.scores.activation` (float32, in the shape of the canonical weight) for every criterion, `3.importance` (float64,
    one number a neuron), and what was recorded of the neurons: `3.mean`, `3.standard_error`, `3.rms` …. Names of a
    model stand in no key.

    Raises:
        WuaError: the audit was read from JSON, and has no arrays.
        OutputError: `path` cannot be written.
    """
    names = json.dumps([layer.name for layer in layers]).encode()
    with replacing(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True) as packed:
        _add(packed, "names", np.frombuffer(names, dtype=np.uint8))
        for index, layer in enumerate(layers):
            for key, array in _arrays(layer):
                _add(packed, f"{index}.{key}", array)
    return path


def _arrays(layer: LayerAudit) -> Iterator[tuple[str, Array]]:
    for criterion in layer.scores:
        yield f"scores.{criterion}", np.asarray(layer.scores[criterion], dtype=np.float32)
    if layer.metrics_by:
        yield "importance", np.asarray(layer.neuron_importance, dtype=np.float64)
    for name in _NEURONS:
        values = getattr(layer.neurons, name)
        if values is not None:
            yield name, np.asarray(values, dtype=np.float64)


def _add(packed: zipfile.ZipFile, key: str, array: Array) -> None:
    with packed.open(f"{key}.npy", "w", force_zip64=True) as member:
        np.lib.format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)
