"""The tutorial shows what its program prints, and what its text claims is so.

The whole program is run once. Text and whole numbers of the page must come out exactly; numbers with decimals are
results of a training, and may differ by two units of their last digit with other versions or on other processors.
"""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
RENEW = "renew it with `python docs/weave.py --write`, and read it again"
_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")
_TIME = re.compile(r"in [\d.,]+ m?s\.")


@dataclass(frozen=True)
class Woven:
    """What one run of the tutorial left behind."""

    page: str
    cells: dict[str, Any]
    names: dict[str, Any]
    folder: Path


def load_weave() -> ModuleType:
    spec = importlib.util.spec_from_file_location("weave", DOCS / "weave.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["weave"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def weave() -> Iterator[ModuleType]:
    yield load_weave()
    del sys.modules["weave"]


@pytest.fixture(scope="module")
def woven(weave: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Woven]:
    import matplotlib
    import torch

    folder, threads = tmp_path_factory.mktemp("tutorial"), torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch, matplotlib.rc_context():
        for name in ("COLUMNS", "NO_COLOR", "MPLBACKEND"):  # the program sets them: put them back afterwards
            patch.setenv(name, "")
        cells, names = weave.run(DOCS / "tutorial.py", folder)
        page = weave.fill((DOCS / "tutorial.md").read_text(encoding="utf-8"), cells, names)
        yield Woven(page, cells, names, folder)
    torch.set_num_threads(threads)


def words(text: str) -> str:
    """The text without its numbers, and without the spaces that follow from their widths."""
    return re.sub(r"\s+", " ", _NUMBER.sub("#", _TIME.sub("", text)))


def numbers(text: str) -> list[str]:
    return [number.replace(",", "") for number in _NUMBER.findall(_TIME.sub("", text))]


def agree(one: str, other: str) -> bool:
    a, b = Decimal(one), Decimal(other)
    if "." not in one and "." not in other:
        return a == b
    return abs(a - b) <= 2 * Decimal(1).scaleb(max(int(d.as_tuple().exponent) for d in (a, b)))


def test_page_shows_what_its_program_prints(woven: Woven) -> None:
    page = (DOCS / "tutorial.md").read_text(encoding="utf-8")
    assert words(page) == words(woven.page), RENEW
    pairs = zip(numbers(page), numbers(woven.page), strict=True)
    assert [pair for pair in pairs if not agree(*pair)] == [], RENEW


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("41", "41", True),
        ("41", "42", False),
        ("48.7", "48.9", True),
        ("48.7", "49.0", False),
        ("0.0100", "0.01", True),
    ],
)
def test_what_counts_as_the_same_number(one: str, other: str, *, expected: bool) -> None:
    assert agree(one, other) is expected


def test_page_shows_every_cell_and_no_other(weave: ModuleType, woven: Woven) -> None:
    named = [name for _, name in weave._BLOCK.findall(woven.page)]
    assert named == list(woven.cells)


def test_hand_count_of_the_page_is_what_cost_says(woven: Woven) -> None:
    """85 and 61 FLOPs, 30 MACs, 105 FLOPs backward: literal numbers of the page's text."""
    wua, folder = woven.names["wua"], woven.folder
    for hidden, flops in ((10, 85), (7, 61)):
        report = wua.cost(str(folder / f"2-{hidden}-1.onnx")).at(batch=1)
        assert (report.flops, report.macs) == (flops, 3 * hidden)
        assert report.training(samples=1, factor=None).backward == 10 * hidden + 5
        assert report.is_exact


