"""Random graphs with If, Loop and Scan inside each other: in ONNX, and run on arrays that are watched.

Every value has one axis. The run is written without the count in mind: it takes real buffers, and looks after every
step which of them are still held.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from .weightless import model, node, value

Array: TypeAlias = npt.NDArray[Any]
TRIPS = 3
MOST_FLAGS = 3
INDEX, FLAG = TensorProto.INT64, TensorProto.BOOL


@dataclass(frozen=True)
class Step:
    """One operator.

    Attributes:
        op: Relu, Concat (of its inputs), Reshape (a view), ReduceMax (to one element), If, Loop or Scan.
        reads: nothing for an If; what a Loop carries; what a Scan takes element by element.
        writes: the outputs; of a Loop what it carries, and a stack; of a Scan a stack.
        graphs: the graphs inside; they read `<first output>_in` and return `<first output>_<index of the graph>`.
        flag: the condition of an If.
    """

    op: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    graphs: tuple[tuple[Step, ...], ...] = ()
    flag: str = ""


@dataclass
class Maker:
    """Draws steps; knows the length of every value that can be read."""

    draw: st.DrawFn
    flags: list[str] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def name(self) -> str:
        return f"v{next(self.numbers)}"

    def steps(self, lengths: dict[str, int], depth: int) -> tuple[Step, ...]:
        """Return some steps, and put what they write into `lengths`."""
        made = []
        for _ in range(self.draw(st.integers(1, 4))):
            nested = ["Loop", "Scan", *(["If"] if len(self.flags) < MOST_FLAGS else [])] if depth else []
            op = self.draw(st.sampled_from(["Relu", "Concat", "Reshape", "ReduceMax", *nested]))
            source = self.draw(st.sampled_from(sorted(lengths)))
            make = {"If": self.choice, "Loop": self.loop, "Scan": self.scan}.get(op, self.plain)
            made.append(make(op, source, lengths, depth))
        return tuple(made)

    def plain(self, op: str, source: str, lengths: dict[str, int], _: int) -> Step:
        step = Step(op, (source, source) if op == "Concat" else (source,), (self.name(),))
        lengths[step.writes[0]] = {"Concat": 2 * lengths[source], "ReduceMax": 1}.get(op, lengths[source])
        return step

    def branch(self, length: int, lengths: Mapping[str, int], depth: int, written: str) -> tuple[Step, ...]:
        """Return a graph that returns something new of `length` elements, which `lengths` has."""
        inner = dict(lengths)
        steps = self.steps(inner, depth - 1)
        source = self.draw(st.sampled_from(sorted(name for name, size in inner.items() if size == length)))
        return (*steps, Step("Relu", (source,), (written,)))

    def choice(self, op: str, source: str, lengths: dict[str, int], depth: int) -> Step:
        written, flag = self.name(), f"flag{len(self.flags)}"
        self.flags.append(flag)
        graphs = tuple(self.branch(lengths[source], lengths, depth, f"{written}_{i}") for i in range(2))
        lengths[written] = lengths[source]
        return Step(op, (), (written,), graphs, flag)

    def loop(self, op: str, source: str, lengths: dict[str, int], depth: int) -> Step:
        last, stack = self.name(), self.name()
        inner = {**lengths, f"{last}_in": lengths[source]}
        graph = self.branch(lengths[source], inner, depth, f"{last}_0")
        lengths[last] = lengths[source]
        lengths[stack] = TRIPS * lengths[source]
        return Step(op, (source,), (last, stack), (graph,))

    def scan(self, op: str, source: str, lengths: dict[str, int], depth: int) -> Step:
        stack = self.name()
        graph = self.branch(1, {**lengths, f"{stack}_in": 1}, depth, f"{stack}_0")
        lengths[stack] = lengths[source]
        return Step(op, (source,), (stack,), (graph,))


@dataclass(frozen=True)
class Program:
    """A main graph: lengths of its inputs, its steps, its flags, and its outputs: whatever no step reads."""

    inputs: Mapping[str, int]
    steps: tuple[Step, ...]
    flags: tuple[str, ...]

    @property
    def outputs(self) -> tuple[str, ...]:
        read = deep_reads(self.steps)
        return tuple(name for step in self.steps for name in step.writes if name not in read)


@st.composite
def programs(draw: st.DrawFn, depth: int = 2) -> Program:
    inputs = {"x": draw(st.sampled_from([2, 3])), "z": draw(st.sampled_from([1, 5]))}
    maker = Maker(draw)
    steps = maker.steps(dict(inputs), depth)
    return Program(inputs, steps, tuple(maker.flags))


def deep_reads(steps: Iterable[Step]) -> set[str]:
    """Return the names that `steps` and the graphs inside them read."""
    found: set[str] = set()
    for step in steps:
        found |= {*step.reads, *([step.flag] if step.flag else [])}
        for graph in step.graphs:
            found |= deep_reads(graph)
    return found


def as_model(program: Program) -> onnx.ModelProto:
    read = deep_reads(program.steps)
    inputs = [value(name, [length]) for name, length in program.inputs.items() if name in read]
    inputs += [value(flag, [], FLAG) for flag in program.flags]
    constants = {"flat": [-1], "column": [-1, 1]}
    weights = [numpy_helper.from_array(np.array(held, np.int64), name) for name, held in constants.items()]
    weights.append(numpy_helper.from_array(np.array(TRIPS, np.int64), "trips"))
    outputs = [value(name) for name in program.outputs]
    return model(nodes_of(program.steps), inputs, outputs, weights)


def nodes_of(steps: Iterable[Step]) -> list[onnx.NodeProto]:
    return [made for step in steps for made in _nodes(step)]


def _nodes(step: Step) -> list[onnx.NodeProto]:
    first = step.writes[0]
    bodies = [nodes_of(graph) for graph in step.graphs]
    if step.op == "If":
        branches = [helper.make_graph(body, "branch", [], [value(f"{first}_{i}")]) for i, body in enumerate(bodies)]
        return [node("If", [step.flag], [first], then_branch=branches[0], else_branch=branches[1])]
    if step.op == "Loop":
        again, again_out, stacked, stack = f"{first}_c", f"{first}_d", f"{first}_s", step.writes[1]
        body = helper.make_graph(
            [*bodies[0], node("Identity", [again], [again_out]), node("Relu", [f"{first}_0"], [stacked])],
            "body",
            [value(f"{first}_i", [], INDEX), value(again, [], FLAG), value(f"{first}_in")],
            [value(again_out, [], FLAG), value(f"{first}_0"), value(stacked)],
        )
        loop = node("Loop", ["trips", "", step.reads[0]], [first, f"{stack}_2"], body=body)
        return [loop, node("Reshape", [f"{stack}_2", "flat"], [stack])]
    if step.op == "Scan":
        body = helper.make_graph(bodies[0], "body", [value(f"{first}_in")], [value(f"{first}_0")])
        scan = node("Scan", [f"{first}_1"], [f"{first}_2"], body=body, num_scan_inputs=1)
        column = node("Reshape", [step.reads[0], "column"], [f"{first}_1"])
        return [column, scan, node("Reshape", [f"{first}_2", "flat"], [first])]
    reads = [*step.reads, "flat"] if step.op == "Reshape" else step.reads
    attributes: dict[str, Any] = {"Concat": {"axis": 0}, "ReduceMax": {"keepdims": 1}}.get(step.op, {})
    return [node(step.op, reads, step.writes, **attributes)]


class Watched:
    """A run of a program that knows the most bytes it has held at once."""

    def __init__(self, program: Program, flags: Sequence[bool]) -> None:
        read = deep_reads(program.steps)
        values: dict[str, Array] = {
            name: np.ones(length, np.float32) for name, length in program.inputs.items() if name in read
        }
        values |= {name: np.array(flag) for name, flag in zip(program.flags, flags, strict=True)}
        self.frames, self.stacks, self.most = [values], list[Array](), 0
        self.run(program.steps, set(program.outputs))

    def run(self, steps: Sequence[Step], wanted: set[str]) -> None:
        """Run `steps` in the innermost frame, which keeps `wanted` and what is read further on."""
        own = self.frames[-1]
        for index, step in enumerate(steps):
            own |= self.step(step)
            self.measure()
            later = deep_reads(steps[index + 1 :]) | wanted
            for name in set(own) - later:
                del own[name]

    def measure(self) -> None:
        held = [array for frame in self.frames for array in frame.values()] + self.stacks
        buffers = {id(array if array.base is None else array.base): array for array in held}
        owners = [array if array.base is None else array.base for array in buffers.values()]
        self.most = max(self.most, sum(owner.nbytes for owner in owners))

    def read(self, name: str) -> Array:
        return next(frame[name] for frame in reversed(self.frames) if name in frame)

    def inside(self, graph: Sequence[Step], given: Mapping[str, Array], wanted: set[str]) -> dict[str, Array]:
        """Run `graph` in a frame of its own and return what it keeps."""
        self.frames.append(dict(given))
        self.measure()
        self.frames[-1] = {name: array for name, array in given.items() if name in deep_reads(graph) | wanted}
        self.run(graph, wanted)
        return self.frames.pop()

    def step(self, step: Step) -> dict[str, Array]:
        first = step.writes[0]
        if step.op == "If":
            index = 0 if bool(self.read(step.flag)) else 1
            return {first: self.inside(step.graphs[index], {}, {f"{first}_{index}"})[f"{first}_{index}"]}
        if step.op == "Loop":
            return self.loop(step)
        if step.op == "Scan":
            return self.scan(step)
        arrays = [self.read(name) for name in step.reads]
        compute: Any = {"Relu": np.abs, "Concat": lambda *parts: np.concatenate(parts), "Reshape": lambda a: a[:]}
        return {first: compute.get(step.op, lambda a: np.max(a, keepdims=True))(*arrays)}

    def loop(self, step: Step) -> dict[str, Array]:
        last, name = step.writes
        carried = self.read(step.reads[0]).copy()
        stack = np.empty((TRIPS, carried.size), np.float32)
        self.stacks.append(stack)
        graph = (*step.graphs[0], Step("Reshape", (f"{last}_c",), (f"{last}_d",)), Step("Relu", (f"{last}_0",), ("s",)))
        for trip in range(TRIPS):
            given = {f"{last}_i": np.array(trip), f"{last}_c": np.array([True]), f"{last}_in": carried}
            kept = self.inside(graph, given, {f"{last}_0", f"{last}_d", "s"})
            carried, stack[trip] = kept[f"{last}_0"], kept["s"]
        self.stacks.pop()
        return {last: carried, name: stack.reshape(-1)}

    def scan(self, step: Step) -> dict[str, Array]:
        (name,) = step.writes
        source = self.read(step.reads[0])
        stack = np.empty((source.size, 1), np.float32)
        self.stacks.append(stack)
        for trip in range(source.size):
            given = {f"{name}_in": source[trip : trip + 1].copy()}
            stack[trip] = self.inside(step.graphs[0], given, {f"{name}_0"})[f"{name}_0"]
        self.stacks.pop()
        return {name: stack.reshape(-1)}


def most_held(program: Program) -> int:
    """Return the most bytes held at once in any run of `program`."""
    ways = itertools.product([False, True], repeat=len(program.flags))
    return max(Watched(program, flags).most for flags in ways)
