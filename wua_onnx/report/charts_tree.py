"""The modules of a cost report as a tree, and its numbers as lengths that can be drawn."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from wua_onnx.cost.groups import OUTSIDE
from wua_onnx.model.dim_json import from_json, to_json
from wua_onnx.model.dims import substitute
from wua_onnx.report import numbers as n

Json = Mapping[str, Any]

_LINEAR = re.compile(r"([0-9]{1,4000})\*([^-+*/(),\s]+)(?: \+ ([0-9]{1,4000}))?", re.ASCII)  # 12*batch + 34
_DEEPEST = 64  # levels that are told apart; deeper ones stand side by side


@dataclass(slots=True, kw_only=True)
class Branch:
    """A module: its row in `by_module`, its name inside the module around it, and the modules inside it."""

    name: str
    index: int
    row: Json
    children: list[Branch] = field(default_factory=list)

    def all(self) -> Iterator[Branch]:
        """Yield the branch and everything inside it, parents first."""
        yield self
        for child in self.children:
            yield from child.all()


def tree_of(rows: Sequence[Json]) -> list[Branch]:
    """Return the outermost modules of `by_module`; modules around a single one of the same nodes are joined with it."""
    roots: list[Branch] = []
    around: list[Branch] = []
    for index, row in enumerate(rows):
        if row["depth"] < 1 and row["path"] != OUTSIDE:  # the whole model
            continue
        del around[min(max(row["depth"] - 1, 0), _DEEPEST) :]
        outer = around[-1] if around else None
        branch = Branch(name=_inner(row["path"], outer), index=index, row=row)
        (outer.children if outer else roots).append(branch)
        around.append(branch)
    return [_joined(branch) for branch in roots]


def _inner(path: str, outer: Branch | None) -> str:
    around = outer.row["path"] if outer else ""
    return path[len(around) + 1 :] if outer and path.startswith(around) and len(path) > len(around) + 1 else path


def _joined(branch: Branch) -> Branch:
    name = branch.name
    while len(branch.children) == 1 and branch.children[0].row["nodes"] == branch.row["nodes"]:
        [branch] = branch.children
        name = f"{name}.{branch.name}"
    children = [_joined(child) for child in branch.children]
    return Branch(name=name, index=branch.index, row=branch.row, children=children)


def lengths(values: Sequence[n.Number], cost: Json) -> list[float] | None:
    """Return numbers to draw: as they are, with the batch as 1 where only it is free, or as factors of one product.

    None where some are unknown, or depend on dimensions in different ways.
    """
    if any(value is None for value in values):
        return None
    if not any(isinstance(value, Mapping) for value in values):
        return _finite(values)
    bound = _at_batch_one(values, cost)
    if bound is not None:
        return _finite(bound)
    return [n.factor(value) or 0.0 for value in values] if n.comparable(values) else None


def of_one_sample(cost: Json) -> bool:
    """Return whether the batch is the only free dimension: what is drawn is one sample then."""
    batch = cost.get("batch")
    return len(cost["symbols"]) == 1 and isinstance(batch, Mapping) and batch.get("text") == cost["symbols"][0]


def of_a_sample(value: n.Number, cost: Json) -> n.Number:
    """Return a count of a run with the batch as 1, where that is a free dimension; other dimensions stay free."""
    batch = cost.get("batch")
    symbol = batch.get("text") if isinstance(batch, Mapping) else None
    if not isinstance(value, Mapping) or not isinstance(symbol, str) or symbol not in cost["symbols"]:
        return value
    linear = _LINEAR.fullmatch(str(value.get("text")))
    if linear is not None and linear[2] == symbol:  # nearly all of them, and ten times as fast
        count: n.Number = to_json(int(linear[1]) + int(linear[3] or 0))
        return count
    try:
        dim = from_json(value)
    except (ValueError, TypeError, KeyError):  # an expression without its terms
        return value
    found: n.Number = value if dim is None else to_json(substitute(dim, {symbol: 1}))
    return found


def rows_of_a_sample(rows: Sequence[Json], cost: Json) -> list[dict[str, Any]]:
    """Return rows of `cost`, or layers, with their figures `of_a_sample`."""
    keys = ("macs", "flops", "int_ops", "bytes")
    return [{**row, **{key: of_a_sample(row[key], cost) for key in keys if key in row}} for row in rows]


def _at_batch_one(values: Sequence[n.Number], cost: Json) -> list[n.Number] | None:
    if not of_one_sample(cost):
        return None
    found = [of_a_sample(value, cost) for value in values]
    return None if any(isinstance(size, Mapping) for size in found) else found


def _finite(values: Sequence[n.Number]) -> list[float] | None:
    found = [n.ratio(value, 1) for value in values]
    known = [max(value, 0.0) for value in found if value is not None]
    return known if len(known) == len(found) else None


def not_drawn(what: str, cost: Json, values: Sequence[n.Number] | None = None) -> str:
    """Return why there is no drawing, of `values` if they are why."""
    if cost["symbols"] and not any(value is None for value in values or ()):
        free = ", ".join(cost["symbols"][:6])
        return f"No drawing: {what} depend on dimensions that are free ({free}); bind them with --dim NAME=SIZE"
    return f"No drawing: {what} are not known for all of it"
