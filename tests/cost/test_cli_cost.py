"""`wua-onnx cost`: rows, their order, formulas, CSV and Markdown, at every width."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from wua_onnx.cli import FINE, USAGE, main
from wua_onnx.cli.cost import _COLUMNS
from wua_onnx.report.columns import FIGURES

Capture = pytest.CaptureFixture[str]
node = helper.make_node

NAMES = ["/enc/b/MatMul", "/enc/a/MatMul", "/dec/Relu", "Softmax"]


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A model of three modules: products of 3×13 and 13×5, a Relu and a Softmax over `batch` and `seq`."""
    weights = [
        TensorProto(name=name, data_type=TensorProto.FLOAT, dims=size, raw_data=bytes(4 * size[0] * size[1]))
        for name, size in (("wide", (3, 13)), ("narrow", (13, 5)))
    ]
    nodes = [
        node("MatMul", ["x", "wide"], ["a"], name=NAMES[0]),
        node("MatMul", ["a", "narrow"], ["b"], name=NAMES[1]),
        node("Relu", ["b"], ["c"], name=NAMES[2]),
        node("Softmax", ["c"], ["y"], name=NAMES[3]),
    ]
    dims: list[str | int] = ["batch", "seq", 3]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, dims)
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "small", [x], [y], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.save(model, tmp_path / "small.onnx")
    return str(tmp_path / "small.onnx")


def printed(capsys: Capture, *arguments: str) -> str:
    assert main(["cost", *arguments]) == FINE
    return capsys.readouterr().out


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


BOUND = ("--dim", "batch=2", "--dim", "seq=7")


