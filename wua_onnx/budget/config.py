"""Budgets from the `[tool.wua-onnx]` table of `pyproject.toml`.

Keys are those of the command line without their dashes in front (`max-flops`; `max_flops` is the same), and
`model`, `data`, `baseline` (paths, relative to the file), `allow-increase`, `dims` (a table of sizes).
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wua_onnx._text import visible
from wua_onnx.budget.registry import all_metrics, budgets_of
from wua_onnx.errors import BudgetError

NAME = "pyproject.toml"
_TABLE = "wua-onnx"
_PATHS = ("model", "data", "baseline")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a project asks of its model.

    Attributes:
        file: where it stands; None where there is none.
        budgets: amounts by key, `{"max_flops": "2G"}`.
        model, data, baseline: paths.
        allow_increase: over the baseline, as it was written.
        dims: sizes of symbolic dimensions.
    """

    file: Path | None = None
    budgets: Mapping[str, Any] = field(default_factory=dict)
    model: str | None = None
    data: str | None = None
    baseline: str | None = None
    allow_increase: Any = None
    dims: Mapping[str, int] = field(default_factory=dict)


def settings_from(start: Path) -> Settings:
    """Return the settings of the nearest `pyproject.toml` that has the table, in `start` or above it.

    Raises:
        BudgetError: a file on the way is no TOML, or the table has keys or values that are not known.
    """
    for folder in (start.resolve(), *start.resolve().parents):
        file = folder / NAME
        if file.is_file():
            table = _table(file)
            if table is not None:
                return _settings(file, table)
    return Settings()


def _table(file: Path) -> Mapping[str, Any] | None:
    try:
        tools = tomllib.loads(file.read_text(encoding="utf-8")).get("tool", {})
    except (OSError, ValueError) as error:
        raise BudgetError(f"{file}: expected TOML, got {error}") from error
    table = tools.get(_TABLE) if isinstance(tools, dict) else None
    if table is not None and not isinstance(table, dict):
        raise BudgetError(f"{file}: [tool.{_TABLE}]: expected a table, got {visible(repr(table), 60)}")
    return table


def _settings(file: Path, table: Mapping[str, Any]) -> Settings:
    known = [*(one.option for one in all_metrics()), *_PATHS, "allow-increase", "dims"]
    given: dict[str, Any] = {}
    for name, value in table.items():
        option = name.replace("_", "-")
        if option not in known or option in given:
            problem = "once" if option in given else f"one of {', '.join(known)}"
            raise BudgetError(f"{file}: [tool.{_TABLE}]: expected {problem}, got {visible(name)!r}")
        given[option] = value
    budgets = {one.key: given[one.option] for one in all_metrics() if one.option in given}
    try:
        budgets_of(budgets)
    except BudgetError as error:
        raise BudgetError(f"{file}: [tool.{_TABLE}]: {error}") from error
    paths = {name: str(file.parent / _text(file, name, given[name])) for name in _PATHS if name in given}
    return Settings(
        file=file,
        budgets=budgets,
        allow_increase=given.get("allow-increase"),
        dims=_dims(file, given.get("dims", {})),
        **paths,
    )


def _text(file: Path, name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise BudgetError(f"{file}: [tool.{_TABLE}]: {name}: expected a path, got {visible(repr(value), 60)}")
    return value


def _dims(file: Path, value: Any) -> Mapping[str, int]:
    if not isinstance(value, dict) or not all(type(size) is int and size >= 0 for size in value.values()):
        raise BudgetError(
            f"{file}: [tool.{_TABLE}]: dims: expected a table of sizes such as {{batch = 1}}, "
            f"got {visible(repr(value), 60)}"
        )
    return value
