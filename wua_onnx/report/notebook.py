"""Whole pages inside of a notebook, each in a frame of its own."""

from __future__ import annotations

import base64
import sys
from html import escape
from typing import Any

from wua_onnx._text import visible

_HEIGHT = "44rem"


def is_there() -> bool:
    """Return whether this runs in the kernel of a notebook, which can show HTML."""
    shell = _shell()
    return shell is not None and getattr(shell, "kernel", None) is not None


def show(page: str, title: str) -> None:
    """Show a page below the cell that runs."""
    shell = _shell()
    assert shell is not None
    sys.modules["IPython"].display.display({"text/html": frame(page, title), "text/plain": title}, raw=True)


def frame(page: str, title: str) -> str:
    """Return a page as an HTML frame that keeps its scripts to itself.

    It is a data URL and no `srcdoc`, in which links to a place on the page would lead to the notebook.
    """
    encoded = base64.b64encode(page.encode("utf-8", errors="backslashreplace")).decode()
    return (
        f'<iframe title="{escape(visible(title))}" sandbox="allow-scripts allow-downloads" allow="clipboard-write" '
        f'style="box-sizing: border-box; width: 100%; height: {_HEIGHT}; border: 1px solid #8884; border-radius: 6px" '
        f'src="data:text/html;charset=utf-8;base64,{encoded}"></iframe>'
    )


def _shell() -> Any:
    """Return IPython's shell where one runs; IPython is never imported for it."""
    ipython = sys.modules.get("IPython")
    return None if ipython is None else ipython.get_ipython()
