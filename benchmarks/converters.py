"""`python -m benchmarks.converters [--write]`: what converts, how well, and in what time against the bare exporter.

With --write the table goes to docs/converters.md. Each framework runs in a process of its own. With --resume a run that
was ended can be taken up again.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import architectures
from benchmarks.converters_text import FOOTER, HEADER

PAGE = Path(__file__).resolve().parents[1] / "docs" / "converters.md"
FRAMEWORKS = {"PyTorch": architectures.pytorch, "Keras": architectures.keras}
TIMED = ("resnet50", "vit_b_16", "BERT-base", "ResNet50", "MobileNetV2")


def audited(model: Any, X: Any, paths: set[str]) -> dict[str, Any]:
    """Return the row of one model: difference, layers, named layers, MACs."""
    from wua_onnx._sources import opened
    from wua_onnx.layers import find_layers

    with opened(model, X, None) as source:
        report = source.cost(None, source.data(X, None, 0), 0)
        names = list(find_layers(source.model).by_name)
        named = sum(name in paths or name.rpartition(".")[0] in paths for name in names)
        return {
            "difference": source.origin["max_difference"],
            "layers": len(names),
            "named": named,
            "missed": [n for n in names if n not in paths and n.rpartition(".")[0] not in paths],
            "macs": int(report.macs) // (report.samples_per_run or 1),
        }


def _pytorch_paths(model: Any) -> set[str]:
    return {path for path, _ in model.named_modules()} | {path for path, _ in model.named_parameters()}


def _keras_paths(model: Any) -> set[str]:
    """Return the path of every layer, at any depth."""
    found, pending = set(), [("", layer) for layer in model.layers]
    while pending:
        prefix, layer = pending.pop()
        path = f"{prefix}/{layer.name}".lstrip("/")
        found.add(path)
        pending += [(path, part) for part in layer._flatten_layers(include_self=False, recursive=False)]
    return found


def _pytorch_counter(model: Any, X: Any) -> int:
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    args = {n: torch.tensor(x[:1]) for n, x in X.items()} if isinstance(X, dict) else torch.tensor(X[:1])
    # The counter knows products, and no fused attention of a CPU.
    torch.backends.mha.set_fastpath_enabled(False)
    with counter, torch.no_grad(), torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        model.eval()(**args) if isinstance(args, dict) else model.eval()(args)
    torch.backends.mha.set_fastpath_enabled(True)
    return int(counter.get_total_flops()) // 2


def _keras_counter(model: Any, X: Any) -> int:
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    shape = (1, *X.shape[1:])
    function: Any = tf.function(lambda x: model(x, training=False), input_signature=[tf.TensorSpec(shape)])
    frozen: Any = convert_variables_to_constants_v2  # TensorFlow's own, untyped
    graph = frozen(function.get_concrete_function()).graph
    profiler = tf.compat.v1.profiler
    options = {**profiler.ProfileOptionBuilder.float_operation(), "output": "none"}
    pending, total = [profiler.profile(graph, cmd="op", options=options)], 0
    while pending:
        node = pending.pop()
        pending.extend(node.children)
        if any(kind in node.name for kind in ("Conv", "MatMul")):
            total += node.float_ops
    return total // 2


def _bare_pytorch(model: Any, X: Any, path: Path) -> None:
    import torch

    # What the conversion leaves free as well: the batch, and the length of token sequences.
    dims: dict[int, Any] = {0: torch.export.Dim("batch")} | ({1: torch.export.Dim.AUTO} if isinstance(X, dict) else {})
    args = {n: torch.tensor(x) for n, x in X.items()} if isinstance(X, dict) else {}
    positional = () if args else (torch.tensor(X),)
    shapes: Any = dict.fromkeys(args, dims) if args else (dims,)
    program = torch.onnx.export(
        model.eval(), positional, kwargs=args or None, dynamo=True, dynamic_shapes=shapes, verbose=False
    )
    assert program is not None
    program.save(str(path))


def _bare_keras(model: Any, X: Any, path: Path) -> None:
    import tensorflow as tf
    import tf2onnx

    specs = [tf.TensorSpec([None, *X.shape[1:]])]
    function = tf.function(lambda x: model(x, training=False), input_signature=specs)
    tf2onnx.convert.from_function(function, specs, opset=18, output_path=str(path))


def _ratio(model: Any, X: Any, bare: Any) -> float:
    """Return the processor time of a conversion over that of the bare exporter: the best of three each, in turns."""
    from wua_onnx.converters import to_onnx

    both: tuple[Callable[[Path], Any], ...] = (lambda path: bare(model, X, path), lambda path: to_onnx(model, path, X))
    best = [float("inf"), float("inf")]
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(3):
            for index, run in enumerate(both):
                path = Path(folder) / "m.onnx"
                started = time.process_time()
                run(path)
                best[index] = min(best[index], time.process_time() - started)
                path.unlink()  # writing over a file is faster than making one
    return best[1] / best[0]


def rows(framework: str, options: argparse.Namespace) -> None:
    """Print one JSON line per model."""
    torch_like = framework == "PyTorch"
    paths, counter, bare = (
        (_pytorch_paths, _pytorch_counter, _bare_pytorch) if torch_like else (_keras_paths, _keras_counter, _bare_keras)
    )
    done = {row["model"] for row in _rows_in(options.resume) if row["framework"] == framework and "error" not in row}
    for name, build in FRAMEWORKS[framework]():
        if options.only not in name or name in done:
            continue
        row: dict[str, Any] = {"model": name, "framework": framework}
        try:
            model, X = build()
            row |= audited(model, X, paths(model))
            row["own"] = counter(model, X)
            if not options.no_time and name.split()[-1] in TIMED:
                row["time"] = _ratio(model, X, bare)
        except Exception as error:  # the table says what failed
            row["error"] = f"{type(error).__name__}: {str(error)[:300]}"
        print(json.dumps(row), flush=True)


def _rows_in(path: Path | None) -> list[dict[str, Any]]:
    lines = path.read_text(encoding="utf-8").splitlines() if path is not None and path.exists() else []
    return [json.loads(line) for line in lines]


def page(found: list[dict[str, Any]]) -> str:
    """Return the table as Markdown, with what it means."""
    return HEADER + "".join(f"| {' | '.join(_cells(row))} |\n" for row in found) + FOOTER


def _cells(row: dict[str, Any]) -> list[str]:
    head = [row["model"], row["framework"]]
    if "macs" not in row:
        return [*head, f"no: {row['error']}".replace("\n", " "), "", "", "", "", ""]
    own = f"{row['own']:,}" if row.get("own") else ""
    ratio = f"{row['time']:.2f}" if "time" in row else ""
    named = f"{row['named']} of {row['layers']}"
    return [*head, "yes", f"{row['difference']:.1e}", named, f"{row['macs']:,}", own, ratio]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.converters", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write docs/converters.md")
    parser.add_argument("--only", default="", help="part of the names of the models wanted")
    parser.add_argument("--framework", choices=FRAMEWORKS, help="print the rows of one framework, as JSON")
    parser.add_argument("--no-time", action="store_true", help="time nothing")
    parser.add_argument(
        "--resume", type=Path, metavar="FILE", help="keep the rows in FILE, one JSON each, and add those it lacks"
    )
    return parser


def main() -> None:
    """Run every framework in a child and write the page, or print it."""
    options = _parser().parse_args()
    if options.framework:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            rows(options.framework, options)
        return
    found = {(row["framework"], row["model"]): row for row in _rows_in(options.resume)}
    for framework in FRAMEWORKS:
        command = [sys.executable, "-m", "benchmarks.converters", "--framework", framework, "--only", options.only]
        command += ["--no-time"] * options.no_time + (["--resume", str(options.resume)] if options.resume else [])
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            for line in child.stdout:
                if line.startswith("{"):
                    row = json.loads(line)
                    found[framework, row["model"]] = row
                    if options.resume:
                        with options.resume.open("a", encoding="utf-8") as file:
                            file.write(line)
    ordered = [found[f, name] for f in FRAMEWORKS for name, _ in FRAMEWORKS[f]() if (f, name) in found]
    if options.write:
        PAGE.write_text(page(ordered), encoding="utf-8")
    else:
        print(page(ordered))


if __name__ == "__main__":
    main()
