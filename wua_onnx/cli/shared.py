"""What several commands have in common: arguments, and where results go."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wua_onnx.cli.codes import USAGE
from wua_onnx.cli.model_argument import model_argument


def command(commands: Any, name: str, run: Any, text: str, example: str) -> argparse.ArgumentParser:
    """Return the parser of the command `name`, which `run` carries out; its help ends with the arguments `example`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=text,
        description=text,
        epilog=f"example:\n  wua-onnx {name} {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    parser.add_argument("--quiet", action="store_true", help="no progress and no notes on stderr")
    return parser


_MODEL = (
    "a .onnx, .pt2, .pt, .safetensors, .keras, .h5, .tflite or frozen .pb file, a SavedModel folder, or "
    "mypkg.models:build, a function that makes a model"
)


def model_arguments(parser: argparse.ArgumentParser, optional: bool = False, what: str = _MODEL) -> None:
    """Add what every command that opens one model takes."""
    model_argument(parser, optional, what)
    parser.add_argument("--data", metavar="FILE", help="data: a .npy or .npz file")
    parser.add_argument(
        "--dim", metavar="NAME=SIZE", action="append", default=[], help="size of a symbolic dimension; repeatable"
    )
    parser.add_argument("--batch-axis", type=int, default=0, metavar="AXIS", help="axis of the samples (default 0)")


def profile_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what every command that can measure takes."""
    parser.add_argument("--profile", action="store_true", help="also measure how long every node takes in onnxruntime")
    parser.add_argument("--unoptimised", action="store_true", help="with --profile: onnxruntime's optimisations off")


def profile_of(options: argparse.Namespace) -> bool | str:
    """Return what `profile` of the library is to be."""
    return "unoptimised" if options.profile and options.unoptimised else options.profile is True


def positive(text: str) -> int:
    """Return the whole number above 0 that `text` is."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, got {text!r}")
    return int(text)


def dims_of(options: argparse.Namespace) -> dict[str, int]:
    """Return the sizes of symbolic dimensions; exits where one is no NAME=SIZE."""
    dims: dict[str, int] = {}
    for text in options.dim:
        name, separator, size = text.rpartition("=")
        if not separator or not name or not size.isdigit():
            print(f"wua-onnx: --dim: expected NAME=SIZE, got {text!r}", file=sys.stderr)
            raise SystemExit(USAGE)
        dims[name] = int(size)
    return dims


def one_on_stdout(options: argparse.Namespace, *names: str) -> None:
    """Exit where several of the options `names` are to go to stdout."""
    there = [f"--{name}" for name in names if getattr(options, name) == "-"]
    if len(there) > 1:
        print(f"wua-onnx: expected one output on stdout, got {' and '.join(there)}: name a file", file=sys.stderr)
        raise SystemExit(USAGE)


@dataclass(frozen=True, slots=True)
class Output:
    """One form of a result: where it goes (a path, "-" for stdout, None for nowhere), and what makes its text.

    What is no text has `write`, which writes it to a path.
    """

    target: str | None
    text: Callable[[], str] = str
    write: Callable[[str], object] | None = None


def write_outputs(outputs: Iterable[Output], quiet: bool, show: Callable[[], object] | None = None) -> bool:
    """Write what was asked for, in this order; return whether stdout got one. `show` runs first where none does.

    Every text is made and every path looked at before the first is written, so that a bad one leaves nothing behind.

    Raises:
        OutputError: a path cannot be written, or stands there twice.
    """
    from wua_onnx._files import check_writable, write_text

    asked = [output for output in outputs if output.target is not None]
    paths = [Path(output.target).resolve() for output in asked if output.target not in (None, "-")]
    for path, times in Counter(paths).items():
        check_writable(path, times)
    made = [(output, output.text().rstrip("\n") + "\n") for output in asked]
    on_stdout = any(output.target == "-" for output in asked)
    if show is not None and not on_stdout:
        show()
        sys.stdout.flush()  # before what is said on stderr of the files
    for output, text in made:
        if output.target == "-":
            print(text, end="")
        elif output.target is not None:
            if output.write is None:
                write_text(Path(output.target), text)
            else:
                output.write(output.target)
            if not quiet:
                print(f"wrote {Path(output.target).resolve()}", file=sys.stderr)
    return on_stdout
