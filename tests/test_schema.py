"""`docs/audit.schema.json` describes the audits that are really made, and refuses what it does not describe."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from onnx import helper

import wua_onnx as wua
from tests.small_models import SAMPLES, data, mlp, mlp_weights, model
from wua_onnx.errors import DataError
from wua_onnx.report.view import SCHEMA_VERSION

ROOT = Path(__file__).resolve().parent.parent
DIGITS, IMAGES = ROOT / "examples" / "digits.onnx", ROOT / "examples" / "digits.npz"
SCHEMA: dict[str, Any] = json.loads((ROOT / "docs" / "audit.schema.json").read_text(encoding="utf-8"))
WHOLE = jsonschema.Draft202012Validator(SCHEMA)
COST = jsonschema.Draft202012Validator({"$ref": "#/$defs/cost", "$defs": SCHEMA["$defs"]})


def problems(validator: Any, found: Any) -> list[str]:
    return [
        f"{'/'.join(map(str, error.absolute_path))}: {error.message[:200]}" for error in validator.iter_errors(found)
    ]


def through_text(audit: wua.Audit) -> Any:
    return json.loads(audit.to_json())


def unknown_operator() -> wua.Audit:
    nodes = [
        helper.make_node("Gemm", ["x", "hidden.weight"], ["h"]),
        helper.make_node("Odd", ["h"], ["y"], domain="com.acme"),
    ]
    return wua.analyze(model(nodes, mlp_weights(), ["batch", "width"]))


def dead_weights() -> wua.Audit:
    return wua.analyze(model([helper.make_node("MatMul", ["x", "w"], ["y"])], {"w": np.zeros((7, 3))}, [2, 7]))


def not_a_number() -> wua.Audit:
    return wua.analyze(model([helper.make_node("MatMul", ["x", "w"], ["y"])], {"w": np.full((7, 3), np.nan)}, [2, 7]))


AUDITS: dict[str, Callable[[], wua.Audit]] = {
    "static and symbolic": lambda: wua.analyze(DIGITS),
    "static at given sizes": lambda: wua.analyze(DIGITS, dims={"batch": 3}),
    "recorded": lambda: wua.analyze(DIGITS, IMAGES, criterion=["activation", "magnitude"]),
    "profiled": lambda: wua.analyze(DIGITS, IMAGES, profile=True, batch_size=7),
    "with labels and a neuron diagram": lambda: wua.analyze(mlp(), data(), np.arange(SAMPLES) % 3),
    "without layers": lambda: wua.analyze(model([helper.make_node("Relu", ["x"], ["y"])], {}, [3, 5])),
    "an operator that is not known": unknown_operator,
    "weights of zeros": dead_weights,
    "weights that are no numbers": not_a_number,
}


@pytest.mark.parametrize("kind", AUDITS)
def test_audits_are_as_the_schema_says(kind: str) -> None:
    assert problems(WHOLE, through_text(AUDITS[kind]())) == []


@pytest.mark.parametrize("dims", [None, {"batch": 5}], ids=["symbolic", "at a size"])
def test_a_cost_report_is_as_the_schema_says(dims: dict[str, int] | None) -> None:
    assert problems(COST, json.loads(json.dumps(wua.cost(DIGITS, dims=dims).to_dict()))) == []


def test_an_observed_cost_report_is_as_the_schema_says() -> None:
    assert problems(COST, wua.cost(DIGITS, IMAGES, observe=True).to_dict()) == []


def test_numbers_above_the_safe_integers_are_text() -> None:
    huge = wua.cost(DIGITS, dims={"batch": 2**45}).to_dict()
    assert isinstance(huge["macs"], str)
    assert problems(COST, huge) == []


def test_the_schema_is_one_and_of_this_version() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["properties"]["schema_version"]["const"] == SCHEMA_VERSION


def objects(schema: Any, path: str = "") -> list[tuple[str, dict[str, Any]]]:
    """Every schema of an object in `schema`, with its place."""
    if isinstance(schema, list):
        return [pair for i, part in enumerate(schema) for pair in objects(part, f"{path}/{i}")]
    if not isinstance(schema, dict):
        return []
    here = [(path, schema)] if schema.get("type") == "object" else []
    return here + [pair for key, part in schema.items() for pair in objects(part, f"{path}/{key}")]


def test_no_object_takes_unknown_fields() -> None:
    open_ones = [path for path, schema in objects(SCHEMA) if schema.get("additionalProperties", True) is True]
    assert open_ones == []
    assert len(objects(SCHEMA)) > 30


@pytest.mark.parametrize(
    "place",
    [(), ("model",), ("settings",), ("cost",), ("cost", "by_node", 0), ("layers", 0), ("totals",), ("recording",)],
    ids=str,
)
def test_an_unknown_field_is_refused(place: tuple[Any, ...]) -> None:
    audit = through_text(wua.analyze(mlp(), data()))
    part = audit
    for key in place:
        part = part[key]
    assert problems(WHOLE, audit) == []
    part["surprise"] = 1
    assert problems(WHOLE, audit) != []


def test_every_definition_is_used() -> None:
    text = json.dumps(SCHEMA)
    assert [name for name in SCHEMA["$defs"] if f'"#/$defs/{name}"' not in text] == []


@pytest.mark.parametrize("name", ["x" * 5_000, '{"schema_version": 1, "tool": ' * 200, "a\u202eb\n" * 600])
def test_a_text_where_a_file_is_expected_is_cut_in_the_error(name: str) -> None:
    with pytest.raises(DataError, match="expected the JSON of an audit, got") as caught:
        wua.Audit.from_json(name)
    assert f"({len(name):,} characters)" in str(caught.value)
    assert len(str(caught.value)) < 800
    assert str(caught.value).isprintable()
    assert caught.value.__suppress_context__
