"""The result of a check: what was compared with what, and what broke."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wua_onnx.budget.outcome import Outcome
from wua_onnx.errors import BudgetError

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """What became of the budgets of a model.

    Attributes:
        model: its name.
        file: its path as it was given; None for an object.
        outcomes: every budget and every comparison with the baseline, in the order of the tables.
        baseline: the name of the baseline; None where there is none.
        notes: what a reader of the figures has to know.
        audit: the JSON of the audit that was checked, whole or its cost alone.
        failed: whether a run failed, so that figures rest on less than was asked for; `notes` says why.
        version: of this package.
    """

    model: str
    file: str | None = None
    outcomes: tuple[Outcome, ...] = ()
    baseline: str | None = None
    notes: tuple[str, ...] = ()
    failed: bool = False
    version: str = "0"
    audit: Mapping[str, Any] | None = field(default=None, repr=False, compare=False)

    @property
    def ok(self) -> bool:
        """Whether every limit is kept."""
        return not self.broken

    @property
    def broken(self) -> tuple[Outcome, ...]:
        """The outcomes that break their limit."""
        return tuple(outcome for outcome in self.outcomes if not outcome.ok)

    @property
    def summary(self) -> str:
        """The result in one line."""
        if self.ok:
            return f"{self.model}: {_limits(len(self.outcomes))} kept"
        return f"{self.model}: {len(self.broken)} of {_limits(len(self.outcomes))} broken"

    def to_dict(self) -> dict[str, Any]:
        """Return the result in JSON's own types."""
        return {
            "schema_version": SCHEMA_VERSION,
            "tool": {"name": "wua_onnx", "version": self.version},
            "model": {"name": self.model, "file": self.file},
            "baseline": self.baseline,
            "ok": self.ok,
            "outcomes": [outcome.to_dict() for outcome in self.outcomes],
            "notes": list(self.notes),
            "failed": self.failed,
        }

    def to_json(self, path: str | Path | None = None) -> str:
        """Return the result as JSON text; written to `path` where one is given (raises OutputError)."""
        return _written(json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False, indent=1), path)

    def to_html(self, path: str | Path | None = None) -> str:
        """Return the page of the audit with the limits at its top; written to `path` where one is given.

        Raises:
            BudgetError: figures were counted and no more: check with `whole=True`, or an audit.
            OutputError: `path` cannot be written.
        """
        from wua_onnx.report.html import render

        if self.audit is None or "layers" not in self.audit:
            raise BudgetError("page of a check: expected a whole audit, got figures alone: check with whole=True")
        return _written(render({**self.audit, "check": self.shown()}), path)

    def shown(self) -> dict[str, Any]:
        """Return the result as an audit's JSON has it: figures as texts."""
        limits = [
            {
                "label": outcome.label, "ok": outcome.ok, "certain": outcome.certain, "got": outcome.got_text,
                "limit": outcome.limit_text, "over": outcome.over_text, "most_in": outcome.most_in,
            }
            for outcome in self.outcomes
        ]  # fmt: skip
        return {"limits": limits, "notes": list(self.notes)}

    def to_junit(self, path: str | Path | None = None) -> str:
        """Return the result as JUnit XML, a test case per limit; written to `path` where one is given."""
        from wua_onnx.budget.junit import to_junit

        return _written(to_junit(self), path)

    def to_sarif(self, path: str | Path | None = None) -> str:
        """Return the result as SARIF 2.1.0, a rule per limit; written to `path` where one is given."""
        from wua_onnx.budget.sarif import to_sarif

        return _written(json.dumps(to_sarif(self), ensure_ascii=False, indent=1), path)

    def to_markdown(self, path: str | Path | None = None) -> str:
        """Return the result as Markdown, for a pull request; written to `path` where one is given."""
        from wua_onnx.budget.markdown import to_markdown

        return _written(to_markdown(self), path)

    def to_github(self) -> str:
        """Return the annotations that GitHub shows for what broke, a line each."""
        from wua_onnx.budget.github import to_github

        return to_github(self)

    def show(self) -> None:
        """Print the result in the terminal."""
        from wua_onnx.budget.table import print_check

        print_check(self)

    def __str__(self) -> str:
        from wua_onnx.budget.table import as_text

        return as_text(self)


def _limits(count: int) -> str:
    return f"{count} limit{'s' * (count != 1)}"


def _written(text: str, path: str | Path | None) -> str:
    if path is not None:
        from wua_onnx._files import write_text

        write_text(Path(path), text + "\n")
    return text
