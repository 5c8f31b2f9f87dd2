"""The command `wua-onnx`: one file here per command, each with `add`, which tells the parser of it.

Results go to stdout, everything else to stderr. Exit codes: 0 fine, 1 a budget or threshold is broken, 2 usage,
3 the model or the data is bad, 4 the run failed.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from contextlib import suppress

from wua_onnx import __version__
from wua_onnx.cli import analyze, check, compare, convert, cost, diagram, ops, report
from wua_onnx.cli.codes import BAD_INPUT, BROKEN, FAILED, FINE, USAGE
from wua_onnx.cli.model_argument import telling
from wua_onnx.errors import BudgetError, DeviceError, MissingDependency, OutputError, RunError, WuaError

__all__ = ["BAD_INPUT", "BROKEN", "FAILED", "FINE", "USAGE", "main"]

_COMMANDS = (analyze, cost, diagram, check, report, convert, compare, ops)  # in the order of the help
_FAILURES = (RunError, DeviceError, OutputError, MissingDependency)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal that is not UTF-8 gets "?" for "×", and no error
        sys.stdout.reconfigure(errors="replace")
    parser = _parser()
    options, unknown = parser.parse_known_args(arguments)
    if unknown:
        hint = ": data goes behind --data" if unknown[0].endswith((".npy", ".npz")) else ""
        parser.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
    try:
        with telling(options):
            code: int = options.run(options)
        sys.stdout.flush()
    except WuaError as error:
        print(f"wua-onnx: {error}", file=sys.stderr)
        return _code_of(error)
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


def _code_of(error: WuaError) -> int:
    if isinstance(error, BudgetError):
        return USAGE
    return FAILED if isinstance(error, _FAILURES) else BAD_INPUT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="wua-onnx", description="What a neural network costs, which of its weights do the work, what can go."
    )
    parser.add_argument("--version", action="version", version=f"wua-onnx {__version__}")
    commands = parser.add_subparsers(required=True, metavar="command")
    for command in _COMMANDS:
        command.add(commands)
    return parser
