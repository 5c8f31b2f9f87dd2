"""Recordings on disk, and what tells one model and plan from another."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wua_onnx._files import write_bytes
from wua_onnx._text import clean
from wua_onnx.errors import DataError
from wua_onnx.model.graph import Model
from wua_onnx.recording.statistics import Accumulator

if TYPE_CHECKING:
    from wua_onnx.recording.recorder import Recorder

_FORMAT = 1
_COUNTERS = ("samples", "batches", "correct", "labelled", "seconds")
_SAMPLED = 1024  # elements of a weight that are looked at, evenly spread

Identity = Mapping[str, Any]


def identity(recorder: Recorder) -> dict[str, Any]:
    """Return what two recordings must have in common to be joined: the model, the taps, and how they were placed.

    The model is known by its graph and by up to 1,024 elements of each weight, evenly spread: enough to tell networks
    that were trained, pruned or quantized apart, at no more than the cost of opening the file.
    """
    plan = recorder._plan
    places = [
        [name, index, sorted(plan.taps[place][0].statistics)] for (name, index), place in plan.activations.items()
    ]
    return {
        "format": _FORMAT,
        **kind(recorder.model, recorder.activation),
        "batch_axis": recorder._batch_axis,
        "mask": recorder.mask.value.name if recorder.mask is not None else None,
        "statistics": sorted(recorder.statistics),
        "taps": places,
    }


def kind(model: Model, activation: str) -> dict[str, Any]:
    """Return what a recording and an audit must have in common: the model, and where its neurons are read."""
    return {"model": fingerprint(model), "activation": activation}


def fingerprint(model: Model) -> str:
    """Return a digest of the graph and of elements of every weight."""
    known = model.__dict__.get("_fingerprint")
    if known is None:
        digest = hashlib.blake2b(digest_size=16)
        for node in model.all_nodes():
            names = [value.name if value is not None else "" for value in (*node.inputs, *node.outputs)]
            digest.update(repr((node.domain, node.op_type, names)).encode(errors="replace"))
        for value in model.ir_model.graph.initializers.values():
            digest.update(repr((value.name, str(value.shape), str(value.dtype))).encode(errors="replace"))
            array = model.weight(value)
            step = max(array.size // _SAMPLED, 1)
            digest.update(array.reshape(-1)[::step][:_SAMPLED].tobytes())
        known = model.__dict__["_fingerprint"] = digest.hexdigest()
    return str(known)


def check_same(mine: Identity, other: Identity) -> None:
    """Raise DataError where two recordings are not of the same model, recorded in the same way."""
    for name, value in mine.items():
        if other.get(name) != value:
            what = "another model" if name == "model" else f"another plan: {name}"
            raise DataError(f"recording: expected the same model and plan, got {what}")


def counters(recorder: Recorder) -> dict[str, Any]:
    """Return how much was recorded."""
    return {name: getattr(recorder, name) for name in _COUNTERS}


def write(path: Path, identity: Identity, counters: Mapping[str, Any], sums: Sequence[Accumulator | None]) -> Path:
    """Write a recording to an .npz file; it holds numbers and text, and is read without unpickling anything."""
    arrays: dict[str, Any] = {
        f"{index}.{name}": array
        for index, part in enumerate(sums)
        if part is not None
        for name, array in part.to_arrays().items()
    }
    head = {"identity": dict(identity), "counters": dict(counters), "taps": len(sums)}
    arrays["head"] = np.frombuffer(json.dumps(head).encode(), dtype=np.uint8)
    buffer = BytesIO()
    np.savez(buffer, **arrays)
    write_bytes(path, buffer.getvalue())
    return path


def read(path: Path) -> tuple[Identity, dict[str, Any], list[Accumulator | None]]:
    """Return what `write` wrote.

    Raises:
        DataError: the file cannot be read, or is no recording.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        head = json.loads(arrays.pop("head").tobytes())
        counters = {name: head["counters"][name] for name in _COUNTERS}
        parts = [_part(index, arrays) for index in range(int(head["taps"]))]
    except OSError as error:
        raise DataError(f"{clean(str(path))}: expected a recording, got {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile, EOFError) as error:
        raise DataError(
            f"{clean(str(path))}: expected a recording written by Recorder.save, got another file"
        ) from error
    return head["identity"], counters, parts


def _part(index: int, arrays: Mapping[str, Any]) -> Accumulator | None:
    prefix = f"{index}."
    own = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
    return Accumulator.from_arrays(own) if own else None
