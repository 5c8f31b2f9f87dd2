"""Activation functions, by the primitives of the formula in their specification (convention 4).

Every element is counted through the whole formula, whichever side of a case distinction it falls on.
"""

from __future__ import annotations

from wua_onnx.cost.registry import rule
from wua_onnx.cost.value import Cost
from wua_onnx.model.node import NodeView

SIGMOID = Cost(add=2, special=1, div=1)  # 1 / (1 + exp(−x)): the negation and the sum are adds


@rule("Relu")
@rule("ThresholdedRelu")
def relu(node: NodeView) -> Cost:
    """compare = N.

    max(0, x), N elements. https://onnx.ai/onnx/operators/onnx__Relu.html
    """
    return Cost(compare=1) * node.out_size()


@rule("LeakyRelu")
@rule("PRelu")
def leaky_relu(node: NodeView) -> Cost:
    """compare = N; mul = N.

    x where x ≥ 0, slope·x elsewhere. https://onnx.ai/onnx/operators/onnx__LeakyRelu.html
    """
    return Cost(compare=1, mul=1) * node.out_size()


@rule("Sigmoid")
def sigmoid(node: NodeView) -> Cost:
    """add = 2·N; special = N; div = N.

    1 / (1 + exp(−x)). https://onnx.ai/onnx/operators/onnx__Sigmoid.html
    """
    return SIGMOID * node.out_size()


@rule("HardSigmoid")
def hard_sigmoid(node: NodeView) -> Cost:
    """mul = N; add = N; compare = 2·N.

    max(0, min(1, alpha·x + beta)). https://onnx.ai/onnx/operators/onnx__HardSigmoid.html
    """
    return Cost(mul=1, add=1, compare=2) * node.out_size()


@rule("HardSwish")
def hard_swish(node: NodeView) -> Cost:
    """mul = 2·N; add = N; compare = 2·N.

    x · max(0, min(1, x/6 + 1/2)). https://onnx.ai/onnx/operators/onnx__HardSwish.html
    """
    return Cost(mul=2, add=1, compare=2) * node.out_size()


@rule("Swish")
def swish(node: NodeView) -> Cost:
    """mul = 2·N; add = 2·N; special = N; div = N.

    x · sigmoid(alpha·x). https://onnx.ai/onnx/operators/onnx__Swish.html
    """
    return (SIGMOID + Cost(mul=2)) * node.out_size()


@rule("SwiGLU")
def swiglu(node: NodeView) -> Cost:
    """mul = 3·N; add = 2·N; special = N; div = N.

    Swish(a) · b. https://onnx.ai/onnx/operators/onnx__SwiGLU.html
    """
    return (SIGMOID + Cost(mul=3)) * node.out_size()


@rule("Gelu")
def gelu(node: NodeView) -> Cost:
    """mul = 2·N, div = N, add = N, special = N; with tanh: mul = 4·N, add = 2·N, special = 2·N.

    0.5·x·(1 + erf(x/√2)); with tanh 0.5·x·(1 + tanh(√(2/π)·(x + 0.044715·x³))), where x³ is one power.
    https://onnx.ai/onnx/operators/onnx__Gelu.html
    """
    tanh = node.attr("approximate", b"none") in (b"tanh", "tanh")
    return (Cost(mul=4, add=2, special=2) if tanh else Cost(mul=2, div=1, add=1, special=1)) * node.out_size()


@rule("Elu")
def elu(node: NodeView) -> Cost:
    """compare = N; special = N; add = N; mul = N.

    x where x ≥ 0, alpha·(exp(x) − 1) elsewhere. https://onnx.ai/onnx/operators/onnx__Elu.html
    """
    return Cost(compare=1, special=1, add=1, mul=1) * node.out_size()


@rule("Selu")
def selu(node: NodeView) -> Cost:
    """compare = N; special = N; add = N; mul = 2·N.

    gamma·x where x > 0, gamma·(alpha·exp(x) − alpha) elsewhere. https://onnx.ai/onnx/operators/onnx__Selu.html
    """
    return Cost(compare=1, special=1, add=1, mul=2) * node.out_size()


@rule("Celu")
def celu(node: NodeView) -> Cost:
    """compare = 2·N; special = N; add = 2·N; mul = N; div = N.

    max(0, x) + min(0, alpha·(exp(x/alpha) − 1)). https://onnx.ai/onnx/operators/onnx__Celu.html
    """
    return Cost(compare=2, special=1, add=2, mul=1, div=1) * node.out_size()


@rule("Softplus")
def softplus(node: NodeView) -> Cost:
    """special = 2·N; add = N.

    log(exp(x) + 1). https://onnx.ai/onnx/operators/onnx__Softplus.html
    """
    return Cost(special=2, add=1) * node.out_size()


@rule("Mish")
def mish(node: NodeView) -> Cost:
    """special = 3·N; add = N; mul = N.

    x · tanh(log(1 + exp(x))). https://onnx.ai/onnx/operators/onnx__Mish.html
    """
    return Cost(special=3, add=1, mul=1) * node.out_size()


@rule("Softsign")
def softsign(node: NodeView) -> Cost:
    """add = 2·N; div = N.

    x / (1 + |x|). https://onnx.ai/onnx/operators/onnx__Softsign.html
    """
    return Cost(add=2, div=1) * node.out_size()


@rule("Shrink")
def shrink(node: NodeView) -> Cost:
    """compare = 2·N; add = N.

    x + bias below −lambd, x − bias above lambd, 0 between. https://onnx.ai/onnx/operators/onnx__Shrink.html
    """
    return Cost(compare=2, add=1) * node.out_size()
