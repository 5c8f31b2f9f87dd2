from __future__ import annotations

import os
import re
import subprocess
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import graphviz
import pytest

from wua_onnx.diagrams import draw
from wua_onnx.diagrams.svg import DrawingError, inline

SVG = "{http://www.w3.org/2000/svg}"


def small() -> graphviz.Digraph:
    digraph = graphviz.Digraph(node_attr={"fontname": "Helvetica"}, edge_attr={"fontname": "Helvetica"})
    digraph.node("a", "conv <1> & \\N", tooltip="Conv 7×5", href="#layer-3", **{"class": "convolution"})
    digraph.edge("a", "b", label="batch × 11")
    return digraph


def test_svg_can_stand_in_a_page() -> None:
    drawing = draw.to_svg(small(), prefix="p")
    assert drawing.reason is None
    assert drawing.svg is not None
    assert drawing.svg.startswith("<svg ")
    assert "<!" not in drawing.svg
    assert "<?" not in drawing.svg
    root = ElementTree.fromstring(drawing.svg)
    assert all(element.get("id", "p-").startswith("p-") for element in root.iter())
    assert [a.get("href") for a in root.iter(f"{SVG}a") if a.get("href")] == ["#layer-3"]
    assert "Conv 7×5" in [title.text for title in root.iter(f"{SVG}title")]
    assert any("convolution" in (group.get("class") or "") for group in root.iter(f"{SVG}g"))


def test_png() -> None:
    picture = draw.to_png(small())
    assert picture.png is not None
    assert picture.png.startswith(b"\x89PNG")


def sleeper(tmp_path: Path) -> tuple[list[str], Path]:
    """Return a command that writes its process id and then sleeps, and the file it writes to."""
    file = tmp_path / "pid"
    return ["sh", "-c", f"echo $$ > {file}; exec sleep 30"], file


def test_time_limit_kills_the_child(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    command, file = sleeper(tmp_path)
    monkeypatch.setattr(draw, "_commands", lambda form, engine: [command])
    started = time.monotonic()
    drawing = draw.to_svg(small(), timeout=0.5)
    assert time.monotonic() - started < 25  # not the 30 s that it sleeps
    assert drawing == draw.Drawing(svg=None, reason="drawing took longer than its limit of 0.5 s")
    with pytest.raises(ProcessLookupError):
        os.kill(int(file.read_text()), 0)


def test_a_layout_that_takes_too_long_is_given_up() -> None:
    dense = graphviz.Digraph()
    for i in range(400):
        for j in range(i + 1, min(i + 60, 400)):
            dense.edge(str(i), str(j))
    assert "longer than its limit" in (draw.to_svg(dense, timeout=1).reason or "")


def test_nothing_to_draw_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("shutil.which", lambda name: None)
    drawing = draw.to_svg(small())
    assert drawing.svg is None
    assert "pip install 'wua-onnx[diagrams]'" in (drawing.reason or "")
    assert draw.to_png(small()).reason == drawing.reason


def test_the_dot_program_is_used_where_pygraphviz_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "dot"
    program.write_text(
        '#!/bin/sh\ncat > /dev/null\necho "<svg xmlns=\\"http://www.w3.org/2000/svg\\"><g id=\\"$1$2\\"/></svg>"\n'
    )
    program.chmod(0o755)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    drawing = draw.to_svg(graphviz.Digraph(engine="neato"))
    assert 'id="wua--Tsvg-Kneato"' in (drawing.svg or "")


def test_the_dot_program_is_used_where_pygraphviz_does_not_load(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "pygraphviz.py").write_text("raise ImportError('libcgraph.so.6: cannot open shared object file')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert "cannot be loaded" in (draw.to_svg(small()).reason or "")
    program = tmp_path / "dot"
    program.write_text('#!/bin/sh\ncat > /dev/null\necho "<svg xmlns=\\"http://www.w3.org/2000/svg\\"/>"\n')
    program.chmod(0o755)
    monkeypatch.setattr("shutil.which", lambda name: str(program))
    assert draw.to_svg(small()).svg is not None


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("exit 3", "exit code 3"),
        ("true", "exit code 0"),
        ("echo no picture", "no SVG"),
        ("echo '<html/>'", "root is another element"),
    ],
)
def test_a_drawing_that_fails_gives_a_reason(script: str, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draw, "_commands", lambda form, engine: [["sh", "-c", script]])
    assert reason in (draw.to_svg(small()).reason or "")


def test_the_working_directory_is_not_imported_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pygraphviz.py").write_text("raise SystemExit(7)")
    monkeypatch.chdir(tmp_path)
    assert draw.to_svg(small()).svg is not None


HOSTILE = f"""<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/x.dtd">
<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" onload="alert(1)">
<script>alert(1)</script><style>@import url(http://x)</style><image xlink:href="http://x/y.png"/>
<foreignObject><b xmlns="http://www.w3.org/1999/xhtml">x</b></foreignObject><use xlink:href="#a"/>
<g id="a" class="node" style="background:url(http://x)"><title>b0</title>
<a xlink:href="javascript:alert(1)" xlink:title="hover {chr(0x202E)}">
<path d="M0,0" fill="url(http://x)" onclick="x"/></a>
</g></svg>"""


def test_only_what_is_allowed_passes() -> None:
    svg = inline(HOSTILE, "w")
    root = ElementTree.fromstring(svg)
    assert {element.tag.removeprefix(SVG) for element in root.iter()} == {"svg", "style", "g", "title", "path"}
    attributes = {name for element in root.iter() for name in element.attrib}
    inherited = {"font-family", "font-size", "text-anchor"}
    assert attributes == {"class", "role", "aria-label", "id", "d"} | inherited
    assert [title.text for title in root.iter(f"{SVG}title")] == ["hover \\u202e"]
    for word in ("script", "import", "javascript", "http://x", "onload", "url("):
        assert word not in svg


def test_what_repeats_is_said_once() -> None:
    """A drawing stands in a page of limited size: hover text makes no links, and fonts are inherited."""
    root = ElementTree.fromstring(draw.to_svg(small()).svg or "")
    texts = [text.attrib.keys() for text in root.iter(f"{SVG}text")]
    assert len(texts) == 2
    assert not [keys for keys in texts if keys & {"font-family", "text-anchor"}]
    assert root.get("font-family", "").startswith("Helvetica")
    assert len(list(root.iter(f"{SVG}a"))) == 1
    assert all(len(part.partition(".")[2]) <= 1 for part in re.findall(r"[\d.]+", "".join(_paths(root))))


def _paths(root: ElementTree.Element) -> list[str]:
    return [path.get("d", "") for path in root.iter(f"{SVG}path")]


@pytest.mark.parametrize("text", ["", "<svg", '<!DOCTYPE svg [<!ENTITY a "b">]><svg>&a;</svg>'])
def test_what_is_no_svg_is_refused(text: str) -> None:
    with pytest.raises(DrawingError):
        inline(text, "w")


def test_the_child_speaks_dot_and_svg() -> None:
    command: Any = next(draw._commands("svg", "dot"))
    done = subprocess.run(command, input=b"digraph { a -> b }", capture_output=True, timeout=60, check=True)
    assert b"</svg>" in done.stdout
