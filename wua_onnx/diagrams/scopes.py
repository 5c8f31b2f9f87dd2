"""Consecutive nodes -> a tree of blocks: by module scope, then by repetition, then by plain chunks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from typing import Protocol

import numpy as np

_MAX_DEPTH = 32  # module scopes inside each other that are told apart
_MINOR_RUN = 3  # free nodes in a row that become one block
_MAX_PATTERN = 20_000  # blocks side by side in which repetition is looked for
_MAX_PERIOD = 128  # nodes of a repeated block that is found without module scopes


class Scoped(Protocol):
    """What is asked of a node."""

    @property
    def path(self) -> tuple[str, ...]:
        """Its module, outermost first."""

    @property
    def op(self) -> str:
        """Its operator."""

    @property
    def cost(self) -> int | None:
        """What it costs; None where that is unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Nodes `start` to `stop`, `count` times the same; `children` are what it opens into, if it does.

    `module` is the path of the module that they are, of the first one where they repeat; "" where they are none.
    `minor` blocks hold free work only: reshapes, masks, indices.
    """

    label: str
    start: int
    stop: int
    count: int = 1
    module: str = ""
    minor: bool = False
    children: tuple[Block, ...] = ()


Path = tuple[str, ...]
Links = Iterable[tuple[int, int]]


def blocks(nodes: Sequence[Scoped], links: Links, limit: int, depth: int | None = None) -> tuple[Block, ...]:
    """Return at most `limit` outermost blocks of `nodes`, which are in file order.

    `links` are edges by position. With a `depth`, modules open so many scopes deep, and those without modules in them
    stay closed.
    """
    tree = _Tree(nodes, frozenset(links), limit, depth)
    return tree.children(0, len(nodes), 0)


class _Tree:
    """The nodes, their edges, and the number of blocks that may stand side by side."""

    def __init__(
        self, nodes: Sequence[Scoped], links: frozenset[tuple[int, int]], limit: int, deepest: int | None
    ) -> None:
        self.nodes, self.limit, self.deepest = nodes, limit, deepest
        self.paths = _adopted([node.path for node in nodes])
        self.next_to: dict[int, list[int]] = {}
        for source, target in links:
            self.next_to.setdefault(source, []).append(target)

    def children(self, start: int, stop: int, depth: int) -> tuple[Block, ...]:
        """Return the blocks one scope below: runs of the same next scope, single nodes where there is none."""
        cuts = [start]
        for index in range(start + 1, stop):
            scope = self._scope(index, depth)
            if scope is None or scope != self._scope(index - 1, depth):
                cuts.append(index)
        found = [self._block(a, b, depth) for a, b in zip(cuts, [*cuts[1:], stop], strict=True)]
        found = self._fold_scopes(found)
        if self.limit < len(found) <= _MAX_PATTERN:
            found = self._fold_patterns(found)
        found = self._join_minor(found)
        return tuple(found) if len(found) <= self.limit else tuple(self._chunks(found))

    def _scope(self, index: int, depth: int) -> str | None:
        path = self.paths[index]
        return path[depth] if depth < min(len(path), _MAX_DEPTH) else None

    def _block(self, start: int, stop: int, depth: int) -> Block:
        scope = self._scope(start, depth)
        label = ".".join(self.paths[start][: depth + 1]) if scope is not None else ""
        inner = self.children(start, stop, depth + 1) if stop - start > 1 and depth + 1 != self.deepest else ()
        if self.deepest is not None and not any(block.module for block in inner):
            inner = ()
        if len(inner) == 1:
            if inner[0].count > 1:
                return inner[0]
            inner = inner[0].children
        return Block(label=label, start=start, stop=stop, module=label, children=inner)

    def _ops(self, block: Block) -> tuple[str, ...]:
        return tuple(node.op for node in self.nodes[block.start : block.stop])

    def _in_series(self, before: Block, after: Block) -> bool:
        return any(
            after.start <= target < after.stop
            for source in range(before.start, before.stop)
            for target in self.next_to.get(source, ())
        )

    def _fold_scopes(self, found: list[Block]) -> list[Block]:
        """Fold runs of neighbours that hold the same operators and feed each other."""
        folded: list[list[Block]] = []
        for block in found:
            run = folded[-1] if folded else None
            if run and block.label and block.stop - block.start > 1 and self._alike(run[-1], block):
                run.append(block)
            else:
                folded.append([block])
        return [_repeat(run) for run in folded]

    def _alike(self, before: Block, after: Block) -> bool:
        same_size = before.stop - before.start == after.stop - after.start
        return same_size and self._ops(before) == self._ops(after) and self._in_series(before, after)

    def _fold_patterns(self, found: list[Block]) -> list[Block]:
        """Fold what repeats side by side without a scope of its own, such as Conv, Relu, Conv, Relu."""
        known: dict[tuple[str, ...], int] = {}
        codes = np.array([known.setdefault(self._ops(block), len(known)) for block in found])
        folded: list[Block] = []
        at = 0
        reach = _reach(codes)
        while at < len(found):
            period, times = _best(reach, at)
            unit = [self._join(found[at + k * period : at + (k + 1) * period]) for k in range(times)]
            folded.append(_repeat(unit) if times > 1 else found[at])
            at += period * times
        return folded

    def _join_minor(self, found: list[Block]) -> list[Block]:
        """Join runs of free nodes that have no scope of their own, unless nothing else is there."""
        runs = [list(run) for _, run in groupby(found, key=self._is_minor)]
        if len(runs) == 1:
            return found
        joined: list[Block] = []
        for run in runs:
            long = len(run) >= _MINOR_RUN and self._is_minor(run[0])
            joined += [replace(self._join(run), minor=True)] if long else run
        return joined

    def _is_minor(self, block: Block) -> bool:
        return not block.label and block.stop - block.start == 1 and self.nodes[block.start].cost == 0

    def _chunks(self, found: list[Block]) -> list[Block]:
        """Join neighbours into `limit` blocks of about equal length."""
        bounds = np.linspace(0, len(found), self.limit + 1).astype(int).tolist()
        return [self._join(found[a:b]) for a, b in pairwise(bounds) if b > a]

    def _join(self, parts: Sequence[Block]) -> Block:
        if len(parts) == 1:
            return parts[0]
        first, last = parts[0], parts[-1]
        names = [part.label or self.nodes[part.start].op for part in (first, last)]
        return Block(label=" … ".join(names), start=first.start, stop=last.stop, children=tuple(parts))


def _adopted(paths: Sequence[Path]) -> list[Path]:
    """Return the paths, where nodes without one take what the nodes around them share.

    Exporters lose the scope of single nodes, which would cut a block in two. Between two nodes of the very same
    module only its parent is certain: the module may be used twice.
    """
    adopted = list(paths)
    known = [index for index, path in enumerate(paths) if path]
    for before, after in pairwise(known):
        if after - before > 1:
            shared = _common(paths[before], paths[after])
            if paths[before] == paths[after]:
                shared = shared[:-1]
            adopted[before + 1 : after] = [shared] * (after - before - 1)
    return adopted


def _common(first: Path, second: Path) -> Path:
    length = next((i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), None)
    return first[: min(len(first), len(second)) if length is None else length]


def _repeat(run: Sequence[Block]) -> Block:
    """Return one block for a run of equal ones; it opens into what is in the first, and the rest."""
    if len(run) == 1:
        return run[0]
    first, last = run[0], run[-1]
    rest = replace(run[1], label=_span(run[1:]), stop=last.stop, count=len(run) - 1, children=())
    children = (*first.children, rest) if first.children else ()
    return replace(first, label=_span(run), stop=last.stop, count=len(run), children=children)


def _span(run: Sequence[Block]) -> str:
    """Return the label of a run: h.[1 … 11] where only the last part of a module's path differs."""
    first, last = run[0].label, run[-1].label
    parent, dot, start = first.rpartition(".")
    if first == last:
        return first
    if parent and run[0].module and last.startswith(parent + dot):
        return f"{parent}.[{start} … {last.removeprefix(parent + dot)}]"
    return f"{first} … {last}"


def _reach(codes: np.ndarray[tuple[int], np.dtype[np.int_]]) -> list[list[int]]:
    """Return for each period p and place i how many codes from i on equal the one p further: [p - 1][i]."""
    table = []
    for period in range(1, min(_MAX_PERIOD, len(codes) // 2) + 1):
        equal = codes[:-period] == codes[period:]
        places = np.arange(len(equal))
        breaks = np.minimum.accumulate(np.where(equal, len(equal), places)[::-1])[::-1]
        table.append((breaks - places).tolist())
    return table


def _best(reach: Sequence[Sequence[int]], at: int) -> tuple[int, int]:
    """Return the period and the number of repetitions at `at` that cover most; the shorter period wins a tie."""
    best, covered = (1, 1), 1
    for period, runs in enumerate(reach, start=1):
        times = (runs[at] // period + 1) if at < len(runs) else 1
        if times > 1 and period * times > covered:
            best, covered = (period, times), period * times
    return best
