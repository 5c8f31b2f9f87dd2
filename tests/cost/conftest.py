"""Those of onnx's node cases that can be executed on counting scalars."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest

from .evaluation import Case

_LARGEST = 20_000  # elements of all inputs; above, execution in Python takes too long


@pytest.fixture(scope="session")
def node_cases(every_case: list[Any]) -> dict[str, list[Case]]:
    """Cases of one node with floating-point inputs, by operator."""
    by_operator: dict[str, list[Case]] = defaultdict(list)
    for case in every_case:
        model, data = case.model, case.data_sets
        if not data or len(model.graph.node) != 1 or not _is_small_float(data[0][0]):
            continue
        by_operator[model.graph.node[0].op_type].append(Case(case.name, _stamped(model), list(data[0][0])))
    return dict(by_operator)


def _is_small_float(inputs: Sequence[object]) -> bool:
    arrays = [array for array in inputs if isinstance(array, np.ndarray)]
    is_float = any(array.dtype.kind == "f" for array in arrays)
    return is_float and len(arrays) == len(inputs) and sum(array.size for array in arrays) <= _LARGEST


def _stamped(model: onnx.ModelProto) -> onnx.ModelProto:
    model.ir_version = min(model.ir_version, 13)
    return model
