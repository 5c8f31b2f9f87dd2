"""The text of an audit: the same data as Python's own writer, in fewer and readable lines."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from wua_onnx._json import json_text

SAMPLE = json.loads((Path(__file__).parent / "report" / "samples" / "digits.json").read_text(encoding="utf-8"))
VALUES: list[Any] = [
    None, [], {}, "a\n\u2028<ü", 2**60, [[]], {"": {"b": [1, {"c": [[2]]}]}, "\"": [None, True]}, SAMPLE,
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES)
def test_it_reads_back(value: Any) -> None:
    assert json.loads(json_text(value)) == value


def test_each_node_is_a_line_of_its_own() -> None:
    lines = [line.strip().removesuffix(",") for line in json_text(SAMPLE).splitlines()]
    assert all(json.dumps(node, ensure_ascii=False) in lines for node in SAMPLE["cost"]["by_node"])
    assert len(lines) < len(json.dumps(SAMPLE, indent=1).splitlines()) / 5


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_numbers_that_json_does_not_know_are_refused(number: float) -> None:
    with pytest.raises(ValueError, match="Out of range"):
        json_text({"a": {"b": [number]}})
