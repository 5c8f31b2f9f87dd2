"""JSON of audits, as much of it as diagrams read, for graphs of any size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Json = dict[str, Any]
Row = tuple[str, str, tuple[int, ...]]  # module, operator, the nodes it reads; -1 is the input


def audit(rows: Sequence[Row], layers: Sequence[Json] = (), flops: int = 7) -> Json:
    """An audit of nodes `n0`, `n1` …, the last of which gives the output."""
    links = [[source, at, 0] for at, (_, _, sources) in enumerate(rows) for source in sources]
    return {
        "model": {"inputs": [{"name": "x"}], "outputs": [{"name": "y"}]},
        "settings": {"criterion": ["magnitude"]},
        "cost": {"by_node": [node(at, module, op, flops) for at, (module, op, _) in enumerate(rows)]},
        "profile": None,
        "layers": list(layers),
        "diagrams": {"links": [*links, [len(rows) - 1, -1, 1]], "shapes": ["batch × 11", "batch × 13"]},
    }


def node(at: int, module: str, op: str, flops: int) -> Json:
    path = module.split(".") if module else []
    figures = {"flops": flops, "macs": flops // 2, "bytes": 3, "params": 0}
    return {"name": f"n{at}", "op": op, "path": path, "reason": None, **figures}


def layer(name: str, nodes: Sequence[str], neurons: int, dead: int, redundancy: float) -> Json:
    metrics = {"redundancy": redundancy, "effective": 30.0, "total": 60, "sum": 90.0}
    return {
        "name": name, "kind": "dense", "op": "MatMul", "nodes": list(nodes), "weight_shape": [5, neurons],
        "neurons": neurons, "dead_neurons": dead, "criteria": {"magnitude": {"metrics": metrics}},
    }  # fmt: skip


BLOCK = (("ln", "LayerNormalization"), ("fc", "MatMul"), ("act", "Relu"), ("proj", "MatMul"))


def transformer(blocks: int, scoped: bool = True) -> Json:
    """A stack of blocks, each with a shortcut, behind an embedding whose mask every block reads."""
    rows: list[Row] = [("embed", "Gather", (-1,)), ("embed", "Equal", (-1,))]
    for block in range(blocks):
        start = len(rows)
        for offset, (name, op) in enumerate(BLOCK):
            rows.append((f"h.{block}.{name}", op, (start - 1 + offset if block or offset else 0,)))
        rows.append((f"h.{block}", "Where", (start + len(BLOCK) - 1, 1)))
        rows.append((f"h.{block}", "Add", (start + len(BLOCK), start - 1 if block else 0)))
    return audit([(module if scoped else "", op, sources) for module, op, sources in rows])


def unet(depth: int, width: int) -> Json:
    """Down and up again, `width` blocks a level, each level joined with its counterpart."""
    rows: list[Row] = []
    skips: list[int] = []
    for level in range(depth):
        for block in range(width):
            rows += [(f"down.{level}.{block}", op, (len(rows) - 1 + i,)) for i, op in enumerate(("Conv", "Relu"))]
        skips.append(len(rows) - 1)
        rows.append((f"down.{level}.pool", "MaxPool", (len(rows) - 1,)))
    for level in reversed(range(depth)):
        rows.append((f"up.{level}.up", "Resize", (len(rows) - 1,)))
        rows.append((f"up.{level}.join", "Concat", (len(rows) - 1, skips.pop())))
        for block in range(width):
            rows += [(f"up.{level}.{block}", op, (len(rows) - 1 + i,)) for i, op in enumerate(("Conv", "Relu"))]
    return audit(rows)
