"""onnx's own node cases: a run of each must give the count that the graph alone gives, where that is exact."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest

from wua_onnx.cost import count
from wua_onnx.errors import RunError
from wua_onnx.model import load
from wua_onnx.observe import observe
from wua_onnx.running import executions
from wua_onnx.running.messages import Message

LATEST = 23  # what every onnxruntime that is supported runs
DATA_DEPENDENT = re.compile("test_(loop|scan|if|nonzero|compress|unique|sequence_map|nonmaxsuppression)")
EVERY = 13


class InThisProcess:
    """Answers at once what a worker would: these models are known to end."""

    def __init__(self, limit: float, memory: int | None) -> None:
        self.limit, self.memory = limit, memory

    def ask(self, request: Message) -> Message:
        return executions.answer(request)

    def close(self) -> None:
        pass


def cases() -> Iterator[tuple[str, Any, Mapping[str, Any]]]:
    """Yield models with arrays as inputs: all of those whose cost depends on data, and some of the others."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx.backend.test.case.node import collect_testcases

        found = collect_testcases(None)
    for index, case in enumerate(found):
        if not DATA_DEPENDENT.match(case.name) and index % EVERY:
            continue
        if case.model is None or not case.data_sets:
            continue
        given = case.data_sets[0][0]
        plain = all(isinstance(array, np.ndarray) and array.dtype.kind in "biuf" for array in given)
        if plain and all(item.version <= LATEST for item in case.model.opset_import if not item.domain):
            case.model.ir_version = min(case.model.ir_version, 10)
            yield case.name, case.model, dict(zip((i.name for i in case.model.graph.input), given, strict=False))


@pytest.fixture
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executions, "Child", InThisProcess)


@pytest.mark.usefixtures("_in_this_process")
def test_a_run_and_the_graph_agree() -> None:
    agreed = settled = 0
    for name, model, feeds in cases():
        loaded = load(model, dims={key: array.shape for key, array in feeds.items()})
        try:
            seen = observe(loaded, feeds)
        except RunError:  # onnxruntime has no kernel for it
            continue
        static, observed = count(loaded), count(loaded, observations=seen)
        assert observed.symbols == (), name
        if static.bound == "exact" and not static.symbols:
            assert (observed.bound, observed.cost) == ("exact", static.cost), name
            agreed += 1
        settled += observed.bound == "exact" and (static.bound != "exact" or bool(static.symbols))
    assert agreed > 60
    assert settled
