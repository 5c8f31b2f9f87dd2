"""Executing onnx's node cases on counting numbers."""

from __future__ import annotations

import warnings
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx.reference import ReferenceEvaluator

from wua_onnx.cost import NodeCost, count
from wua_onnx.model import load

from .counting import counted, scalars


@dataclass(frozen=True)
class Case:
    """One node, with inputs to run it on."""

    name: str
    model: onnx.ModelProto
    inputs: list[npt.NDArray[Any]]


def executed(case: Case) -> Counter[str] | None:
    """Return what the evaluator does for `case`, by kind; None where it cannot run on objects.

    The evaluator refuses arrays of objects for operators that it computes by functions which numpy has for
    numbers only.
    """
    feeds = {
        value.name: scalars(array) if array.dtype.kind == "f" else array
        for value, array in zip(case.model.graph.input, case.inputs, strict=True)
    }
    session = ReferenceEvaluator(case.model)
    try:
        with warnings.catch_warnings():  # numpy's, about casting objects
            warnings.simplefilter("ignore")
            return +counted(lambda: session.run(None, feeds))
    except (TypeError, ValueError, AttributeError):
        return None


def ruled(case: Case) -> NodeCost:
    """Return what the rules say of the node of `case`; axes and the like that tests feed become constants."""
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    for value, array in zip(case.model.graph.input, case.inputs, strict=True):
        if array.dtype.kind in "iub" and array.size <= 16:
            model.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(array), value.name))
    kept = [v for v in model.graph.input if v.name not in {t.name for t in model.graph.initializer}]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    (node,) = count(load(model)).by_node
    return node
