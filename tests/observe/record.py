"""Record profiles of the small models: `python -m tests.observe.record`, from the top of the repository.

Each file holds what onnxruntime wrote (the figures of memory left out) and the graph it ran.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from wua_onnx.model.load import load
from wua_onnx.observe.marked import marked
from wua_onnx.running.profiled_session import ProfiledSession

from .models import convolutions, fusions, loop

FOLDER = Path(__file__).parent / "recorded"
RUNS = 4
LEFT_OUT = ("mem_", "thread_")


def record(model: onnx.ModelProto, optimised: bool) -> dict[str, Any]:
    """Return the events of `RUNS` runs, and the nodes of the graph that was run."""
    marks = marked(load(model))
    value = model.graph.input[0]
    shape = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
    feeds = {value.name: np.random.default_rng(0).standard_normal(shape, dtype=np.float32)}
    with tempfile.TemporaryDirectory() as scratch:
        session = ProfiledSession(marks.model, None, Path(scratch), optimised=optimised, graph=True)
        graph = session.graph()
        assert graph is not None
        for _ in range(RUNS):
            session.run(feeds)
        events = json.loads(Path(session._session.end_profiling()).read_text())
    for event in events:
        event["args"] = {key: value for key, value in event["args"].items() if not key.startswith(LEFT_OUT)}
    nodes = [[n.name, n.op_type, n.domain, list(n.input), list(n.output)] for n in graph.node]
    return {"onnxruntime": session.version(), "graph": nodes, "events": events}


def main() -> None:
    """Write every file."""
    for build in (convolutions, fusions, loop):
        for optimised in (True, False):
            name = build.__name__ + ("" if optimised else "_unoptimised")
            lines = json.dumps(record(build(), optimised)).replace('}, {"cat"', '},\n{"cat"')
            (FOLDER / f"{name}.json").write_text(lines + "\n")


if __name__ == "__main__":
    main()
