"""The result of a check as SARIF 2.1.0, for code scanning.

https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
"""

from __future__ import annotations

import hashlib
from pathlib import PurePath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from wua_onnx._text import visible

if TYPE_CHECKING:
    from wua_onnx.budget.outcome import Outcome
    from wua_onnx.budget.result import CheckResult

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def to_sarif(result: CheckResult) -> dict[str, Any]:
    """Return the result as a SARIF log: a rule per limit, a result for each that broke or is kept by a bound only."""
    said = [outcome for outcome in result.outcomes if not (outcome.ok and outcome.certain)]
    rules = [_rule(outcome) for outcome in result.outcomes]
    driver = {"name": "wua-onnx", "version": result.version, "rules": rules}
    keys = [outcome.key for outcome in result.outcomes]
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "invocations": [{"executionSuccessful": True, "toolExecutionNotifications": [_note(n) for n in result.notes]}],
        "results": [_result(result, outcome, keys.index(outcome.key)) for outcome in said],
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(outcome: Outcome) -> dict[str, Any]:
    words = f"{outcome.label}: {'at most' if outcome.side == 'max' else 'at least'} {outcome.limit_text[2:]}"
    return {
        "id": outcome.key,
        "name": "".join(part.capitalize() for part in outcome.key.split("_")),
        "shortDescription": {"text": words},
        "defaultConfiguration": {"level": "error"},
    }


def _result(result: CheckResult, outcome: Outcome, index: int) -> dict[str, Any]:
    found: dict[str, Any] = {
        "ruleId": outcome.key,
        "ruleIndex": index,
        "level": "warning" if outcome.ok else "error",
        "message": {"text": f"{visible(result.model, 60)}: {outcome.explained}"},
        "partialFingerprints": {"wuaOnnxBudget/v1": _fingerprint(result, outcome)},
    }
    if result.file is not None:
        place = {"artifactLocation": {"uri": _uri(result.file)}, "region": {"startLine": 1}}
        found["locations"] = [{"physicalLocation": place}]
    return found


def _fingerprint(result: CheckResult, outcome: Outcome) -> str:
    """Return what stays the same from run to run, so that the same break is not reported as a new one."""
    return hashlib.sha256(f"{result.file or result.model}\0{outcome.key}".encode()).hexdigest()[:32]


def _uri(file: str) -> str:
    path = PurePath(file)
    return path.as_uri() if path.is_absolute() else quote(path.as_posix())


def _note(text: str) -> dict[str, Any]:
    return {"level": "note", "message": {"text": visible(text, 600)}}
