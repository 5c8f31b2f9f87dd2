"""The structure: modules inside modules with what they cost, those that repeat folded into one line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from wua_onnx._text import visible
from wua_onnx.model.dim_json import from_json, to_json
from wua_onnx.model.dims import total
from wua_onnx.report import numbers as n
from wua_onnx.report.charts_tree import Branch, lengths, of_a_sample, tree_of

Json = Mapping[str, Any]

_LINES = 400  # at most; what lies deeper is counted
_SIBLINGS = 150  # lines inside one module
_SMALLEST = 3  # nodes of a repeated module that is worth a drawing
_OPEN = 12  # lines of the outermost level below which the next one is open


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A module, or `count` side by side that are built the same, of which the first opens.

    `hidden` modules inside have no line.
    """

    name: str
    title: str
    count: int
    nodes: str
    params: str
    macs: str
    share: str
    length: float | None
    children: tuple[Line, ...]
    hidden: int
    opened: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Structure:
    """The tree; `modules` are all, `folded` those that repeat one that is shown, `left_out` what has no line."""

    lines: tuple[Line, ...]
    modules: int
    folded: int
    left_out: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeated:
    """Modules side by side that are built the same: the path of the first, the name of the last, how many."""

    path: str
    last: str
    count: int
    nodes: int


def repeated(cost: Json) -> list[Repeated]:
    """Return the outermost modules that repeat, in the order of the tree, each kind once."""
    roots = tree_of(cost["by_module"])
    tree, found, seen = _Tree(cost, roots), [], set()
    pending = list(reversed(tree.runs(roots)))
    while pending:
        run = pending.pop()
        first = run[0]
        if len(run) > 1 and first.row["nodes"] >= _SMALLEST:
            if tree.kinds[first.index] not in seen:
                count, nodes = len(run), first.row["nodes"]
                found.append(Repeated(path=first.row["path"], last=run[-1].name, count=count, nodes=nodes))
            seen.add(tree.kinds[first.index])
        else:
            pending += [inner for branch in reversed(run) for inner in reversed(tree.runs(branch.children))]
    return found


def structure_of(cost: Json) -> Structure | None:
    """Return the tree of modules; None where no node tells its module."""
    roots = tree_of(cost["by_module"])
    if not roots:
        return None
    tree = _Tree(cost, roots)
    lines = tuple(tree.lines(roots, depth=0))
    left_out = max(len(tree.runs(roots)) - _SIBLINGS, 0)
    return Structure(lines=lines, modules=len(cost["by_module"]), folded=tree.folded, left_out=left_out)


class _Tree:
    """Which modules repeat, and how deep the tree is shown."""

    def __init__(self, cost: Json, roots: Sequence[Branch]) -> None:
        self.cost = cost
        self.folded = 0
        self.kinds: dict[int, int] = {}
        self._known: dict[Any, int] = {}
        for root in roots:
            self._kind(root)
        self.deepest = self._deepest(roots)
        self.open = len(self.runs(roots)) <= _OPEN
        sizes = lengths([row["macs"] for row in cost["by_module"]], cost)
        whole = sum(sizes[root.index] for root in roots) if sizes else 0
        self.shares = sizes and [size / (whole or 1) for size in sizes]

    def _kind(self, branch: Branch) -> int:
        """Number the modules by what they are made of: the same number is the same nodes, costs and insides."""
        row = branch.row
        inside = tuple((child.name, self._kind(child)) for child in branch.children)
        made_of = (row["nodes"], n.count(row["macs"]), n.count(row["flops"]), inside)
        self.kinds[branch.index] = self._known.setdefault(made_of, len(self._known))
        return self.kinds[branch.index]

    def runs(self, branches: Sequence[Branch]) -> list[list[Branch]]:
        """Return neighbours of one kind together, as far as there is more to them than a node."""

        def key(branch: Branch) -> tuple[int, int]:
            return self.kinds[branch.index], -1 if branch.row["nodes"] > 1 else branch.index

        return [list(run) for _, run in groupby(branches, key)]

    def _deepest(self, roots: Sequence[Branch]) -> int:
        """Return the level down to which there are at most `_LINES`."""
        level, lines, depth = [roots], 0, 0
        while level:
            firsts = [run[0] for siblings in level for run in self.runs(siblings)[:_SIBLINGS]]
            lines += len(firsts)
            if lines > _LINES:
                break
            level = [first.children for first in firsts if first.children]
            depth += 1
        return max(depth, 1)

    def lines(self, branches: Sequence[Branch], depth: int) -> list[Line]:
        """Return the lines of one level, no more than `_SIBLINGS`."""
        runs = self.runs(branches)
        return [self._line(run, depth) for run in runs[:_SIBLINGS]]

    def _line(self, run: Sequence[Branch], depth: int) -> Line:
        first, count = run[0], len(run)
        self.folded += sum(1 for branch in run[1:] for _ in branch.all())
        shown = depth + 1 < self.deepest
        inside = self.runs(first.children)
        share = sum(self.shares[branch.index] for branch in run) if self.shares else None
        return Line(
            name=visible(first.name if count == 1 else f"{first.name} … {run[-1].name}"),
            title=visible(first.row["path"]),
            count=count,
            nodes=n.plural(sum(branch.row["nodes"] for branch in run), "node"),
            params=_summed(run, "params", "", self.cost),
            macs=_summed(run, "macs", "MACs", self.cost),
            share=n.percent(share) if share is not None else "",
            length=round(100 * min(share, 1.0), 2) if share is not None else None,
            children=tuple(self.lines(first.children, depth + 1)) if shown else (),
            hidden=max(len(inside) - _SIBLINGS, 0) if shown else sum(1 for _ in first.all()) - 1,
            opened=depth == 0 and self.open,
        )


def _summed(run: Sequence[Branch], key: str, unit: str, cost: Json) -> str:
    values = [of_a_sample(branch.row.get(key), cost) for branch in run]
    if any(value is None for value in values):
        return f"{n.NOT_KNOWN} {unit}".rstrip()
    if len(values) == 1:
        return n.short(values[0], unit)
    try:
        return n.short(to_json(total(dim for dim in map(from_json, values) if dim is not None)), unit)
    except ValueError:  # an expression without its terms
        return f"{n.NOT_KNOWN} {unit}".rstrip()
