"""Forward and backward against PyTorch's own counter, to the unit, on networks exported to ONNX.

The counter sees contractions only, as `macs` does, and two operations for each. Attention runs as its formula, and
modules lie on the meta device, where recurrent layers take their steps as products of matrices.
"""

from __future__ import annotations

import copy
import itertools
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode, conv_backward_flop

import wua_onnx as wua

from .networks import NETWORKS

OPSETS = (18, 25)  # the oldest and the newest that PyTorch's exporter writes by itself


def convolution_backward(*arguments: Any, out_shape: Any, **_: Any) -> int:
    """PyTorch's formula with the gradient of the filters divided by the groups, which it multiplies by them."""
    formula: Any = conv_backward_flop
    *others, groups, (into_x, into_w, _) = arguments

    def part(*mask: bool) -> int:
        return int(formula(*others, groups, mask, out_val=out_shape))

    return (part(True, False) if into_x else 0) + (part(False, True) // groups if into_w else 0)


def counted_by_pytorch(module: nn.Module, x: Tensor, device: str = "meta") -> tuple[int, int]:
    """Return the operations of the contractions of one forward pass, and of the backward pass after it."""
    module, x = copy.deepcopy(module).to(device), x.to(device)
    formulas = {torch.ops.aten.convolution_backward: convolution_backward}
    with sdpa_kernel(SDPBackend.MATH):
        with FlopCounterMode(display=False) as forward:
            y = module(x)
        with FlopCounterMode(display=False, custom_mapping=formulas) as backward:
            y.sum().backward()
    return forward.get_total_flops(), backward.get_total_flops()


def exported(module: nn.Module, x: Tensor, opset: int) -> onnx.ModelProto:
    with warnings.catch_warnings():  # the exporter's own, about itself
        warnings.simplefilter("ignore")
        program = torch.onnx.export(module.eval(), (x,), dynamo=True, opset_version=opset, verbose=False)
    assert program is not None
    return program.model_proto


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("name", NETWORKS)
def test_macs_are_those_of_pytorch_forward_and_backward(name: str, opset: int) -> None:
    module, x = NETWORKS[name]()
    model = exported(module, x, opset)
    assert [o.version for o in model.opset_import if not o.domain] == [opset]
    report = wua.cost(model)
    assert report.is_exact
    assert (2 * report.macs, 2 * report.backward.macs) == counted_by_pytorch(module, x)


@pytest.mark.parametrize("frozen", [{1}, {0}, {0, 1}, {2}, {0, 2}])
def test_weights_in_integers_train_no_more_than_frozen_ones(frozen: set[int]) -> None:
    """Gradients pass through them to what lies before, where anything there is trained."""
    sizes = (7, 13, 11, 3)
    module = nn.Sequential(*(nn.Linear(a, b, bias=False) for a, b in itertools.pairwise(sizes)))
    for index, layer in enumerate(module):
        layer.requires_grad_(index not in frozen)
    report = wua.cost(matmuls(sizes, frozen))
    assert (2 * report.macs, 2 * report.backward.macs) == counted_by_pytorch(module, torch.zeros(5, 7))


def matmuls(sizes: Sequence[int], frozen: set[int]) -> onnx.ModelProto:
    """Return a chain of MatMuls, the weights of those in `frozen` dequantized from integers."""
    helper, nodes, constants = onnx.helper, [], {"scale": np.ones((), np.float32)}
    for index, shape in enumerate(itertools.pairwise(sizes)):
        constants[f"w{index}"] = np.ones(shape, np.int8 if index in frozen else np.float32)
        if index in frozen:
            nodes.append(helper.make_node("DequantizeLinear", [f"w{index}", "scale"], [f"v{index}"]))
        weight = f"{'v' if index in frozen else 'w'}{index}"
        nodes.append(helper.make_node("MatMul", [f"x{index}", weight], [f"x{index + 1}"]))
    given, wanted = (
        helper.make_tensor_value_info(f"x{index}", onnx.TensorProto.FLOAT, [5, sizes[index]])
        for index in (0, len(sizes) - 1)
    )
    initializers = [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "matmuls", [given], [wanted], initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