@pytest.mark.parametrize(
    ("arguments", "column", "expected"),
    [
        (["--by", "node"], "node", NAMES),
        (["--by", "node", "--sort", "macs"], "node", [NAMES[1], NAMES[0], *NAMES[2:]]),
        (["--by", "node", "--sort", "params"], "node", [NAMES[1], NAMES[0], *NAMES[2:]]),
        (["--by", "node", "--sort", "name"], "node", sorted(NAMES)),
        (["--by", "operator", "--sort", "bytes"], "operator", ["MatMul", "Softmax", "Relu"]),
        (["--by", "operator", "--sort", "name"], "operator", ["MatMul", "Relu", "Softmax"]),
        (["--by", "operator"], "operator", ["MatMul", "Softmax", "Relu"]),
        (["--by", "module"], "module", ["enc", "enc.b", "enc.a", "dec", "(outside modules)"]),
        (["--by", "module", "--depth", "1"], "module", ["enc", "dec", "(outside modules)"]),
        (["--by", "module", "--sort", "macs"], "module", ["enc", "enc.a", "enc.b", "dec", "(outside modules)"]),
        (["--by", "module", "--sort", "name"], "module", ["dec", "enc", "enc.a", "enc.b", "(outside modules)"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
@pytest.mark.parametrize("dims", [(), BOUND], ids=["free", "bound"])
def test_rows_and_their_order(
    arguments: list[str], column: str, expected: list[str], dims: tuple[str, ...], path: str, capsys: Capture
) -> None:
    found = rows(printed(capsys, path, *dims, *arguments, "--csv"))
    assert [row[column] for row in found] == expected


def test_csv_has_every_digit(path: str, capsys: Capture) -> None:
    found = rows(printed(capsys, path, "--dim", "batch=1000003", "--dim", "seq=1000003", "--by", "node", "--csv"))
    n = 1000003**2
    assert [int(row["macs"]) for row in found] == [39 * n, 65 * n, 0, 0]
    assert [int(row["params"]) for row in found] == [39, 65, 0, 0]
    assert found[0]["outputs"] == "1000003 × 1000003 × 13"
    assert float(found[2]["intensity"]) == 1 / 8


def test_csv_writes_formulas_of_free_dimensions(path: str, capsys: Capture) -> None:
    found = rows(printed(capsys, path, "--by", "node", "--csv"))
    assert [row["macs"] for row in found] == ["39*batch*seq", "65*batch*seq", "0", "0"]
    assert found[0]["bytes"] == "64*batch*seq + 156"


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "=cmd|' /C calc'!A0", '=HYPERLINK("http://x","y")'])
def test_names_are_no_formulas_of_a_spreadsheet(name: str, path: str, capsys: Capture) -> None:
    model = onnx.load(path)
    model.graph.node[3].name = name
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = name
    onnx.save(model, path)
    cells = [cell for row in csv.reader(io.StringIO(printed(capsys, path, "--by", "node", "--csv"))) for cell in row]
    assert f"'{name}" in cells
    assert not [cell for cell in cells if cell[:1] in ("=", "+", "-", "@", "\t", "\r")]


def test_formulas_stand_in_the_names_of_the_file(path: str, capsys: Capture) -> None:
    text = printed(capsys, path)
    assert "MACs                  = 104·batch·seq" in text
    # Of 5 values each: the Relu 5 comparisons, the Softmax 4 comparisons, 5 differences, 5 exp, 4 sums, 5 quotients.
    assert "FLOPs                 = 236·batch·seq" in text
    assert "--dim batch=1 --dim seq=1" in text


def test_numbers_stand_without_formulas_once_all_is_bound(path: str, capsys: Capture) -> None:
    text = printed(capsys, path, *BOUND)
    assert "As formulas" not in text
    assert "1.46 kMACs (1,456)" in text
    assert "alive at the peak" in text


def test_half_bound(path: str, capsys: Capture) -> None:
    assert "MACs                  = 208·seq" in printed(capsys, path, "--dim", "batch=2")


@pytest.mark.parametrize("width", [40, 60, 80, 109, 110, 200])
@pytest.mark.parametrize("by", ["operator", "module", "node"])
@pytest.mark.parametrize("dims", [(), BOUND], ids=["free", "bound"])
def test_lines_fit_the_terminal(
    width: int, by: str, dims: tuple[str, ...], path: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    text = printed(capsys, path, *dims, "--by", by)
    assert max(map(len, text.splitlines())) <= width
    if not dims or width <= 60 or width == 200:  # in between it depends on what else there is to show
        assert ("FLOP/byte" in text) == (width == 200 and bool(dims))
    assert "\x1b" not in text


@pytest.mark.parametrize("width", [40, 120])
def test_columns_that_are_asked_for(width: int, path: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    text = printed(capsys, path, *BOUND, "--columns", "intensity,macs")
    assert "operator nodes FLOP/byte MACs" in re.sub(" +", " ", text)
    assert "verdict" not in text.split("Cost by")[1]


def test_columns_are_those_of_the_table() -> None:
    assert set(_COLUMNS) == set(FIGURES)
    for wrong in ("macs,heat", "macs,macs", ""):
        with pytest.raises(SystemExit) as stop:
            main(["cost", "none.onnx", "--columns", wrong])
        assert stop.value.code == USAGE


def test_markdown_keeps_hostile_names_as_text(path: str, capsys: Capture) -> None:
    model = onnx.load(path)
    model.graph.node[2].name = "a|b *c* <script> @you #1"
    onnx.save(model, path)
    text = printed(capsys, path, "--by", "node", "--sort", "flops", "--markdown")
    line = next(line for line in text.splitlines() if "script" in line)
    assert line.startswith(r"| a\|b \*c\* \<script\> &#64;you &#35;1 | Relu → batch × seq × 5 |")
    assert "| node | operator → shape |" in text
    assert r"- MACs = 104·batch·seq" in text


def test_files_and_stdout_together(path: str, capsys: Capture, tmp_path: Path) -> None:
    """Of three outputs one may go to stdout; then the table does not."""
    files = {"--csv": tmp_path / "t.csv", "--markdown": tmp_path / "t.md"}
    out = printed(capsys, path, "--json", *(str(part) for pair in files.items() for part in pair))
    assert json.loads(out)["macs"]["text"] == "104*batch*seq"
    assert [file.read_text(encoding="utf-8").splitlines()[0] for file in files.values()] == [
        "operator,nodes,params,macs,flops,int_ops,bytes,intensity,verdict,reason",
        "| | |",
    ]


def test_what_is_set_apart_is_said(path: str, capsys: Capture) -> None:
    model = onnx.load(path)
    model.graph.node.extend(
        [node("Neg", ["wide"], ["n"]), node("Add", ["n", "n"], ["nn"]), node("Add", ["x", "nn"], ["lost"]),
         node("Acme", ["y"], ["z"], domain="com.acme"), node("MatMul", ["y", "again"], ["again_y"])]
    )  # fmt: skip
    model.graph.initializer.append(TensorProto(name="again", data_type=1, dims=[5, 5], raw_data=bytes(100)))
    model.graph.node.append(node("MatMul", ["again_y", "again"], ["twice"]))
    model.graph.output.extend([onnx.ValueInfoProto(name="z"), helper.make_tensor_value_info("twice", 1, None)])
    model.opset_import.append(helper.make_opsetid("com.acme", 1))
    onnx.save(model, path)
    text = " ".join(printed(capsys, path, *BOUND).split())
    for said in (
        "2 nodes computed once at load: 0 per run",
        "1 node reaches no output: 0 per run",
        "the size of 1 activation is not known",
        "not counted: com.acme::Acme, 1 node",
        "lower bound",
        "shared, counted once again (2 nodes)",
    ):
        assert said in text
