"""Every one of onnx's node cases is counted: none raises, and what stays unknown stands here with its reason."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any

from wua_onnx.cost import count
from wua_onnx.model import load

# Operators that stay unknown, by the names of the cases (without `test_`), and why.
UNKNOWN = {
    (r"image_decoder_.*", ("ImageDecoder",)): "decodes a file format",
    (r"cumsum_2d_.*", ("CumSum",)): "the axis is an input of the model",
    (r"cumprod_2d_.*", ("CumProd",)): "the axis is an input of the model",
    (r"dft(|_axis|_inverse|_rfft|_irfft)", ("DFT",)): "the axis is an input of the model",
    (r"stft", ("STFT",)): "the length of the frames is an input of the model",
    (r"reduce_l2_.*_expanded", ("ReduceSum", "Sqrt")): "the axes are an input of the model",
    (r"reduce_log_sum_exp_.*_expanded", ("Log", "ReduceSum")): "the axes are an input of the model",
    (r"reduce_log_sum_(?!exp).*_expanded", ("ReduceSum",)): "the axes are an input of the model",
    (r"sequence_map_add_.*_expanded", ("Add",)): "the sequences hold tensors whose shapes are inputs of the model",
    (r"affine_grid_.d_align_corners_expanded", ("Add", "Mul")): "the size of the grid is an input of the model",
}


def test_every_case_is_counted_or_listed(every_case: list[Any]) -> None:
    stale = set(UNKNOWN)
    unexpected: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for case in every_case:
        report = count(load(case.model))
        assert len(report.by_node) == len(report.to_dict()["by_node"])
        unknown = tuple(sorted(report.unsupported))
        lines = [line for line in UNKNOWN if unknown == line[1] and re.fullmatch(f"test_{line[0]}", case.name)]
        stale -= set(lines)
        if unknown and not lines:
            unexpected[unknown].append(case.name)
    assert unexpected == {}
    assert stale == set()


def test_an_operator_and_its_function_written_out_have_the_same_contractions(every_case: list[Any]) -> None:
    by_name = {case.name: case.model for case in every_case}
    compared = 0
    for name, model in by_name.items():
        written_out = by_name.get(f"{name}_expanded")
        if written_out is None:
            continue
        short, long = count(load(model)), count(load(written_out))
        if long.is_exact and short.is_exact and not long.symbols:
            assert (name, short.macs) == (name, long.macs)
            compared += bool(long.macs)
    assert compared > 30
