"""Text of a model -> text that Graphviz shows as it is: no escape sequence, no entity, no HTML-like label."""

from __future__ import annotations

import re
from typing import Any

import graphviz

from wua_onnx._text import innermost, shortened, visible

LINE = 34  # characters of a line in a box


def label(text: object, limit: int = LINE) -> Any:
    """Return `text` as one line of a label; a path of modules that is too long loses the outermost."""
    whole = str(text)
    inner = innermost(whole, lambda end: len(end) <= limit) if len(whole) > limit else ""
    shown = inner if len(inner) > limit // 3 else whole
    return graphviz.escape(shortened(shown, limit).replace("&", "&amp;"))


def lines(*texts: Any) -> Any:
    """Return labels that `label` made as the lines of one."""
    return graphviz.nohtml("\\n".join(texts))


def tooltip(text: object) -> Any:
    """Return `text` as hover text. Graphviz reads escapes there once or twice, by version: none may be left."""
    return graphviz.nohtml(visible(text).replace("&", "&amp;").replace("\\", "⧵"))


def fragment(link: str | None) -> str | None:
    """Return a link where it leads to a place in the page; None for any other."""
    return link if link and re.fullmatch(r"#[A-Za-z][\w.-]*", link, re.ASCII) else None
