"""Which kind of model an object or a path is, found without importing any framework."""

from __future__ import annotations

import enum
import os
from pathlib import Path

from ._factory import Recipe, is_factory


class Kind(enum.Enum):
    """What can be converted; the value says it in words."""

    TORCH_MODULE = "a torch.nn.Module"
    EXPORTED_PROGRAM = "a torch.export.ExportedProgram"
    PT2_FILE = "a .pt2 file"
    TORCH_FILE = "a .pt, .pth or .safetensors file"
    KERAS_MODEL = "a Keras model"
    KERAS_FILE = "a .keras or .h5 file"
    SAVED_MODEL = "a SavedModel folder"
    FROZEN_GRAPH = "a frozen TensorFlow graph (.pb)"
    TFLITE_FILE = "a .tflite file"
    TF_FUNCTION = "a tf.function"
    TF_MODULE = "a tf.Module"
    FACTORY = "the name of a function that makes one of these (module:function)"


_SUFFIXES = {
    ".pt2": Kind.PT2_FILE,
    ".pt": Kind.TORCH_FILE,
    ".pth": Kind.TORCH_FILE,
    ".ckpt": Kind.TORCH_FILE,
    ".safetensors": Kind.TORCH_FILE,
    ".pkl": Kind.TORCH_FILE,
    ".pickle": Kind.TORCH_FILE,
    ".keras": Kind.KERAS_FILE,
    ".h5": Kind.KERAS_FILE,
    ".hdf5": Kind.KERAS_FILE,
    ".pb": Kind.FROZEN_GRAPH,
    ".tflite": Kind.TFLITE_FILE,
}
_CLASSES = {
    ("torch", "Module"): Kind.TORCH_MODULE,
    ("torch", "ExportedProgram"): Kind.EXPORTED_PROGRAM,
    ("keras", "Model"): Kind.KERAS_MODEL,
    ("keras", "Layer"): Kind.KERAS_MODEL,
    ("tensorflow", "PolymorphicFunction"): Kind.TF_FUNCTION,
    ("tensorflow", "ConcreteFunction"): Kind.TF_FUNCTION,
    ("tensorflow", "Module"): Kind.TF_MODULE,
    ("tensorflow", "AutoTrackable"): Kind.TF_MODULE,
}


def kind_of(model: object) -> Kind | None:
    """Return the kind of `model`, or None where it is nothing that can be converted.

    Objects are known by the names of their classes and of the packages these come from; the most derived class
    decides, so a Keras model is one on whichever backend it stands.
    """
    if isinstance(model, Recipe):
        return kind_of(model.model)
    if isinstance(model, str | os.PathLike):
        path = Path(model)
        if path.is_dir():
            return Kind.SAVED_MODEL if (path / "saved_model.pb").is_file() else None
        kind = _SUFFIXES.get(path.suffix.lower())
        if kind is None and is_factory(str(model)) and not path.exists():
            return Kind.FACTORY
        return None if kind is Kind.FROZEN_GRAPH and _may_be_onnx(path) else kind
    names = ((cls.__module__.partition(".")[0], cls.__name__) for cls in type(model).__mro__)
    return next((_CLASSES[name] for name in names if name in _CLASSES), None)


def _may_be_onnx(path: Path) -> bool:
    """Return whether a .pb file begins as ONNX does, with a number; a GraphDef begins with its first node."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(1) != b"\x0a"
