"""Whether the figures of two audits may be put beside each other, and what makes them differ beside their models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from wua_onnx._text import visible

Json: TypeAlias = Mapping[str, Any]


def alike(one: Json, two: Json) -> bool:
    """Return whether importance means the same in both."""
    measured = [
        (side["settings"]["criterion"][:1], side["settings"]["data"]) if "settings" in side else None
        for side in (one, two)
    ]
    return measured[0] == measured[1] or None in measured


def differences(one: Json, two: Json, other: str = "") -> Iterator[str]:
    """Yield what makes the audits differ beside their models; `other` is how the second is called."""
    dims = [side["cost"].get("dims") or {} for side in (one, two)]
    if dims[0] != dims[1]:
        sizes = (", ".join(f"{visible(k, 40)}={v}" for k, v in side.items()) or "none" for side in dims)
        yield f"sizes of dimensions differ{other and f' from those of {other}'}: {' against '.join(sizes)}"
    if not alike(one, two):
        settings = (side.get("settings") or {} for side in (one, two))
        words = (f"{visible(side['criterion'][0], 60)}{' on data' if side['data'] else ''}" for side in settings)
        yield f"importance is not compared: {' against '.join(words)}"