def test_claims_about_the_neurons(woven: Woven) -> None:
    layer = woven.names["audit"].layers["hidden"]
    share = layer.neuron_importance / layer.neuron_importance.sum()
    busy = np.flatnonzero(share > 0.1)
    assert sum((layer.weight[:, j] > 0).all() for j in busy) == 3, "neurons that look for large sums"
    assert sum((layer.weight[:, j] < 0).all() for j in busy) == 2, "neurons that look for small sums"
    assert share[busy].sum() > 0.9995, "five neurons carry all that can be seen"
    assert (len(busy), len(layer.dead_neurons), 1 in layer.dead_neurons) == (5, 4, False)
    few = woven.names["wua"].analyze(str(woven.folder / "2-10-1.onnx"), woven.names["X"][:100]).layers["hidden"]
    assert 1 in few.dead_neurons
    h = woven.names["X"] @ layer.weight + woven.names["big"].hidden.bias.detach().numpy()
    fires = woven.names["X"][h[:, 1] > 0]
    assert 0 < len(fires) < 100
    assert fires.max() < 0.1, "close to the corner (0, 0)"
    drawn = np.abs(layer.weight[:, list(layer.dead_neurons)]) > 0.1
    assert drawn.mean() > 0.5, "most lines to dead neurons are red"


def test_claims_about_the_baseline(woven: Woven) -> None:
    audit, busy = woven.names["audit"], woven.names["audit"].layers["hidden"].neuron_importance
    hidden, output = (audit.layers[name].metrics for name in ("hidden", "output"))
    assert hidden.utilization > hidden.baseline.utilization
    assert output.utilization < output.baseline.utilization
    out = np.abs(audit.layers["output"].weight[:, 0])
    assert out[busy > 0.1].min() > out[busy < 0.1].max(), "weights from idle neurons stayed small"
    assert audit.layers["output"].importance[list(audit.layers["hidden"].dead_neurons)].min() > 0, "the blind spot"


def test_claims_about_the_finding(woven: Woven) -> None:
    first = woven.names["audit"].findings[0]
    assert first.rule == "dead-neurons"
    assert (first.params, first.flops) == (16, 24), "the text says: all parameters, without biases and ReLU"
    assert woven.names["difference"] < 1e-6
    assert len(woven.names["alive"]) == 6


def test_claims_about_smaller_networks(woven: Woven) -> None:
    results = woven.names["results"]
    good = {hidden: [results[hidden, seed][0] > 0.99 for seed in range(5)] for hidden in (10, 7, 3, 2, 1)}
    assert all(good[10] + good[7] + good[3])
    for hidden in (2, 1):
        assert {True, False} == set(good[hidden])
        for seed, fine in enumerate(good[hidden]):
            accuracy, dead, _ = results[hidden, seed]
            assert fine == (dead < hidden)
            assert fine or abs(accuracy - 0.5) < 0.01


def circles(svg: Path) -> tuple[int, int]:
    """How many circles a drawing has, and how many of them are dead."""
    root = ElementTree.parse(svg).getroot()
    groups = [g for g in root.iter("{http://www.w3.org/2000/svg}g") if "neuron" in g.get("class", "").split()]
    return len(groups), sum("dead" in g.get("class", "").split() for g in groups)


@pytest.mark.parametrize(("name", "expected"), [("2-10-1.svg", (13, 4)), ("2-7-1.svg", (10, 2))])
def test_drawings_have_a_circle_per_neuron(name: str, expected: tuple[int, int], woven: Woven) -> None:
    assert circles(DOCS / "images" / name) == expected
    assert circles(woven.folder / "images" / name) == expected


def test_pictures_are_small_follow_the_colour_scheme_and_are_all_used(woven: Woven) -> None:
    files = sorted(path.name for path in (DOCS / "images").iterdir())
    assert files == sorted(path.name for path in (woven.folder / "images").iterdir())
    assert files == sorted(re.findall(r"\]\(images/([\w.-]+)\)", woven.page))
    for path in (DOCS / "images").iterdir():
        text = path.read_text(encoding="utf-8")
        assert len(text) < 40_000
        # A plot brings a white ground of its own; a drawing has none, and changes its colours.
        assert "prefers-color-scheme:dark" in text or "fill: #ffffff" in text


def test_page_of_the_audit_is_written(woven: Woven) -> None:
    page = (woven.folder / "audit.html").read_text(encoding="utf-8")
    assert "2-10-1" in page
    assert woven.cells["page"].printed.endswith("True")


@pytest.mark.parametrize("page", ["tutorial.md", "README.md"])
def test_links_lead_somewhere(page: str) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)#:]+)\)", text)
    assert targets
    assert [target for target in targets if not (DOCS / target).exists()] == []
