"""How an audit can be made again: the command, or the call where the model was an object."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from wua_onnx._text import visible

Json = Mapping[str, Any]

_DATA = "DATA.npz"  # what the data were called is not known
_RECORDING = "RECORDING"


def reproduced(audit: Json) -> str:
    """Return the command that makes the audit again; the Python call where there is no file of the model."""
    model, settings = audit["model"], audit["settings"]
    if model.get("file") and not model.get("converted_from"):
        words = ["wua-onnx", "analyze", visible(model["file"], 200), *_options(settings)]
        return " ".join(map(shlex.quote, words))
    X = ["X"] if settings["data"] else []
    return f"wua_onnx.analyze({', '.join(['model', *X, *_arguments(settings)])})"


def _options(settings: Json) -> Iterator[str]:
    """Yield the options of the command line that differ from their defaults."""
    given = settings.get("recording")
    if settings["data"]:
        yield from ("--data", _DATA)
        if not settings.get("compute_activations", True):
            yield "--static"
    else:
        for name, size in (settings["dims"] or {}).items():
            yield from ("--dim", f"{visible(name)}={size}")
    if given:
        yield from ("--recording", _RECORDING)
    if settings["batch_axis"]:
        yield from ("--batch-axis", str(settings["batch_axis"]))
    if settings["data"] or given or settings["criterion"] != ["magnitude"]:
        for name in settings["criterion"]:
            yield from ("--criterion", visible(name))
    for name in settings.get("statistics") or ():
        yield from ("--statistic", visible(name))
    if settings["activation"] != "post":
        yield from ("--activation", visible(settings["activation"]))
    if isinstance(settings.get("mask"), str):
        yield from ("--mask", visible(settings["mask"]))
    if settings.get("normalization"):
        yield "--normalization"
    if settings.get("batch_size"):
        yield from ("--batch-size", str(settings["batch_size"]))
    if settings["device"] != "cpu":
        yield from ("--device", visible(settings["device"]))
    if settings.get("profile"):
        yield "--profile"
    if settings.get("profile") == "unoptimised":
        yield "--unoptimised"


_DEFAULTS: Json = {
    "dims": {}, "batch_axis": 0, "activation": "post", "compute_activations": True, "batch_size": None,
    "device": "cpu", "statistics": [], "mask": None, "profile": False, "normalization": False, "memory": 256 * 2**20,
}  # fmt: skip


def _arguments(settings: Json) -> Iterator[str]:
    """Yield the arguments of the call that differ from their defaults."""
    yield f"criterion={settings['criterion']!r}"
    if settings.get("recording"):
        yield "recording=recording"
    for name, default in _DEFAULTS.items():
        value = settings.get(name, default)
        if value != default and not (name == "dims" and settings["data"]):
            yield f"{name}={value!r}"
