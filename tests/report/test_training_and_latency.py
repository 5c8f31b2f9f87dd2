"""Training, energy and measured times: one JSON, every rendering."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from wua_onnx import Audit
from wua_onnx.report.html import render
from wua_onnx.report.latency import latency_view
from wua_onnx.report.markdown import to_markdown
from wua_onnx.report.roofline import roofline
from wua_onnx.report.view import page

from .sample import digits, transformer


def sections(html: str, name: str) -> str:
    return html.split(f'<section id="{name}"', 1)[1].split("</section>", 1)[0]


@pytest.mark.parametrize("make", [digits, transformer])
def test_an_audit_read_from_its_json_renders_the_same(make: Any, tmp_path: Path) -> None:
    file = tmp_path / "audit.json"
    file.write_text(json.dumps(make()), encoding="utf-8")
    again = Audit.from_json(file)
    assert sections(render(again.to_dict()), "training") == sections(render(make()), "training")
    assert sections(render(again.to_dict()), "latency") == sections(render(make()), "latency")


def test_energy_states_every_constant_it_used_and_is_called_an_estimate() -> None:
    training = sections(render(digits()), "training").replace("\u00a0", " ")
    for value in digits()["estimates"]["constants"].values():
        assert (value["source"] in training) == ("int8" not in value["source"])
    assert ">estimate</span>" in training


def test_energy_is_what_the_constants_give() -> None:
    cost = digits()["cost"]
    constants = {name: part["value"] for name, part in digits()["estimates"]["constants"].items()}
    joules = cost["flops"] * constants["joules_per_flop"] + cost["bytes_moved"] * constants["joules_per_byte"]
    assert digits()["estimates"]["energy"]["inference"]["joules"] == pytest.approx(joules, rel=1e-12)


def test_free_dimensions_leave_formulas_and_no_energy() -> None:
    view = page(transformer()).training
    assert view is not None
    assert view.energy == ()
    assert "batch, seq" in view.no_energy
    assert "batch·seq" in view.work[1].flops


def test_a_failed_profile_says_why() -> None:
    assert "no kernel for it" in sections(render(transformer()), "latency")
    assert "no kernel for it" in to_markdown(transformer())


def test_json_without_these_parts_renders_without_the_sections() -> None:
    audit = digits()
    del audit["estimates"], audit["profile"]
    html = render(audit)
    assert 'id="training"' not in html
    assert 'id="latency"' not in html
    assert "#latency" not in html


def test_every_node_with_work_is_a_dot_of_the_roofline_and_a_row_behind_it() -> None:
    view = latency_view(digits()["profile"])
    assert view is not None
    assert view.roofline is not None
    known = [part for part in digits()["profile"]["timed"] if part["flops"] and part["bytes"]]
    assert len(known) >= 2
    assert str(view.roofline.svg).count("<circle") == len(view.roofline.rows) == len(known)


def test_a_node_at_the_peak_lies_on_the_roof() -> None:
    part = {
        **digits()["profile"]["timed"][0], "flops": 7_000, "bytes": 100, "gflops": 50.0, "gbps": 50 / 70, "share": 1.0,
    }  # fmt: skip
    svg = str(roofline([part], {"gflops": 50.0, "gbps": 5.0}))
    dot = re.search(r'cy="([\d.]+)"', svg)
    roof = re.search(r'points="[^"]*,([\d.]+)"', svg)
    assert dot is not None
    assert roof is not None
    assert dot[1] == roof[1]


def test_a_roofline_of_nothing_is_none() -> None:
    assert roofline([], {"gflops": 50.0, "gbps": 5.0}) is None
