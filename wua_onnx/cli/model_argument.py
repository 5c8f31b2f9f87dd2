"""The argument `model`, and the options that say more of it: `--factory` and `--signature`."""

from __future__ import annotations

import argparse
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
