"""Nodes taken together: by operator, and by module."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from wua_onnx.cost.figures import Figures
from wua_onnx.cost.nodes import NodeCost, summed
from wua_onnx.cost.value import Cost, Verdict
from wua_onnx.model.dims import Dim, substitute, symbols, total

Path = tuple[str, ...]

OUTSIDE = "(outside modules)"

# When verdicts meet in one group, the one that says most about what is missing is shown.
_GRAVEST = (Verdict.UNKNOWN, Verdict.ESTIMATE, Verdict.COUNTED, Verdict.FREE)


@dataclass(frozen=True, kw_only=True)
class Group(Figures):
    """The cost of several nodes together: of one operator, or of one module with everything inside it.

    Attributes:
        name: the operator, or the module's path; `OUTSIDE` for the nodes outside every module.
        nodes: how many.
        cost, moved: their operations, and the bytes they read and write.
        params: elements of the parameters they read, each counted where it is read first.
        depth: of the module, 1 for the outermost; 0 for operators and outside every module.
        verdict, reason: those of the node that says most about what is missing.
    """

    name: str
    nodes: int
    cost: Cost
    moved: Dim
    params: int = 0
    depth: int = 0
    verdict: Verdict = Verdict.COUNTED
    reason: str | None = None


def _group(name: str, nodes: Sequence[NodeCost], depth: int = 0) -> Group:
    verdict = next(v for v in _GRAVEST if any(node.verdict == v for node in nodes))
    return Group(
        name=name,
        nodes=len(nodes),
        cost=summed(node.cost for node in nodes),
        moved=total(node.moved for node in nodes),
        params=sum(node.params for node in nodes),
        depth=depth,
        verdict=verdict,
        reason=next(node.reason for node in nodes if node.verdict == verdict),
    )


def by_operator(nodes: Iterable[NodeCost]) -> dict[str, Group]:
    """Return the cost by operator, the dearest first (see `magnitude`)."""
    groups: dict[str, list[NodeCost]] = {}
    for node in nodes:
        groups.setdefault(node.op, []).append(node)
    result = [_group(name, members) for name, members in groups.items()]
    return {group.name: group for group in sorted(result, key=_size_of, reverse=True)}


def by_module(nodes: Iterable[NodeCost]) -> dict[str, Group]:
    """Return the cost by module, a module with all it contains, each followed by the modules inside it.

    The groups of depth 1 and the one of nodes `OUTSIDE` every module (depth 0) add up to the whole model. Where no
    node tells its module there are no groups.
    """
    groups: dict[Path, list[NodeCost]] = {}
    for node in nodes:
        for depth in range(1, len(node.module) + 1):
            groups.setdefault(node.module[:depth], []).append(node)
        if not node.module:
            groups.setdefault((), []).append(node)
    if set(groups) <= {()}:
        return {}
    names = _names(groups)
    return {names[path]: _group(names[path], groups[path], len(path)) for path in _tree(groups)}


def _tree(paths: Iterable[Path]) -> list[Path]:
    """Return `paths` with each followed by what lies inside it, otherwise in the order given; () comes last."""
    order = {path: index for index, path in enumerate(paths)}
    key = {path: tuple(order[path[:depth]] for depth in range(1, len(path) + 1)) for path in order}
    return sorted(order, key=lambda path: (not path, key[path]))


def _names(groups: Mapping[Path, Sequence[NodeCost]]) -> dict[Path, str]:
    """Return a name for each path as its framework writes it; paths that would read the same get a number."""
    names: dict[Path, str] = {}
    taken: set[str] = set()
    for path, nodes in groups.items():
        name = first = ("/" if "/" in nodes[0].module_name else ".").join(path) or OUTSIDE
        number = 1
        while name in taken:
            number += 1
            name = f"{first}#{number}"
        taken.add(name)
        names[path] = name
    return names


def _size_of(group: Group) -> tuple[int, int, int]:
    return magnitude(group.cost.flops + group.cost.int_ops), magnitude(group.moved), group.nodes


def magnitude(dim: Dim) -> int:
    """Return a size to sort by: the value at 16 for every symbol."""
    value = substitute(dim, dict.fromkeys(symbols(dim), 16))
    return value if isinstance(value, int) else 0
