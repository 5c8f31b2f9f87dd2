"""What broke as workflow commands, which GitHub shows as annotations of a run.

https://docs.github.com/en/actions/reference/workflow-commands-for-github-actions#setting-an-error-message
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wua_onnx._text import visible

if TYPE_CHECKING:
    from wua_onnx.budget.outcome import Outcome
    from wua_onnx.budget.result import CheckResult


def to_github(result: CheckResult) -> str:
    """Return an `::error` per broken limit and a `::warning` per limit kept by a figure that is only a bound."""
    said = [outcome for outcome in result.outcomes if not (outcome.ok and outcome.certain)]
    return "\n".join(_command(result, outcome) for outcome in sorted(said, key=lambda outcome: outcome.ok))


def _command(result: CheckResult, outcome: Outcome) -> str:
    properties = {
        "file": visible(result.file or "", 1000),
        "title": f"wua-onnx: {visible(result.model, 60)}: {outcome.key}",
    }
    written = ",".join(f"{name}={_property(text)}" for name, text in properties.items() if text)
    return f"::{'warning' if outcome.ok else 'error'} {written}::{_message(outcome.explained)}"


def _message(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")
