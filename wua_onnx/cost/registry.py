"""The table of rules: which function counts which operator, from which version on."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import TypeAlias, TypeVar

from wua_onnx.cost.value import Cost, Estimate, Verdict
from wua_onnx.model.node import NodeView

RuleFunction: TypeAlias = Callable[[NodeView], Cost | Estimate]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How one operator is counted.

    Attributes:
        op, domain, since: the operator, and the first opset version the rule is right for.
        count: the function, which may say that the cost of one node is an estimate; None for an operator that is free.
        verdict: counted, estimate or free.
        reason: why it is free, or what the estimate assumes.
        by_dtype: whether integer inputs turn the figures into integer operations (convention 7).
    """

    op: str
    domain: str
    since: int
    count: RuleFunction | None
    verdict: Verdict
    reason: str | None = None
    by_dtype: bool = True

    @property
    def formula(self) -> str:
        """The first line of the rule's docstring, or the reason for which it is free."""
        text = self.count.__doc__ if self.count is not None else self.reason
        return (text or "").strip().splitlines()[0]


_Function = TypeVar("_Function", bound=RuleFunction)

_RULES: dict[tuple[str, str], dict[int, Rule]] = {}


def _add(rule: Rule) -> None:
    versions = _RULES.setdefault((rule.domain, rule.op), {})
    if rule.since in versions:
        raise ValueError(f"{rule.domain}::{rule.op} since {rule.since}: expected one rule, got a second")
    versions[rule.since] = rule


def rule(
    op: str, *, since: int = 1, domain: str = "", estimate: str | None = None, by_dtype: bool = True
) -> Callable[[_Function], _Function]:
    """Register the decorated function for `op` from opset `since` on; decorators stack.

    Args:
        op: the operator's name.
        since: the opset version from which the rule holds, up to the next registered one.
        domain: the operator's domain.
        estimate: what the formula assumes, where it is an estimate.
        by_dtype: False where the function itself tells integer from floating-point work.
    """
    verdict = Verdict.ESTIMATE if estimate else Verdict.COUNTED

    def register(function: _Function) -> _Function:
        _add(
            Rule(op=op, domain=domain, since=since, count=function, verdict=verdict, reason=estimate, by_dtype=by_dtype)
        )
        return function

    return register


def free(reason: str, *ops: str, domain: str = "") -> None:
    """Register `ops` as free, for `reason`."""
    for op in ops:
        _add(Rule(op=op, domain=domain, since=1, count=None, verdict=Verdict.FREE, reason=reason))


@cache
def _load() -> None:
    from wua_onnx.cost import rules as room

    for module in pkgutil.iter_modules(room.__path__):
        import_module(f"{room.__name__}.{module.name}")


def find(domain: str, op: str, opset: int) -> Rule | None:
    """Return the rule with the greatest `since` that is not above `opset`; None where there is none."""
    _load()
    versions = _RULES.get((domain, op), {})
    fitting = [since for since in versions if since <= opset]
    return versions[max(fitting)] if fitting else None


def all_rules() -> Iterator[Rule]:
    """Yield every rule, by domain, name and version."""
    _load()
    for key in sorted(_RULES):
        yield from (_RULES[key][since] for since in sorted(_RULES[key]))
