"""Files of any size cost what their graph costs: the weights inside are neither read nor copied."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from wua_onnx.cost import count
from wua_onnx.model import load, wire

LAYERS, WIDTH = 7, 256  # 256 KiB a weight


def tensor(name: str, fill: int) -> TensorProto:
    data = np.full((WIDTH, WIDTH), fill, np.float32)
    return TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[WIDTH, WIDTH], raw_data=data.tobytes())


def finished(nodes: list[onnx.NodeProto], last: str, weights: list[TensorProto]) -> onnx.ModelProto:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", WIDTH]) for name in ("x", last))
    flag = helper.make_tensor_value_info("flag", TensorProto.BOOL, [])
    graph = helper.make_graph(nodes, "big", [x, flag], [y], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def initializers() -> onnx.ModelProto:
    nodes = [helper.make_node("MatMul", ["x" if i == 0 else f"y{i - 1}", f"w{i}"], [f"y{i}"]) for i in range(LAYERS)]
    return finished(nodes, f"y{LAYERS - 1}", [tensor(f"w{i}", i) for i in range(LAYERS)])


def constants() -> onnx.ModelProto:
    model = initializers()
    made = [helper.make_node("Constant", [], [w.name], value=w) for w in model.graph.initializer]
    nodes = [*made, *model.graph.node]
    return finished(nodes, f"y{LAYERS - 1}", [])


def inner_graphs() -> onnx.ModelProto:
    """Return weights as an initializer in one branch of an If, and as a Constant in the other."""

    def result(name: str) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", WIDTH])

    then = helper.make_graph(
        [helper.make_node("MatMul", ["x", "a"], ["ya"])], "then", [], [result("ya")], [tensor("a", 2)]
    )
    made = helper.make_node("Constant", [], ["b"], value=tensor("b", 3))
    other = helper.make_graph([made, helper.make_node("MatMul", ["x", "b"], ["yb"])], "else", [], [result("yb")])
    return finished([helper.make_node("If", ["flag"], ["y"], then_branch=then, else_branch=other)], "y", [])


def functions() -> onnx.ModelProto:
    body = [
        helper.make_node("Constant", [], ["w"], value=tensor("w", 5)),
        helper.make_node("MatMul", ["x", "w"], ["y"]),
    ]
    function = helper.make_function("local", "Project", ["x"], ["y"], body, [helper.make_opsetid("", 21)])
    model = finished([helper.make_node("Project", ["x"], ["y"], domain="local")], "y", [])
    model.opset_import.append(helper.make_opsetid("local", 1))
    model.functions.append(function)
    return model


KINDS: dict[str, Callable[[], onnx.ModelProto]] = {
    "initializers": initializers,
    "constants": constants,
    "inner graphs": inner_graphs,
    "functions": functions,
}


class CountingBytes(wire.FileBytes):
    """Adds up the bytes that are read from any file."""

    read = 0

    def _read(self, start: int, size: int) -> bytes:
        data = super()._read(start, size)
        CountingBytes.read += len(data)
        return data


@pytest.mark.parametrize("kind", KINDS)
def test_opening_and_counting_leave_the_weights_on_disk(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "big.onnx"
    path.write_bytes(KINDS[kind]().SerializeToString())
    weights = path.stat().st_size // (4 * WIDTH * WIDTH)
    assert weights >= 1
    monkeypatch.setattr(wire, "FileBytes", CountingBytes)
    CountingBytes.read = 0
    loaded = load(path)
    opened = CountingBytes.read
    report = count(loaded)
    assert CountingBytes.read == opened
    assert opened <= wire._BLOCK * (4 * weights + 3)  # a block before, behind and in between; never a weight
    assert report.params == weights * WIDTH * WIDTH
    assert len(wire.skeleton(path.read_bytes(), "big.onnx")) < 4096


def test_less_than_a_hundredth_of_a_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, size = tmp_path / "large.onnx", 2**26
    write_large(path, size)
    monkeypatch.setattr(wire, "FileBytes", CountingBytes)
    CountingBytes.read = 0
    report = count(load(path))
    assert report.weight_bytes == size
    assert 0 < CountingBytes.read < path.stat().st_size / 100


def write_large(path: Path, size: int) -> None:
    """Write a model of one product whose weight takes `size` bytes, all of them a hole."""
    head = initializers()
    del head.graph.initializer[1:], head.graph.node[1:]
    head.graph.output[0].name = "y0"
    head.graph.initializer[0].raw_data = b""
    head.graph.initializer[0].dims[:] = [WIDTH, size // (4 * WIDTH)]
    path.write_bytes(with_payload(head.SerializeToString(), size))
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size + size)


def with_payload(model: bytes, size: int) -> bytes:
    """Return a model whose one initializer, its last field, goes on for `size` bytes after the end."""
    graph_length = {n: (payload, end) for n, _, _, payload, end in wire.fields(model, 0, len(model))}[7]
    start, end = graph_length
    graph = list(wire.fields(model, start, end))
    (initializer,) = [f for f in graph if f[0] == 5]
    rest = b"".join(model[begin:after] for number, _, begin, _, after in graph if number != 5)
    kept = [f for f in wire.fields(model, initializer[3], initializer[4]) if f[0] != 9]
    tensor_head = b"".join(model[begin:after] for _, _, begin, _, after in kept) + b"\x4a" + varint(size)
    inner = rest + b"\x2a" + varint(len(tensor_head) + size) + tensor_head
    others = b"".join(model[b:a] for n, _, b, _, a in wire.fields(model, 0, len(model)) if n != 7)
    return others + b"\x3a" + varint(len(inner) + size) + inner


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from Linux's /proc")
def test_a_large_file_takes_no_more_memory_than_its_graph(tmp_path: Path) -> None:
    sizes = []
    for name, size in (("small", 2**16), ("large", 2**27)):
        path = tmp_path / f"{name}.onnx"
        write_large(path, size)
        sizes.append(peak_memory(path))
    small, large = sizes
    assert large < small + 2**23


def peak_memory(path: Path) -> int:
    """Return the most memory that a process of its own has while it counts `path`."""
    program = (
        "import sys, wua_onnx as wua; wua.cost(sys.argv[1]);"
        "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    )
    run = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True)
    return 1024 * int(run.stdout)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_are_read_where_they_are_asked_for(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "big.onnx"
    path.write_bytes(KINDS[kind]().SerializeToString())
    loaded = load(path)
    fills = set()
    for node in loaded.all_nodes():
        for value in node.inputs:
            if value is None:
                continue
            source = value.producer()
            if source is not None and source.op_type == "Constant":
                value.const_value = source.attributes["value"].as_tensor()
            if value.const_value is not None:
                array = loaded.weight(value)
                assert array.shape == (WIDTH, WIDTH)
                assert np.ptp(array) == 0
                fills.add(int(array[0, 0]))
    expected = {"inner graphs": {2, 3}, "functions": {5}}
    assert fills == expected.get(kind, set(range(LAYERS)))
