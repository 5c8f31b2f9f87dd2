"""The argument `model`, the options that say more of it, and what its conversion shows."""

from __future__ import annotations

import argparse
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Any


class _Said(argparse.Action):
    """Keep what is said of the model; where more than its path is said, `options.model` becomes a `Recipe`.

    Options may stand before the model or after it.
    """

    def __call__(self, parser: Any, namespace: argparse.Namespace, values: Any, option_string: Any = None) -> None:
        said = {**getattr(namespace, "said", {}), self.dest: values}
        namespace.said = said
        setattr(namespace, self.dest, values)
        if said.get("model") is not None and len(said) > 1:
            from wua_onnx.converters import Recipe

            namespace.model = Recipe(**said)


def model_argument(parser: argparse.ArgumentParser, optional: bool, what: str) -> None:
    """Add the model, a path or the name of a function, and what is needed to open some of them."""
    parser.add_argument("model", nargs="?" if optional else None, action=_Said, help=what)
    parser.add_argument(
        "--factory",
        metavar="MODULE:FUNCTION",
        action=_Said,
        help="function that builds the model, for a file of weights alone (it is imported: its code runs)",
    )
    parser.add_argument("--signature", metavar="NAME", action=_Said, help="which signature of a SavedModel is meant")
    verbose_argument(parser)


def verbose_argument(parser: argparse.ArgumentParser) -> None:
    """Add `--verbose`, of every command that may convert a model."""
    parser.add_argument("--verbose", action="store_true", help="show what frameworks print during a conversion")


def telling(options: argparse.Namespace) -> AbstractContextManager[None]:
    """Return a context in which conversions show as much as the user asked for: their steps, and all with --verbose."""
    if not hasattr(options, "verbose"):  # the command opens no model
        return nullcontext()
    from wua_onnx.converters import telling as converting

    shown: AbstractContextManager[None] = converting(None if options.quiet else _tell, options.verbose)
    return shown


def _tell(step: str) -> None:
    print(f"{step} …", file=sys.stderr)
