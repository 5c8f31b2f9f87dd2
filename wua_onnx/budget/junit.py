"""The result of a check as JUnit XML: a test suite per model, a test case per limit."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree

from wua_onnx._text import visible

if TYPE_CHECKING:
    from wua_onnx.budget.outcome import Outcome
    from wua_onnx.budget.result import CheckResult


def to_junit(result: CheckResult) -> str:
    """Return the result as JUnit XML; control characters of names are written out, for XML forbids them."""
    name = visible(result.model)
    counts = {"tests": str(len(result.outcomes)), "failures": str(len(result.broken)), "errors": "0"}
    root = ElementTree.Element("testsuites", {"name": "wua-onnx check", **counts, "time": "0"})
    suite = ElementTree.SubElement(root, "testsuite", {"name": name, **counts, "skipped": "0", "time": "0"})
    for outcome in result.outcomes:
        _case(suite, name, visible(result.file or name, 1000), outcome)
    if result.notes:
        ElementTree.SubElement(suite, "system-out").text = "\n".join(visible(note, 600) for note in result.notes)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode")


def _case(suite: ElementTree.Element, model: str, file: str, outcome: Outcome) -> None:
    attributes = {"classname": f"wua-onnx.{model}", "name": outcome.key, "file": file, "time": "0"}
    case = ElementTree.SubElement(suite, "testcase", attributes)
    if outcome.ok:
        ElementTree.SubElement(case, "system-out").text = outcome.sentence
        return
    failure = ElementTree.SubElement(case, "failure", {"type": "BudgetBroken", "message": outcome.sentence})
    failure.text = outcome.explained
