"""Repeated modules, found in the tree of modules and drawn in detail."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper

import wua_onnx as wua
from tests.report.sample import digits
from tests.small_models import model
from wua_onnx._result import Audit
from wua_onnx.diagrams.palette import STYLE
from wua_onnx.report.charts_structure import repeated
from wua_onnx.report.detail_figures import BOXES, BUDGET, MOST, detail_figures

SAMPLES = Path(__file__).parent / "samples"


def blocks(kinds: list[int]) -> dict[str, Any]:
    """The audit of blocks one after the other; those of one number are of that many matrices."""
    nodes, weights, value = [], {}, "x"
    for index, depth in enumerate(kinds):
        for part in range(depth):
            name = f"net.block.{index}.fc{part}"
            weights[f"{name}.weight"] = np.ones((5, 5), dtype=np.float32)
            for op, inputs in (("MatMul", [value, f"{name}.weight"]), ("Relu", [f"{name}.m"])):
                out = f"{name}.{op[0].lower()}"
                node = helper.make_node(op, inputs, [out], name=out)
                scopes = f"['', 'net', 'net.block.{index}', '{name}', '{op}']"
                node.metadata_props.add(key="pkg.torch.onnx.name_scopes", value=scopes)
                nodes.append(node)
            value = f"{name}.r"
    nodes.append(helper.make_node("Identity", [value], ["y"]))
    return wua.analyze(model(nodes, weights, [3, 5])).to_dict()


@pytest.mark.parametrize(
    ("kinds", "found"),
    [
        ([2, 2, 2], [("net.block.0", "2", 3)]),
        ([2, 3, 3, 2], [("net.block.1", "2", 2)]),
        ([2, 2, 3, 3, 2, 2], [("net.block.0", "1", 2), ("net.block.2", "3", 2)]),
        ([2, 3, 4], []),
        ([1, 1, 1], []),
    ],
)
def test_repeated_modules_are_found_once(kinds: list[int], found: list[tuple[str, str, int]]) -> None:
    told = repeated(blocks(kinds)["cost"])
    assert [(module.path, module.last, module.count) for module in told] == found


def test_the_first_of_each_kind_is_drawn() -> None:
    [figure] = detail_figures(blocks([3, 3, 3, 3]))
    assert figure.title == "Inside net.block.0 … 3 (× 4): the first of them in detail"
    assert figure.svg is not None
    assert all(f"fc{part}" in figure.svg for part in range(3))
    assert "fc3" not in figure.svg
    assert [row[0] for row in figure.rows if row[0].startswith("fc")] != []


def test_no_more_are_drawn_than_a_page_has_room_for() -> None:
    kinds = [depth for depth in range(2, 2 + MOST + 3) for _ in range(2)]
    audit = blocks(kinds)
    assert len(repeated(audit["cost"])) == MOST + 3
    figures = detail_figures(audit)
    assert len(figures) == MOST
    assert figures[-1].title.startswith(f"Inside net.block.{len(kinds) - 2} …"), "the largest, in the order of the file"
    assert sum(len(figure.svg or "") for figure in figures) <= BUDGET
    assert all(len(figure.rows) <= BOXES for figure in figures)


@pytest.mark.parametrize("name", ["digits", "transformer"])
def test_older_audits_have_none(name: str) -> None:
    assert detail_figures(json.loads((SAMPLES / f"{name}.json").read_text(encoding="utf-8"))) == ()


def test_the_style_sheet_of_drawings_is_once_in_the_page_and_in_each_that_is_saved() -> None:
    audit = Audit(digits())
    assert audit.to_html().count(STYLE) == 1
    assert audit.graph().to_svg().count(STYLE) == 1
