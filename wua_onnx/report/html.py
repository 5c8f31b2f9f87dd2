"""The JSON of an audit -> one HTML file that needs no network, no script and nothing beside it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from wua_onnx.report import columns
from wua_onnx.report.figures import figures_of
from wua_onnx.report.latency import latency_view
from wua_onnx.report.profile import NODES, OPERATORS
from wua_onnx.report.training_view import ENERGY, WORK
from wua_onnx.report.view import page

_UNIT = re.compile(r"(?<=[0-9]) (?=%|[kMGTPE]?(?:MACs|FLOPs|iB|B)\b)")
LINES_INLINE = 50
MODULES_SHOWN = 40  # modules in the open part of the table


def render(audit: Mapping[str, Any]) -> str:
    """Return the page of an audit.

    Every string of the model is escaped, and cut where it is long. The diagrams are drawn in child processes; where
    nothing can draw, the page says what to install.

    Raises:
        WuaError: `audit` is of another schema version.
    """
    view = page(audit)
    template = _environment().get_template("report.html.jinja")
    return template.render(
        page=view,
        latency=latency_view(audit.get("profile")),
        figures=figures_of(audit),
        columns={"work": WORK, "energy": ENERGY, "operators": OPERATORS, "nodes": NODES},
        css=_style(),
        most=MODULES_SHOWN,
    )


def render_inline(audit: Mapping[str, Any]) -> str:
    """Return an audit as a fragment for a notebook: no script, no diagram, at most `LINES_INLINE` lines a table.

    Raises:
        WuaError: `audit` is of another schema version.
    """
    template = _environment().get_template("_inline.html.jinja")
    return template.render(page=page(audit), columns=columns.LAYERS, most=LINES_INLINE)


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("wua_onnx.templates", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_unbroken,
    )


def _unbroken(value: Any) -> Any:
    """Return plain text with a space that does not break between a number and its unit."""
    return _UNIT.sub("\u00a0", value) if type(value) is str else value


@cache
def _style() -> Markup:
    """Return the style sheet, which is the project's own and holds nothing of a model."""
    return Markup(files("wua_onnx.templates").joinpath("report.css").read_text(encoding="utf-8"))
