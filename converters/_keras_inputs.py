"""What a Keras model takes: what it says itself, else what X holds."""

from __future__ import annotations

from typing import Any

from wua_onnx.errors import ConversionError

from . import _examples
from ._tf_functions import spec_for
from ._tf_import import import_package


def structure_of(model: Any, X: Any, where: str) -> tuple[Any, bool]:
    """Return how the inputs are nested, and whether the model itself says so; X does where it was never built.

    Raises:
        ConversionError: neither does.
    """
    try:
        inputs = model.inputs
    except (AttributeError, ValueError):  # a layer; a Sequential that was never built
        inputs = None
    if inputs:
        # A Sequential has no structure.
        return getattr(model, "_inputs_struct", inputs[0] if len(inputs) == 1 else inputs), True
    if X is None:
        raise ConversionError(
            f"{where}: expected a model whose inputs are known, got one that does not say, or was never built: pass X"
        )
    block = _examples.first_block(X)
    if isinstance(block, dict):
        return _examples.without_labels(block), False
    return block[0] if len(block) == 1 or _takes_one(model, X) else block, False


def _takes_one(model: Any, X: Any) -> bool:
    """Return whether the first array of a block is all that the model takes: it was built so, or X is a Dataset.

    What a Dataset has beside the inputs are targets by Keras's convention, and inputs that belong together stand so.
    """
    shapes = list((getattr(model, "_build_shapes_dict", None) or {}).values())
    if len(shapes) == 1:
        return all(size is None or isinstance(size, int) for size in shapes[0])
    spec = getattr(X, "element_spec", None)
    return isinstance(spec, tuple) and len(spec) > 1 and hasattr(spec[0], "shape")


def inputs_of(model: Any, X: Any, where: str) -> tuple[Any, list[Any]]:
    """Return the structure of the inputs and a tf.TensorSpec for each, in Keras's order."""
    tf, keras = import_package("tensorflow"), import_package("keras")
    structure, declared = structure_of(model, X, where)
    if declared:
        return structure, [tf.TensorSpec(i.shape, i.dtype, name=_identifier(i.name)) for i in model.inputs]
    floating = keras.config.floatx()
    specs = [spec_for(value) for value in keras.tree.flatten(structure)]
    types = [floating if spec.dtype == tf.float64 else spec.dtype for spec in specs]
    names = sorted(map(_identifier, structure)) if isinstance(structure, dict) else [None] * len(specs)
    return structure, [tf.TensorSpec(s.shape, dtype, name) for s, dtype, name in zip(specs, types, names, strict=True)]


def _identifier(name: str) -> str:
    return name.replace(":", "_").replace(" ", "_")
