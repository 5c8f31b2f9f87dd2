"""check() with the settings of a project's `pyproject.toml` where the caller says nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from wua_onnx._check import check
from wua_onnx.budget import CheckResult, all_metrics
from wua_onnx.budget.config import Settings, settings_from
from wua_onnx.errors import BudgetError


def check_configured(folder: Path, model: Any = None, X: Any = None, **options: Any) -> CheckResult:
    """Return `check` of a model, by the budgets of the caller, or else by those of the project around `folder`.

    Raises:
        BudgetError: no model is named anywhere, or the settings do not parse.
        WuaError: as `check` does.
    """
    asked = {one.key for one in all_metrics()} & options.keys() or "baseline" in options
    settings = Settings() if asked and model is not None else settings_from(folder)
    return check_with(settings, model, X, own=not asked, **options)


def check_with(settings: Settings, model: Any, X: Any, *, own: bool = True, **options: Any) -> CheckResult:
    """Return `check` with what `settings` add to the caller's options; its budgets only where `own` is true."""
    model = settings.model if model is None else model
    if model is None:
        raise BudgetError("check: expected a model, as an argument or as `model` of [tool.wua-onnx], got none")
    X = settings.data if X is None else X
    added: dict[str, Any] = {"dims": dict(settings.dims) or None}
    if own:
        added |= {**settings.budgets, "baseline": settings.baseline}
        if settings.allow_increase is not None:
            added["allow_increase"] = settings.allow_increase
    return check(model, X, **{**added, **options})
