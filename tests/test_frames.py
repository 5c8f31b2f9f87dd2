"""Data frames without pandas."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import wua_onnx as wua
from wua_onnx.errors import MissingDependency

DIGITS = str(Path(__file__).resolve().parent.parent / "examples" / "digits.onnx")
MAKERS: dict[str, Callable[[], object]] = {
    "audit": lambda: wua.analyze(DIGITS).to_pandas(),
    "comparison": lambda: wua.compare(DIGITS, DIGITS).to_pandas(),
    "curve": lambda: wua.cost(DIGITS).curve("batch", [1, 2]).to_pandas(),
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_a_missing_pandas_says_how_to_install_it(make: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingDependency, match=r"a data frame needs pandas, .*wua-onnx\[pandas\]"):
        make()
