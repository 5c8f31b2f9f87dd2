"""A budget of memory that threads share, and layers measured side by side in it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import wua_onnx as wua
from wua_onnx.importance.measured import Memory

from ..recording.models import model, rand  # noqa: TID252 - tests are not installed


def test_what_is_taken_stays_within_the_budget() -> None:
    memory, lock = Memory(10), threading.Lock()
    held, most, together = 0, 0, 0

    def work(needed: int) -> None:
        nonlocal held, most, together
        with memory.take(needed):
            with lock:
                held += needed
                together = max(together, held)
                most = max(most, held - needed if needed > memory.budget else held)
            threading.Event().wait(0.001)
            with lock:
                held -= needed

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, [3, 4, 5, 2, 7, 1, 40, 6, 3] * 5))
    assert most <= memory.budget  # what needs more than there is has it alone
    assert together == 40
    assert held == 0


def test_what_fails_gives_back_what_it_took() -> None:
    memory = Memory(10)
    with pytest.raises(ZeroDivisionError), memory.take(7):
        _ = 1 / 0
    with memory.take(10):
        pass


def test_layers_side_by_side_are_measured_as_one_by_one() -> None:
    """Many layers in threads, as many at a time as there are, and with a budget of 1 byte one after the other."""
    names = [f"w{i}" for i in range(23)]
    nodes = " ".join(f"h{i + 1} = MatMul(h{i}, {name})" for i, name in enumerate(names))
    proto = model(
        f"(float[N, 7] h0) => (float[] h23) {{ {nodes} }}",
        {name: rand(7, 7, seed=i) for i, name in enumerate(names)},
    )
    together, alone = wua.analyze(proto), wua.analyze(proto, memory=2)
    assert list(together.layers) == list(alone.layers) == [f"h{i + 1}" for i in range(23)]
    for index, name in enumerate(together.layers):
        expected = alone.layers[name].metrics
        assert together.layers[name].metrics.entropy == pytest.approx(expected.entropy, rel=1e-12)
        assert together.layers[name].metrics.gini == pytest.approx(expected.gini, abs=1e-6)
        weight = np.abs(rand(7, 7, seed=index)).astype(np.float64)
        share = weight / weight.sum()
        assert expected.entropy == pytest.approx(-(share * np.log(share)).sum(), rel=1e-6)
