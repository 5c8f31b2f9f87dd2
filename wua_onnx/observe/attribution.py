"""Which nodes of a model each kernel of onnxruntime computes.

onnxruntime rewrites the graph before it runs it: it fuses nodes, splits them, removes them, and inserts changes of
memory layout. A kernel computes the nodes that its name and its outputs are marked with (see `observe.marked`), and
those between them and its inputs that no other kernel computes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import onnx_ir as ir

from wua_onnx.model.graph import Model
from wua_onnx.observe.marked import Marked
from wua_onnx.running.timeline import Kernel

CONSTANT = "depends on constants only: computed once at load"
UNUSED = "reaches no output: never run"
REMOVED = "removed by onnxruntime, or part of a kernel that names none of its nodes"
INSERTED = "inserted by onnxruntime: a change of memory layout or type"
UNNAMED = "its name and its outputs tell of no node of the model"

# Kernels that onnxruntime puts between others.
_INSERTED = frozenset({"ReorderInput", "ReorderOutput", "MemcpyFromHost", "MemcpyToHost"})
# What a kernel may take in before its main node, where its own inputs do not tell how far it reaches.
_PREPARING = frozenset({"Cast", "DequantizeLinear", "Identity", "Pad"})
_PLAIN = frozenset(
    {
        ir.AttributeType.FLOAT,
        ir.AttributeType.INT,
        ir.AttributeType.STRING,
        ir.AttributeType.FLOATS,
        ir.AttributeType.INTS,
        ir.AttributeType.STRINGS,
    }
)


@dataclass(slots=True)
class Group:
    """Kernels that together compute nodes: one and one, many nodes fused into one, or one split into many.

    Attributes:
        kernels, nodes: their indices, ascending.
    """

    kernels: list[int]
    nodes: list[int]


@dataclass(slots=True, kw_only=True)
class Attribution:
    """Where every kernel and every node went.

    Attributes:
        groups: kernels and the nodes they compute, in the order they run.
        unattributed: the other kernels by index, and why.
        absent: the nodes in no kernel by index, and why.
    """

    groups: list[Group] = field(default_factory=list)
    unattributed: dict[int, str] = field(default_factory=dict)
    absent: dict[int, str] = field(default_factory=dict)


def attribute(model: Model, kernels: Sequence[Kernel], marks: Marked) -> Attribution:
    """Return which nodes of `model` each of `kernels` computes; every kernel and every node appears once."""
    work = _Work(model, kernels, marks)
    work.join_split_nodes()
    work.take_in_what_leads_to_outputs()
    work.take_in_what_follows()
    return work.result()


class _Work:
    def __init__(self, model: Model, kernels: Sequence[Kernel], marks: Marked) -> None:
        self.kernels, self.nodes_in = kernels, marks.nodes_in
        self.nodes: list[ir.Node] = [view.node for view in model.nodes]
        self.index = {node: i for i, node in enumerate(self.nodes)}
        self.known = {tensor for kernel in kernels for tensor in kernel.outputs if marks.nodes_in(tensor)}
        self.writer = {tensor: i for i, kernel in enumerate(kernels) for tensor in kernel.outputs if tensor}
        self.marks: list[set[int]] = [set() for _ in kernels]
        for kernel in range(len(kernels)):
            self.marks[self._computing(kernel)] |= self._marks(kernel)
        self.absent = _not_run(model)
        self.owner: dict[int, int] = {}  # node -> first kernel of its group
        self.home: dict[int, int] = {}  # kernel -> first kernel of its group
        self._group_by_marks()
        for same in _repeated(self.nodes):
            for done in [node for node in same if node in self.owner][:1]:
                reason = f"the same work as node {model.nodes[done].name!r}: done once"
                self.absent.update(dict.fromkeys([node for node in same if node not in self.owner], reason))

    def _computing(self, kernel: int) -> int:
        """Return the kernel that computes what `kernel` writes: for an inserted one, that whose output it changes."""
        seen = set()
        while _op(self.kernels[kernel]) in _INSERTED and kernel not in seen:
            seen.add(kernel)
            if any(self.nodes[node].op_type == "Transpose" for node in self._marks(kernel)):
                return kernel  # a change of layout that the model asks for
            kernel = next((self.writer[t] for t in self.kernels[kernel].inputs if t in self.writer), kernel)
        return kernel

    def _marks(self, kernel: int) -> set[int]:
        """Return the nodes that the name and the outputs of `kernel` are marked with."""
        texts = (self.kernels[kernel].name, *self.kernels[kernel].outputs)
        return {node for text in texts for node in self.nodes_in(text) if node < len(self.nodes)}

    def _group_by_marks(self) -> None:
        for kernel, nodes in enumerate(self.marks):
            homes = sorted({self.owner[node] for node in nodes if node in self.owner})
            home = homes[0] if homes else kernel
            if nodes:
                self.home[kernel] = home
            self.owner.update(dict.fromkeys(nodes, home))
            for other in homes[1:]:
                self._merge(other, home)

    def _merge(self, other: int, home: int) -> None:
        for table in (self.owner, self.home):
            table.update({key: home for key, value in table.items() if value == other})

    def join_split_nodes(self) -> None:
        """Give a kernel without marks to the group that alone reads what it writes: a part of a split node."""
        readers: dict[int, list[int]] = defaultdict(list)
        for kernel, item in enumerate(self.kernels):
            for tensor in item.inputs:
                if tensor in self.writer:
                    readers[self.writer[tensor]].append(kernel)
        reached: dict[int, set[int]] = {}
        for kernel in reversed(range(len(self.kernels))):
            if kernel in self.home:
                reached[kernel] = {self.home[kernel]}
                continue
            reached[kernel] = {home for reader in readers[kernel] for home in reached.get(reader, ())}
            if len(reached[kernel]) == 1 and _op(self.kernels[kernel]) not in _INSERTED:
                (self.home[kernel],) = reached[kernel]

    def take_in_what_leads_to_outputs(self) -> None:
        """Give every group the nodes between its inputs and its marked nodes that no kernel is marked with."""
        members: dict[int, list[int]] = defaultdict(list)
        for node, home in self.owner.items():
            members[home].append(node)
        grouped: dict[int, list[int]] = defaultdict(list)
        for kernel, home in self.home.items():
            grouped[home].append(kernel)
        for home in sorted(members):
            ops = {_op(self.kernels[kernel]) for kernel in grouped[home]}
            exact = self._inputs_are_known(grouped[home])
            self._take_in(home, members[home], None if exact else ops)

    def _inputs_are_known(self, kernels: Sequence[int]) -> bool:
        """Return whether every input that another kernel writes is a value of the model."""
        own = set(kernels)
        if not any(self.kernels[kernel].outputs for kernel in own):
            return False  # only its name is known
        return all(
            tensor in self.known or self.writer.get(tensor, kernel) in own
            for kernel in kernels
            for tensor in self.kernels[kernel].inputs
        )

    def _take_in(self, home: int, starts: Sequence[int], ops: set[str] | None) -> None:
        """Walk back from the nodes `starts` over nodes without a kernel.

        Where `ops` is given, the inputs do not tell where to stop: the walk is kept only up to a node of these
        operators, the kernel's main one, and what prepares its inputs.
        """
        mains = [start for start in starts if ops is not None and self.nodes[start].op_type in ops]
        for start in mains or starts:
            found: set[int] = set()
            main = start in mains
            pending = self._sources(start, only_preparing=main)
            while pending:
                node = pending.pop()
                if node in self.owner or node in self.absent or node in found:
                    continue
                found.add(node)
                is_main = ops is not None and self.nodes[node].op_type in ops
                main = main or is_main
                pending += self._sources(node, only_preparing=is_main or (ops is not None and main))
            if ops is None or main:
                self.owner.update(dict.fromkeys(found, home))

    def _sources(self, node: int, *, only_preparing: bool) -> list[int]:
        """Return the nodes whose values `node` reads."""
        producers = [value.producer() for value in self.nodes[node].inputs if value is not None]
        found = [self.index[producer] for producer in producers if producer in self.index]
        return [i for i in found if not only_preparing or self.nodes[i].op_type in _PREPARING]

    def take_in_what_follows(self) -> None:
        """Give a node that is still without a kernel to the last one that computes what it reads.

        Where names alone are known, it may as well be part of a kernel whose name tells nothing.
        """
        unnamed = any(i not in self.home and _op(kernel) not in _INSERTED for i, kernel in enumerate(self.kernels))
        unsure = unnamed and not any(kernel.outputs for kernel in self.kernels)
        for node in range(len(self.nodes)):
            if node in self.owner or node in self.absent:
                continue
            homes = [self.owner[i] for i in self._sources(node, only_preparing=False) if i in self.owner]
            if homes and not unsure:
                self.owner[node] = max(homes)
            else:
                self.absent[node] = REMOVED

    def result(self) -> Attribution:
        groups: dict[int, Group] = {home: Group([], []) for home in sorted(set(self.home.values()))}
        unattributed = {}
        for kernel in range(len(self.kernels)):
            if kernel in self.home:
                groups[self.home[kernel]].kernels.append(kernel)
            else:
                unattributed[kernel] = INSERTED if _op(self.kernels[kernel]) in _INSERTED else UNNAMED
        for node in sorted(self.owner):
            groups[self.owner[node]].nodes.append(node)
        absent = {node: self.absent[node] for node in sorted(self.absent) if node not in self.owner}
        return Attribution(groups=list(groups.values()), unattributed=unattributed, absent=absent)


def _op(kernel: Kernel) -> str:
    return kernel.op.rpartition("::")[2]


def _not_run(model: Model) -> dict[int, str]:
    absent = {}
    for index, view in enumerate(model.nodes):
        if view.node not in model.reachable:
            absent[index] = UNUSED
        elif view.node.outputs and all(value in model.constants for value in view.node.outputs):
            absent[index] = CONSTANT
    return absent


def _repeated(nodes: Sequence[ir.Node]) -> list[list[int]]:
    """Return the nodes that compute the same: same operator, inputs and attributes."""
    classes: dict[object, list[int]] = defaultdict(list)
    same: dict[ir.Value, ir.Value] = {}
    for index, node in enumerate(nodes):
        if not node.inputs or any(attribute.type not in _PLAIN for attribute in node.attributes.values()):
            continue
        inputs = tuple(None if value is None else same.get(value, value) for value in node.inputs)
        attributes = tuple(sorted((name, str(attribute.value)) for name, attribute in node.attributes.items()))
        members = classes[node.op_identifier(), inputs, attributes]
        members.append(index)
        same.update(zip(node.outputs, nodes[members[0]].outputs, strict=False))
    return [members for members in classes.values() if len(members) > 1]
