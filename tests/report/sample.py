"""Two fictional audits in the JSON of `Audit.to_dict`, and one whose every name is hostile.

`samples/digits.json` is a small CNN that was recorded; `samples/transformer.json` a static audit with symbolic
dimensions, operators without a rule, and integers above 2^53.
"""

from __future__ import annotations

import json
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


def hostile() -> dict[str, Any]:
    """Return the digits audit with every string of the model replaced by a hostile one."""
    names = cycle(HOSTILE)

    def poison(value: Any, key: str) -> Any:
        if isinstance(value, dict):
            open_keys = key in _NAMED_BY_THE_MODEL
            return {next(names) if open_keys else k: poison(v, k) for k, v in value.items()}
        if isinstance(value, list):
            return [poison(item, key) for item in value]
        return next(names) if isinstance(value, str) and key not in _ENUMS else value

    audit = digits()
    audit["cost"]["unsupported"] = {"op": 1}
    poisoned = poison(audit, "")
    assert isinstance(poisoned, dict)
    return poisoned


_NAMED_BY_THE_MODEL = frozenset({"opsets", "unsupported", "dims", "versions"})
_ENUMS = frozenset(
    {"severity", "kind", "verdict", "confidence", "utilization", "gini", "redundancy", "bound", "id", "from", "to"}
)  # fmt: skip
