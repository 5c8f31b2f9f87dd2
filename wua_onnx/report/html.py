"""The JSON of an audit -> one HTML file that needs no network and nothing beside it, and can do without its script."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from wua_onnx.diagrams.palette import STYLE
from wua_onnx.report import columns
from wua_onnx.report.budget_view import budget_view
from wua_onnx.report.charts_page import charts_of
from wua_onnx.report.detail_figures import detail_figures
from wua_onnx.report.figures import figures_of
from wua_onnx.report.importance_view import activations_view, importance_view
from wua_onnx.report.latency import latency_view
from wua_onnx.report.layers_view import layers_view
from wua_onnx.report.profile import NODES, OPERATORS
from wua_onnx.report.training_view import ENERGY, WORK
from wua_onnx.report.view import page

_UNIT = re.compile(r"(?<=[0-9]) (?=%|pp\b|[kKMGTPE]?(?:MACs|FLOPs|iB|B)\b)")
LINES_INLINE = 50
MODULES_SHOWN = 15  # modules in the open part of the table


def render(audit: Mapping[str, Any]) -> str:
    """Return the page of an audit.

    Every string of the model is escaped, and cut where it is long. The diagrams are drawn in child processes; where
    nothing can draw, the page says what to install.

    Raises:
        WuaError: `audit` is of another schema version.
    """
    view = page(audit)
    template = environment().get_template("report.html.jinja")
    return template.render(
        page=view,
        budget=budget_view(audit),
        latency=latency_view(audit.get("profile")),
        figures=figures_of(audit),
        details=detail_figures(audit),
        charts=charts_of(audit),
        columns={"heads": columns.HEADS, "work": WORK, "energy": ENERGY, "operators": OPERATORS, "nodes": NODES},
        layers=layers_view(audit, view.layers),
        importance=importance_view(audit),
        activations=activations_view(audit),
        css=asset("report.css") + Markup(STYLE),
        **script("audit.js"),
        most=MODULES_SHOWN,
    )


def render_inline(audit: Mapping[str, Any]) -> str:
    """Return an audit as a fragment for a notebook: no script, no diagram, at most `LINES_INLINE` lines a table.

    Raises:
        WuaError: `audit` is of another schema version.
    """
    template = environment().get_template("_inline.html.jinja")
    return template.render(page=page(audit), columns=columns.LAYERS, most=LINES_INLINE)


@cache
def environment() -> Environment:
    """Return the templates, with everything escaped that goes into them."""
    environment = Environment(
        loader=PackageLoader("wua_onnx.templates", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=unbroken,
    )
    environment.filters["breakable"] = _breakable
    return environment


def _breakable(name: str) -> Markup:
    """Return a name that may break after its dots."""
    return Markup(".<wbr>").join(name.split("."))


def unbroken(value: Any) -> Any:
    """Return plain text with a space that does not break between a number and its unit."""
    return _UNIT.sub("\u00a0", value) if type(value) is str else value


@cache
def asset(name: str) -> Markup:
    """Return the style sheet or the script, which are the project's own and hold nothing of a model."""
    return Markup(files("wua_onnx.templates").joinpath(name).read_text(encoding="utf-8"))


@cache
def script(own: str) -> dict[str, str]:
    """Return the script of a page, what pages share and its own, and what the content-security policy calls it."""
    text = Markup('"use strict";\n(() => {\n' + "\n".join(map(str, (asset("page.js"), asset(own)))) + "})();")
    return {"script": text, "script_hash": _hash(text)}


@cache
def _hash(text: str) -> str:
    """Return what the content-security policy calls a script by."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
