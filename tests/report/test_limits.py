"""What is cut where a model has thousands of it, and the line that says where the rest is."""

from __future__ import annotations

import re

from wua_onnx.report.html import render
from wua_onnx.report.markdown import to_markdown

from .sample import transformer


def test_thousands_of_modules_are_cut_and_counted() -> None:
    audit = transformer()
    model = audit["cost"]["by_module"][0]
    audit["cost"]["by_module"] = [{**model, "path": f"block{i}", "depth": 1} for i in range(4007)]
    html, text = render(audit), to_markdown(audit)
    found = re.search(r"(\d+) more modules, the first (\d+) of them(.*)All of them are in the JSON", html, re.DOTALL)
    assert found is not None
    left, folded = int(found[1]), int(found[2])
    assert 4007 - left == 400 - folded < 100, "so many stand open"
    assert found[3].count("<tr>") == folded + 1, "and the head"
    assert "3,967 more modules are in the JSON." in text


def test_parameters_outside_of_layers_are_cut_and_counted() -> None:
    audit = transformer()
    audit["coverage"]["declined"] = [{"name": f"p{i}", "elements": 7 + i, "reason": "a bias"} for i in range(211)]
    html = render(audit)
    assert "Parameters in no layer (211)" in html
    assert "The first 200; all of them are in the JSON of the audit." in html
    assert "p210<" in html, "the largest first"
    assert "p10<" not in html
