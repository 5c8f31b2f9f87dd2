"""Findings: what a reader should look at, each with its evidence, its saving and how sure it is.

A rule is one function in a file of `rules`, registered by its decorator.
"""

from wua_onnx.findings.registry import Evidence, Finding, checks, find, rule_names

__all__ = ["Evidence", "Finding", "checks", "find", "rule_names"]
