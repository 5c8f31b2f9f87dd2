"""JSON as text: a line for each layer's figures, each node, each box, as quick to write as it is to read."""

from __future__ import annotations

import json
from typing import Any

_LEVELS = 3  # of nesting that are written as lines
_ENCODE = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode  # with an indent it would not be the fast one


def json_text(value: Any) -> str:
    """Return `value` as JSON: its outer levels line by line, what is inside of them on one line.

    Raises:
        ValueError: a number is NaN or infinite.
    """
    return _text(value, 0)


def _text(value: Any, level: int) -> str:
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if level == _LEVELS or not any(isinstance(part, dict | list) for part in parts):
        return _ENCODE(value)
    indent = " " * (level + 1)
    if isinstance(value, dict):
        lines = [f"{indent}{_ENCODE(key)}: {_text(v, level + 1)}" for key, v in value.items()]
        return "{\n" + ",\n".join(lines) + "\n" + " " * level + "}"
    lines = [indent + _text(part, level + 1) for part in value]
    return "[\n" + ",\n".join(lines) + "\n" + " " * level + "]"
