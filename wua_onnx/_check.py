"""check(): a model against its budgets, and against a baseline."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from wua_onnx._audit import analyze
from wua_onnx._audit_json import read_result, well_formed
from wua_onnx._describe import describe_model
from wua_onnx._result import Audit
from wua_onnx._sources import opened, with_sample
from wua_onnx.budget import Budget, CheckResult, against_baseline, against_budgets, budgets_of
from wua_onnx.budget.amounts import parse
from wua_onnx.cost import CostReport
from wua_onnx.errors import BudgetError, DataError
from wua_onnx.model.load import Dims

Json: TypeAlias = Mapping[str, Any]


def check(
    model: Any,
    X: Any = None,
    y: Any = None,
    *,
    baseline: Any = None,
    allow_increase: float | str = 0,
    dims: Dims | None = None,
    batch_axis: int = 0,
    criterion: str = "activation",
    batch_size: int | None = None,
    device: str = "cpu",
    isolate: bool = False,
    whole: bool = False,
    progress: Any = None,
    **budgets: float | str | None,
) -> CheckResult:
    """Compare a model with its budgets: `check("model.onnx", max_flops="2G", max_peak_memory="64MiB").ok`.

    Only what the budgets ask for is done: counts read no weights and run nothing, redundancy reads the weights (and
    runs the model on X, where there is one), a latency is measured.

    Args:
        model: as for `analyze`; an `Audit` or a `CostReport`, or a path to the JSON of one.
        X: data, as for `analyze`.
        y: labels, one a sample.
        baseline: another model, audit or cost report, or a path to the JSON of one, which no figure may exceed (see
            `allow_increase`).
        allow_increase: by how much figures may be worse than those of the baseline: "2%", 0.02.
        dims: sizes of symbolic dimensions; where there is neither X nor dims, those the baseline was audited at.
        batch_axis: the axis of the inputs along which samples lie.
        criterion: the criterion of importance.
        batch_size: samples in a batch; the model's own where it is fixed.
        device: "cpu" or "cuda".
        isolate: run onnxruntime in a child process.
        whole: audit the whole model, whatever the budgets need, for `CheckResult.to_html`.
        progress: as for `analyze`.
        budgets: the most or the least that a figure may be, by name: `max_flops="2G"`, `max_params=5_000_000`,
            `max_weight_bytes="20MB"`, `min_accuracy="95%"`. A wrong name tells all of them.

    Raises:
        BudgetError: there is no such budget, an amount does not parse, or there is nothing to compare with.
        ShapeError: a figure depends on dimensions that are free.
        DataError: a figure is not in the audit, or the baseline shares no layer with the model.
        WuaError: as `analyze` and `Audit.from_json` do.
    """
    from wua_onnx import __version__

    limits = budgets_of(budgets)
    allowed = parse("allow_increase", allow_increase, "increase")
    if not limits and baseline is None:
        raise BudgetError("check: expected a budget such as max_flops='2G', or a baseline, got neither")
    if hasattr(X, "__next__"):
        X = list(X)  # the model and its baseline read it
    options = {
        "dims": dims, "batch_axis": batch_axis, "criterion": criterion, "batch_size": batch_size, "device": device,
        "isolate": isolate, "progress": progress,
    }  # fmt: skip
    before = None if baseline is None else _baseline_of(baseline, X, y, limits, options)
    if before is not None and X is None and not dims:
        options["dims"] = _sizes_of(before, model)
    audit = _audit_of(model, X, y, limits, whole or before is not None, options)
    with well_formed(f"check of {_path(model) or 'a model'}"):
        outcomes, notes = against_budgets(audit, limits), _notes(audit)
        if before is not None:
            compared, more = against_baseline(audit, before, allowed)
            outcomes, notes = (*outcomes, *compared), (*notes, *more)
    return CheckResult(
        model=audit["model"]["name"],
        file=_shown(_path(model)),
        outcomes=outcomes,
        baseline=None if before is None else before["model"]["name"],
        notes=notes,
        failed=any(_errors(audit)),
        version=__version__,
        audit=audit,
    )


def _baseline_of(baseline: Any, X: Any, y: Any, limits: tuple[Budget, ...], options: Mapping[str, Any]) -> Json:
    """Return the JSON of an audit of the baseline; one that was made before is taken as it is."""
    result = _result_of(baseline)
    if result is None:
        return _audit_of(baseline, X, y, limits, True, options)
    cost = result.cost if isinstance(result, Audit) else result
    dims = {name: size for name, size in (options["dims"] or {}).items() if name in cost.symbols}
    return _of_result(result, dims, _stem(baseline))


def _result_of(given: Any) -> Audit | CostReport | None:
    """Return the audit or report that `given` is, or the file of; None for a model."""
    if isinstance(given, str | os.PathLike) and Path(given).suffix == ".json":
        data = read_result(Path(given))
        with well_formed(given):
            return Audit(data) if "schema_version" in data else CostReport.from_dict(data)
    return given if isinstance(given, Audit | CostReport) else None


def _audit_of(model: Any, X: Any, y: Any, limits: tuple[Budget, ...], whole: bool, options: Mapping[str, Any]) -> Json:
    """Return the JSON of an audit of `model`, no more of it than the limits need."""
    result = _result_of(model)
    if result is not None and X is not None:
        raise DataError("check: expected a model to run on X, got the result of an audit: leave X out")
    if result is not None:
        return _of_result(result, options["dims"], _stem(model))
    needs = {budget.metric.needs for budget in limits}
    if needs <= {"cost"} and not whole:
        X, sample = with_sample(X)
        with opened(model, sample, options["dims"], options["batch_axis"]) as source:
            data = source.data(X, y, options["batch_axis"]) if X is not None else None
            cost = source.cost(options["dims"], data, options["batch_axis"])
            return {"model": describe_model(source.model, None), "cost": cost.to_dict()}
    return analyze(model, X, y, profile="profile" in needs, **options).to_dict()


def _of_result(result: Audit | CostReport, dims: Dims | None, name: str = "model") -> Json:
    """Return the JSON of what was counted before, with free dimensions bound."""
    cost = result.cost if isinstance(result, Audit) else result
    free: dict[str, Any] = {name: size for name, size in (dims or {}).items() if cost.dims.get(name) != size}
    bound = cost.at(free) if free else cost
    audit = result.to_dict() if isinstance(result, Audit) else {"model": {"name": name}}
    return {**audit, "cost": bound.to_dict()} if free or "cost" not in audit else audit


def _sizes_of(baseline: Json, model: Any) -> dict[str, int] | None:
    """Return the sizes that a baseline was audited at, of dimensions that are free in the model."""
    dims = baseline["cost"].get("dims") or {}
    if not dims or isinstance(model, Audit | CostReport) or _path(model, ".json"):
        return None
    with opened(model, None, dims) as source:
        free = source.cost(None, None, 0).symbols
    return {name: size for name, size in dims.items() if name in free} or None


def _notes(audit: Json) -> tuple[str, ...]:
    """Return what a reader of the figures has to know."""
    from wua_onnx.report.facts import notes

    found = [note for note in notes(audit["cost"]) if "not" in note]
    return (*found, *_errors(audit))


def _errors(audit: Json) -> tuple[str, ...]:
    """Return why runs failed that the audit asked for."""
    words = {"recording": "recording failed", "profile": "measuring failed"}
    errors = {part: (audit.get(part) or {}).get("error") for part in words}
    return tuple(f"{words[part]}: {error}" for part, error in errors.items() if error)


def _shown(path: str | None) -> str | None:
    """Return a path as annotations need it: relative where it lies below the working directory."""
    if path is None or not Path(path).is_absolute():
        return path
    plain = os.path.normpath(path)
    return os.path.relpath(plain) if Path(plain).is_relative_to(Path.cwd()) else plain


def _stem(given: Any) -> str:
    """Return what a result without a name is called: its file's name."""
    return Path(given).stem if isinstance(given, str | os.PathLike) else "model"


def _path(model: Any, suffix: str = "") -> str | None:
    """Return the path of a model as it was given; None for an object, and where its suffix is another."""
    given = os.fspath(model) if isinstance(model, str | os.PathLike) else None
    return given if isinstance(given, str) and given.endswith(suffix) else None
