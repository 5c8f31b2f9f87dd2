"""Which variable of TensorFlow's each initializer holds: by the operator that read it, or by its values."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from ._tf_patches import FOLDED
from ._trace import Parameters

Variables = Sequence[tuple[str, Any]]


def origin(name: str) -> str:
    """Return the name of the constant of which tf2onnx computed the one that bears `name`; `name` of any other."""
    return name.partition(FOLDED)[0]


def paths_read(model: ir.Model, variables: Variables, reads: Mapping[str, str]) -> dict[str, str]:
    """Return the path of the variable that was read into each initializer as it is, by its name."""
    sizes = {path: math.prod(variable.shape) for path, variable in variables}
    found = {}
    for name, value in model.graph.initializers.items():
        path = reads.get(origin(name).removesuffix(":0"))
        if path is not None and value.const_value is not None and value.const_value.size == sizes.get(path):
            found[name] = path
    return found


def paths_by_value(model: ir.Model, variables: Variables, used_in: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the path of the variable that each initializer holds, by its name.

    Values that several variables share (zeros, ones) tell only where one of these is of the layer that reads it, which
    `used_in` gives by the name of the initializer.
    """
    of_path = dict(variables)
    sizes = {path: math.prod(variable.shape) for path, variable in variables}
    parameters = Parameters(sizes, lambda path: np.asarray(of_path[path].numpy()))
    found = {}
    for name, value in model.graph.initializers.items():
        if value.const_value is not None and len(value.const_value.shape) > 0:
            array = value.const_value.numpy()
            near = (used_in or {}).get(name, "")
            path = parameters.named(array, near) or (_joined(parameters.parts(array)) if array.ndim > 2 else None)
            if path is not None:
                found[name] = path
    return found


def _joined(paths: list[str]) -> str | None:
    """Return the path of parameters that became one: `both/kernel` for those of `both/forward` and `both/backward`."""
    if len(set(paths)) < 2:
        return paths[0] if paths else None
    split = [path.split("/") for path in paths]
    common = [same[0] for same in itertools.takewhile(lambda same: len(set(same)) == 1, zip(*split, strict=False))]
    return "/".join([*common, split[0][-1]]) if common else paths[0]
