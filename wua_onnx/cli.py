"""The command `wua-onnx`.

Results go to stdout, everything else to stderr. Exit codes: 0 fine, 1 a budget or threshold is broken, 2 usage,
3 the model or the data is bad, 4 the run failed.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wua_onnx import __version__
from wua_onnx.errors import DeviceError, MissingDependency, OutputError, RunError, WuaError

if TYPE_CHECKING:
    from wua_onnx import Audit

FINE, BROKEN, USAGE, BAD_INPUT, FAILED = range(5)
_FAILURES = (RunError, DeviceError, OutputError, MissingDependency)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal that is not UTF-8 gets "?" for "×", and no error
        sys.stdout.reconfigure(errors="replace")
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        code: int = options.run(options)
        sys.stdout.flush()
    except WuaError as error:
        print(f"wua-onnx: {error}", file=sys.stderr)
        return FAILED if isinstance(error, _FAILURES) else BAD_INPUT
    except BrokenPipeError:  # the reader of stdout went away, as `head` does
        _drop_stdout()
        return FINE
    except SystemExit as stop:
        if stop.code != 1:  # which is how rich says that the reader went away
            raise
        return FINE
    except OSError as error:
        _drop_stdout()
        print(f"wua-onnx: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("wua-onnx: interrupted", file=sys.stderr)
        return FAILED
    return code


def _drop_stdout() -> None:
    """Send what is left in the buffer of stdout nowhere, so that Python does not fail on it while it ends."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="wua-onnx", description="What a neural network costs, which of its weights do the work, what can go."
    )
    parser.add_argument("--version", action="version", version=f"wua-onnx {__version__}")
    commands = parser.add_subparsers(required=True, metavar="command")
    _analyze_parser(commands)
    _cost_parser(commands)
    _convert_parser(commands)
    _compare_parser(commands)
    _ops_parser(commands)
    return parser


def _command(commands: Any, name: str, run: Any, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    parser.set_defaults(run=run)
    parser.add_argument("--quiet", action="store_true", help="no progress and no notes on stderr")
    return parser


def _model_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="a .onnx, .pt2, .keras or .h5 file, or a SavedModel folder")
    parser.add_argument("--data", metavar="FILE", help="data: a .npy or .npz file")
    parser.add_argument(
        "--dim", metavar="NAME=SIZE", action="append", default=[], help="size of a symbolic dimension; repeatable"
    )
    parser.add_argument("--batch-axis", type=int, default=0, metavar="AXIS", help="axis of the samples (default 0)")


def _analyze_parser(commands: Any) -> None:
    parser = _command(commands, "analyze", _analyze, "audit a model")
    _model_arguments(parser)
    parser.add_argument("--html", metavar="FILE", help="write the audit as one HTML page")
    parser.add_argument(
        "--json", metavar="FILE", nargs="?", const="-", help="write the audit as JSON; stdout by default"
    )
    parser.add_argument("--markdown", metavar="FILE", nargs="?", const="-", help="write it as Markdown")
    parser.add_argument("--criterion", action="append", help="criterion of importance (default activation); repeatable")
    parser.add_argument("--activation", choices=("post", "pre"), default="post", help="where neurons are read")
    parser.add_argument("--static", action="store_true", help="record nothing: weights alone")
    parser.add_argument("--batch-size", type=int, metavar="N", help="samples in a run")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    _profile_arguments(parser)
    parser.add_argument(
        "--no-isolate", action="store_true", help="run onnxruntime in this process rather than in a child"
    )


def _profile_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--profile", action="store_true", help="also measure how long every node takes in onnxruntime")
    parser.add_argument("--unoptimised", action="store_true", help="with --profile: onnxruntime's optimisations off")


def _profile(options: argparse.Namespace) -> bool | str:
    return "unoptimised" if options.profile and options.unoptimised else options.profile is True


def _cost_parser(commands: Any) -> None:
    parser = _command(commands, "cost", _cost, "count what a model costs, without running it")
    _model_arguments(parser)
    _profile_arguments(parser)
    parser.add_argument(
        "--observe", action="store_true", help="run the first sample of --data: its trips, branches and shapes count"
    )
    parser.add_argument(
        "--time-limit", type=_positive, metavar="SECONDS", help="with --observe: the longest run (default 600)"
    )
    parser.add_argument("--by", choices=("operator", "module", "node"), default="operator", help="rows of the table")
    parser.add_argument("--depth", type=_positive, metavar="N", help="deepest module level of --by module")
    parser.add_argument(
        "--sort", choices=("macs", "flops", "bytes", "params", "name"), help="order of the rows, the largest first"
    )
    for name, what in (("json", "the count as JSON"), ("csv", "the table as CSV"), ("markdown", "it as Markdown")):
        parser.add_argument(f"--{name}", metavar="FILE", nargs="?", const="-", help=f"write {what}; stdout by default")


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, got {text!r}")
    return int(text)


def _convert_parser(commands: Any) -> None:
    parser = _command(commands, "convert", _convert, "turn a framework's model into ONNX")
    parser.add_argument("model", help="a .pt2, .keras or .h5 file, or a SavedModel folder")
    parser.add_argument("output", help="the .onnx file to write")
    parser.add_argument("--data", metavar="FILE", help="data to compare both models on: a .npy or .npz file")


def _compare_parser(commands: Any) -> None:
    parser = _command(commands, "compare", _compare, "two models side by side")
    parser.add_argument("before", help="a model, or the JSON of an audit")
    parser.add_argument("after", help="a model, or the JSON of an audit")
    parser.add_argument("--data", metavar="FILE", help="data: a .npy or .npz file")


