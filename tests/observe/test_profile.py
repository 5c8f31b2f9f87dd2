"""Times beside counts: conservation, rates, the roofline, JSON."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from wua_onnx.observe import OperatorTime, Profile, Timed
from wua_onnx.observe.work import operator_time
from wua_onnx.running.peak import Peak

from .replay import MODELS, PEAK, model_and_count, profile, replayed


def part_of(found: Profile, name: str) -> Timed:
    (part,) = [part for part in found.timed if name in part.nodes]
    return part


@pytest.mark.parametrize("with_graph", [True, False])
@pytest.mark.parametrize("name", MODELS)
def test_no_time_is_lost(name: str, with_graph: bool) -> None:
    kernels = replayed(name, with_graph=with_graph).kernels
    found = profile(name, with_graph=with_graph)
    assert found.total == pytest.approx(math.fsum(kernel.seconds for kernel in kernels))
    unattributed = math.fsum(part.seconds for part in found.unattributed)
    assert found.attributed + unattributed == pytest.approx(found.total)
    assert math.fsum(part.seconds for part in found.by_operator) == pytest.approx(found.attributed)


@pytest.mark.parametrize("name", MODELS)
def test_the_work_of_every_timed_node_is_counted_once(name: str) -> None:
    _, counted = model_and_count(name)
    found = profile(name)
    absent = {part.name for part in found.absent}
    expected = sum(int(node.flops) for node in counted if node.name not in absent)
    assert sum(part.flops or 0 for part in found.timed) == expected
    assert sum(part.flops or 0 for part in found.by_operator) == expected


def test_a_rate_is_the_count_over_the_time() -> None:
    """5×7 by 7×11 and a bias: 2·5·7·11 + 5·11 operations on 5·7 + 7·11 + 11 + 5·11 floats."""
    gemm = part_of(profile("fusions"), "product")
    (kernel,) = [kernel for kernel in replayed("fusions").kernels if kernel.op == "Gemm"]
    assert gemm.flops == 2 * 5 * 7 * 11 + 5 * 11
    assert gemm.bytes == 4 * (5 * 7 + 7 * 11 + 11 + 5 * 11)
    assert gemm.gflops == pytest.approx(gemm.flops / kernel.seconds / 1e9)
    assert gemm.gbps == pytest.approx(gemm.bytes / kernel.seconds / 1e9)


def test_what_passes_between_fused_nodes_is_not_moved() -> None:
    """Reads 5·11 floats and three scalars, writes 5·11."""
    assert part_of(profile("fusions"), "gelu_erf").bytes == 4 * (5 * 11 + 3 + 5 * 11)


def test_an_input_that_is_also_the_residual_is_read_once() -> None:
    """A convolution of 32 channels on 11×9 that keeps its shape, and the sum with its own input."""
    size, weights = 32 * 11 * 9, 32 * 32 * 9
    assert part_of(profile("convolutions"), "residual").bytes == 4 * (size + weights + size)


def timed(seconds: float, flops: int | None, moved: int | None, int_ops: int = 0) -> Timed:
    return Timed(
        name="n",
        op="Op",
        nodes=("n",),
        ops=("Op",),
        kernels=("Op",),
        seconds=seconds,
        flops=flops,
        bytes=moved,
        int_ops=int_ops,
    )


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (timed(1.0, 300, 10), (3e-9, "compute")),  # 300 at 100 GFLOP/s: 3 ns; 10 at 10 GB/s: 1 ns
        (timed(1.0, 300, 70), (7e-9, "memory")),
        (timed(1.0, 0, 70), (7e-9, "memory")),
        (timed(1.0, 0, 0), None),
        (timed(1.0, None, 70), None),
        (timed(1.0, 300, None), None),
        (timed(1.0, 5, 70, int_ops=300), None),
    ],
)
def test_roofline(part: Timed, expected: tuple[float, str] | None) -> None:
    found = part.shortest(Peak(gflops=100.0, gbps=10.0))
    assert (found is None) == (expected is None)
    if found is not None and expected is not None:
        assert found[0] == pytest.approx(expected[0])
        assert found[1] == expected[1]


def test_without_a_time_or_a_count_there_is_no_rate() -> None:
    assert timed(0.0, 300, 70).gflops is None
    assert timed(0.0, 300, 70).gbps is None
    assert timed(1.0, None, None).gflops is None
    assert timed(1.0, None, None).gbps is None


def test_an_operator_is_the_sum_of_its_parts() -> None:
    found = profile("convolutions")
    (conv,) = [part for part in found.by_operator if part.op == "Conv"]
    parts = [part for part in found.timed if part.op == "Conv"]
    assert (conv.groups, conv.fused) == (3, 4)  # with stem_relu; residual and out_relu; last_relu
    assert conv.flops == sum(part.flops or 0 for part in parts)
    assert conv.seconds == pytest.approx(sum(part.seconds for part in parts))
    shortest = [part.shortest(PEAK) for part in parts]
    assert conv.shortest_seconds == pytest.approx(sum(one[0] for one in shortest if one))
    assert found.attainable(conv) == pytest.approx((conv.shortest_seconds or 0) / conv.seconds)


def test_what_does_no_work_is_at_no_bound() -> None:
    busy, idle = timed(1.0, 300, 10), timed(1.0, 0, 0)
    both = operator_time("Op", [busy, idle], PEAK)
    assert both.bound == "compute"
    assert both.shortest_seconds == pytest.approx(3e-9)
    alone = operator_time("Op", [idle], PEAK)
    assert (alone.bound, alone.shortest_seconds) == (None, None)
    assert operator_time("Op", [busy, timed(1.0, None, 10)], PEAK).bound is None


def test_operators_come_longest_first_and_shares_add_up() -> None:
    found = profile("convolutions")
    seconds = [part.seconds for part in found.by_operator]
    assert seconds == sorted(seconds, reverse=True)
    parts = [part.seconds for part in found.timed] + [part.seconds for part in found.unattributed]
    assert sum(found.share(part) or 0 for part in parts) == pytest.approx(1)


@pytest.mark.parametrize("name", MODELS)
def test_json_and_back(name: str) -> None:
    found = profile(name)
    data = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    again = Profile.from_dict(data)
    assert again == found
    assert again.to_dict() == found.to_dict()
    assert all(isinstance(part, OperatorTime) for part in again.by_operator)


def test_json_writes_large_integers_as_text() -> None:
    large = replace(profile("loop"), timed=(timed(1.0, 2**60 + 1, 70),))
    assert large.to_dict()["timed"][0]["flops"] == str(2**60 + 1)
    assert Profile.from_dict(large.to_dict()) == large
