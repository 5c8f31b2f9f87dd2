"""Whole pages in a notebook: a frame of their own, from which nothing gets out."""

from __future__ import annotations

import base64
import re
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from tests.comparison.made import made
from tests.report.sample import digits, hostile
from wua_onnx._result import Audit
from wua_onnx.report import notebook


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What a kernel was told to display."""
    said: list[Any] = []
    display = SimpleNamespace(display=lambda data, raw: said.append(data))
    ipython = SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=object()), display=display)
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    return said


def page_of(frame: str) -> str:
    match = re.search(r'src="data:text/html;charset=utf-8;base64,([^"]*)"', frame)
    assert match is not None
    return base64.b64decode(match[1]).decode()


@pytest.mark.parametrize("make", [lambda: Audit(digits()), made], ids=["audit", "comparison"])
def test_a_notebook_shows_the_page_in_a_frame(make: Any, shown: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    result = make()
    result.show()
    [said] = shown
    assert page_of(said["text/html"]) == result.to_html()
    assert 'sandbox="allow-scripts allow-downloads"' in said["text/html"]
    assert capsys.readouterr().out == ""


def test_a_hostile_name_does_not_leave_the_title_of_the_frame(shown: list[Any]) -> None:
    audit = hostile()
    audit["model"]["name"] = '"><script>alert(1)</script>'
    Audit(audit).show()
    assert "<script" not in shown[0]["text/html"]
    assert shown[0]["text/html"].count("<") == 2


@pytest.mark.parametrize("shell", [None, SimpleNamespace(), SimpleNamespace(kernel=None)])
def test_a_terminal_gets_text(shell: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    assert not notebook.is_there()
    Audit(digits()).show()
    assert "Cost by operator" in capsys.readouterr().out
