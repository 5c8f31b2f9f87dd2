"""Two fictional audits in the JSON of `Audit.to_dict`, and one whose every name is hostile.

`samples/digits.json` is a small CNN that was recorded; `samples/transformer.json` a static audit with symbolic
dimensions, operators without a rule, and integers above 2^53.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any


def digits() -> dict[str, Any]:
    """Return the audit of a small CNN on 8×8 digits, recorded over 360 images."""
    return _read("digits")


def transformer() -> dict[str, Any]:
    """Return the static audit of a transformer."""
    return _read("transformer")


def _read(name: str) -> dict[str, Any]:
    audit = json.loads((Path(__file__).parent / "samples" / f"{name}.json").read_text(encoding="utf-8"))
    assert isinstance(audit, dict)
    return audit


HOSTILE = (
    "<script>alert(1)</script>",
    '"&onload=alert(1) x="',
    "'};alert(1)//",
    "safe\u202egnp.exe\u202c",
    "nul\x00esc\x1b[31mred\nnew\tline\x7f",
    "[red]markup[/red] | pipe `tick` *star* [link](javascript:alert(1))",
    "dot\\N\\G\\l\"];evil[label=<b>x</b>",
    "{{ 7*7 }}{% raw %}",
    "lone\ud800surrogate\ufeff\u200b",
    "x" * 10_240,
)  # fmt: skip


def rich() -> dict[str, Any]:
    """Return the digits audit by two criteria, with gates, heads, and every note of a recording."""
    audit = digits()
    audit["settings"]["criterion"] = ["activation", "magnitude"]
    for index, layer in enumerate(audit["layers"]):
        layer.update(dtype="FLOAT", dead=[0, 3, 4, 5] if index == 2 else [], dead_neurons=4 if index == 2 else 0)
        first = layer["criteria"]["activation"]
        strongest = list(range(len(first["neuron_importance"])))
        first.update(lorenz=[0.0, 0.1, 0.25, 0.55, 1.0], strongest=strongest)
        metrics = {**first["metrics"], "utilization": 0.9 - 0.2 * index}
        layer["criteria"]["magnitude"] = {**first, "metrics": metrics, "strongest": strongest[::-1]}
    gate = {"name": "forget", "share": 0.625, "utilization": 0.5, "redundancy": 0.25, "gini": 0.125}
    audit["layers"][2]["criteria"]["activation"]["gates"] = [gate, {**gate, "name": "cell", "share": 0.375}]
    part = {"layer": audit["layers"][3]["name"], "mapped": 10, "of": 10, "reason": None, "importance": [3.0, 1.0]}
    audit["attention"] = [
        {
            "name": "block.attention", "node": "n", "op": "Softmax", "heads": 2, "kv_heads": 2, "kv_head_of": [0, 1],
            "complete": True, "parts": {"value": [part]}, "head_importance": [6.0, 2.0], "sum": 8.0, "entropy": 0.56,
            "normalized_entropy": 0.81, "effective": 1.75, "similarity": [0.5, 0.5], "most_similar": [1, 0],
            "dead_heads": [1],
        }
    ]  # fmt: skip
    audit["recording"].update(
        accuracy=0.9, mask="attention_mask", unmasked=["conv1"], mixes_samples=["bn1"],
        precision="bfloat16 computed in float32", missing={"fc9": "inside a loop"},
    )  # fmt: skip
    audit["coverage"]["unrecorded"] = [{"name": "fc9", "elements": 1_234, "reason": "inside a loop"}]
    return audit


def hostile(make: Callable[[], dict[str, Any]] = digits) -> dict[str, Any]:
    """Return an audit with every string of the model replaced by a hostile one."""
    names = cycle(HOSTILE)

    def poison(value: Any, key: str) -> Any:
        if isinstance(value, dict):
            open_keys = key in _NAMED_BY_THE_MODEL
            return {next(names) if open_keys else k: poison(v, k) for k, v in value.items()}
        if isinstance(value, list):
            return [poison(item, key) for item in value]
        return next(names) if isinstance(value, str) and key not in _ENUMS else value

    audit = make()
    audit["cost"]["unsupported"] = {"op": 1}
    poisoned = poison(audit, "")
    assert isinstance(poisoned, dict)
    return poisoned


_NAMED_BY_THE_MODEL = frozenset({"opsets", "unsupported", "dims", "versions", "missing"})
_ENUMS = frozenset(
    {"severity", "kind", "verdict", "confidence", "utilization", "gini", "redundancy", "bound", "id", "from", "to"}
)  # fmt: skip