def _ops_parser(commands: Any) -> None:
    parser = _command(commands, "ops", _ops, "list the operators that are counted, and how")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="as JSON")
    form.add_argument("--markdown", action="store_true", help="as Markdown")


def _dims(options: argparse.Namespace) -> dict[str, int]:
    dims: dict[str, int] = {}
    for text in options.dim:
        name, separator, size = text.rpartition("=")
        if not separator or not name or not size.isdigit():
            print(f"wua-onnx: --dim: expected NAME=SIZE, got {text!r}", file=sys.stderr)
            raise SystemExit(USAGE)
        dims[name] = int(size)
    return dims


def _analyze(options: argparse.Namespace) -> int:
    import wua_onnx as wua

    _one_on_stdout(options, "json", "markdown")
    audit = wua.analyze(
        options.model,
        options.data,
        dims=_dims(options),
        batch_axis=options.batch_axis,
        criterion=options.criterion or "activation",
        activation=options.activation,
        compute_activations=not options.static,
        batch_size=options.batch_size,
        device=options.device,
        isolate=not options.no_isolate,
        profile=_profile(options),
        progress=None if options.quiet else True,
    )
    written = _write_files(audit, options)
    if "-" not in (options.json, options.markdown):
        audit.show()
    if not options.quiet:
        for path in written:
            print(f"wrote {path.resolve()}", file=sys.stderr)
    runs = [audit.to_dict()["recording"], audit.profile]
    return FAILED if any(run is not None and run.get("error") for run in runs) else FINE


def _write_files(audit: Audit, options: argparse.Namespace) -> list[Path]:
    """Write what was asked for; the HTML page last, so that its path is the last thing said."""
    written: list[Path] = []
    for target, write, text in (
        (options.json, audit.to_json, None),
        (options.markdown, None, audit.to_markdown),
        (options.html, audit.to_html, None),
    ):
        if target == "-":
            print(text() if text is not None else audit.to_json())
        elif target is not None:
            _write(Path(target), write, text)
            written.append(Path(target))
    return written


def _write(path: Path, write: Any, text: Any) -> None:
    if write is not None:
        write(path)
    else:
        from wua_onnx._files import write_text

        write_text(path, text())


def _cost(options: argparse.Namespace) -> int:
    from wua_onnx._profiled import cost_and_profile

    _one_on_stdout(options, "json", "csv", "markdown")
    report, profile = cost_and_profile(
        options.model,
        options.data,
        dims=_dims(options),
        batch_axis=options.batch_axis,
        profile=_profile(options),
        isolate=True,
        observe=options.observe,
        time_limit=options.time_limit,
    )
    cost = report.to_dict() if profile is None else {**report.to_dict(), "profile": profile}
    if not _write_cost(cost, options):
        _show_cost(cost, options)
    unobserved = report.observed is not None and report.observed.error is not None
    return FAILED if unobserved or (profile is not None and profile.get("error")) else FINE


def _write_cost(cost: dict[str, Any], options: argparse.Namespace) -> bool:
    """Write the files that were asked for; return whether stdout got one of them."""
    from wua_onnx._files import write_text
    from wua_onnx.report.cost_tables import cost_csv, cost_markdown

    table = (cost, options.by, options.depth, options.sort)
    for target, text in (
        (options.json, partial(json.dumps, cost, ensure_ascii=False, indent=1)),
        (options.csv, partial(cost_csv, *table)),
        (options.markdown, partial(cost_markdown, *table)),
    ):
        if target == "-":
            print(text().rstrip("\n"))
        elif target is not None:
            write_text(Path(target), text().rstrip("\n") + "\n")
            if not options.quiet:
                print(f"wrote {Path(target).resolve()}", file=sys.stderr)
    return "-" in (options.json, options.csv, options.markdown)


def _show_cost(cost: dict[str, Any], options: argparse.Namespace) -> None:
    from wua_onnx.report.cost_terminal import print_cost

    print_cost(cost, by=options.by, depth=options.depth, sort=options.sort)
    if "profile" in cost:
        from wua_onnx.report.profile import print_profile

        print_profile(cost["profile"], by=options.by)


def _one_on_stdout(options: argparse.Namespace, *names: str) -> None:
    """Exit where several of the options `names` are to go to stdout."""
    there = [f"--{name}" for name in names if getattr(options, name) == "-"]
    if len(there) > 1:
        print(f"wua-onnx: expected one output on stdout, got {' and '.join(there)}: name a file", file=sys.stderr)
        raise SystemExit(USAGE)


def _convert(options: argparse.Namespace) -> int:
    import wua_onnx as wua

    path = wua.convert(options.model, options.output, options.data)
    if not options.quiet:
        print(f"wrote {path.resolve()}", file=sys.stderr)
    return FINE


def _compare(options: argparse.Namespace) -> int:
    import wua_onnx as wua

    wua.compare(options.before, options.after, options.data).show()
    return FINE


def _ops(options: argparse.Namespace) -> int:
    from wua_onnx.cost.registry import all_rules
    from wua_onnx.report.operators import print_rules, rules_json, rules_markdown

    rules = list(all_rules())
    if options.json:
        print(json.dumps(rules_json(rules), indent=1, ensure_ascii=False))
    elif options.markdown:
        print(rules_markdown(rules), end="")
    else:
        print_rules(rules)
    return FINE
