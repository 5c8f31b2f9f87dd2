"""Prints docs/activations.md, the page on activation functions, from the registry in wua_onnx/layers.

python docs/activations.py > docs/activations.md
"""

from __future__ import annotations

from collections.abc import Iterator

from wua_onnx.layers.activation_functions import ALONG_AXIS, OPERATORS, QUANTIZED, Function
from wua_onnx.layers.fitted import TOLERANCE
from wua_onnx.layers.function_values import FAMILIES, GRID, KNOWN, Form
from wua_onnx.layers.inside import APPLIED
from wua_onnx.layers.mixture import MOST_NEURONS
from wua_onnx.layers.over_neurons import FUNCTIONS
from wua_onnx.layers.patterns import MAX_OPERATORS
from wua_onnx.layers.sparsemax_pattern import ENTMAX, SPARSEMAX, WRITTEN_BY
from wua_onnx.report.markdown import escape

FORMS = (*KNOWN, *FAMILIES, *FUNCTIONS)
# Of those that are no form: an operator, or nothing.
FORMULAS = {
    "Asinh": "ln(x + √(x² + 1))",
    "Atan": "arctan(x)",
    "Cos": "cos(x)",
    "Cosh": "cosh(x)",
    "Erf": "erf(x)",
    "Hardmax": "1 at the first largest of the neurons, else 0",
    "Sign": "−1 below 0, 1 above",
    "Sin": "sin(x)",
    "Sinh": "sinh(x)",
    "Sparsemax": "the nearest probabilities: max(x − τ, 0) that sum to 1 over the neurons",
    "1.5-entmax": "max(x/2 − τ, 0)² that sum to 1 over the neurons",
}
SORTED = (SPARSEMAX, ENTMAX)
OWN = {"BiasGelu", "FastGelu", "QuickGelu", *QUANTIZED}  # of com.microsoft

INTRODUCTION = f"""\
# Activation functions

Generated from the registry by `python docs/activations.py`; a test keeps it so.

The activation of a neuron is read behind one activation function that follows its layer, as long as nothing else uses
a value on the way. The function is a single operator, or a group of up to {MAX_OPERATORS} elementwise operators whose
other operands are constants. A group is known **by what it computes**, not by which operators it is made of: it is
evaluated on {len(GRID)} points between {GRID.min():g} and {GRID.max():g}, for each neuron's constants, and compared
with the functions below, with a relative tolerance of {TOLERANCE:g} (more for constants in bfloat16, which have eight
bits). The longest group that has a name counts: a Relu and a Mul of its result by itself are one squared ReLU.
Parameters, such as α, are read off the values. Attributes count, too: Gelu with approximate="tanh", Swish and
onnxruntime's QuickGelu with a factor of their own, Clip from 0 to 6 have the name of what they compute.

A group that is none of them and is entered in more than one place is read at its end, too, and named by its
operators, as in `elementwise (Pow, Sin)` for x + sin²(x). Neg before a function is a factor of −1.

*Several operators* names the exporters that write the function of a PyTorch module or a Keras activation as a group,
at one opset or another: PyTorch's `torch.onnx.export` with TorchScript (opsets 13 to 20) and with dynamo (18 to 24),
and tf2onnx (13 to 18). Models may write out any of them. *Never below 0* decides whether mean|a| is the mean;
a *dead* neuron is one whose largest |a| is 0, or, for functions that have no flat piece, one whose range over the data
is below 1e-6 of the largest mean of the layer.
"""

REST = """\
## Applied by an operator itself

Onnxruntime joins a layer and the function behind it: FusedConv, FusedGemm and their like hold the name of the function.
The neuron is then read at that operator's result, behind {applied};
where a longer function begins with one of these, as LogSigmoid does with Sigmoid, behind the whole of it.
`activation="pre"` cannot be read there, and the audit says so.

Operators on integers, {quantized}, are read in real units, and so are groups
of them with QLinearAdd and QLinearMul, as a quantizer leaves them of GELU or SiLU.

## Kept inside by an operator

Onnxruntime's Attention, its quantized and packed forms, and LongformerAttention multiply with a packed weight inside,
and no value of the graph is what its neurons make. While a recording is made, the product and its bias are computed a
second time beside the operator, in the copy of the model that runs; its outputs stay what they are. That costs the
work of the projections once more: two blocks of 768 features over 128 tokens took 1.24 times as long as plain
inference, and 1.04 times without these projections. The positions that EmbedLayerNormalization counts itself are
counted likewise.

The experts of MoE are computed likewise, each of them for every token: experts / k times the work of the operator. The
tokens that are not routed to an expert count as 0 for its neurons, so that an expert that is rarely asked matters
little, and one that never is is dead. Not computed, and said so: experts of a few bits (QMoE), experts with a third
matrix, more than {most:,} neurons of all experts together.

## Products of two layers

`silu(gate(x)) * up(x)`, the SwiGLU of language models, has two layers: the gate is read behind its SiLU, the other one
at its own output, since the product is no function of one neuron. GLU splits the outputs of **one** layer in halves
that take part in different ways: all of them are read at the layer's own output, as is a gate that is packed in one
weight with the other layer (Phi-3).

## Behind a normalisation

A normalisation by group or instance is passed, with or without a function behind it. One over the neurons of each
position (LayerNormalization, RMSNormalization, or such a thing written out: what is centred, or divided by its root
mean square or its norm) is passed where a function follows, as in Linear, LayerNorm, GELU; the neurons are read behind
the function then, else before the normalisation.

## What is not recognised

- Softmax, that off by one and LogSoftmax are known as operators and by what they compute, but not where they take
  numbers beside the neurons in (Concat): read before them.
- Sparsemax and 1.5-entmax are known where they sort all neurons by TopK and sum them by CumSum, as exporters write
  them.
- CReLU makes two numbers of one neuron, and is read before it: mean|a| is then the sum of the means of both.
- {along} count where they run over the neurons of the layer. Over another axis, as in attention, they end the walk.
- Functions whose parameters are not constant, or differ along another axis than the neurons: read before them.
- A constant factor behind the function is not followed. Where onnxruntime folds one before it into a convolution, as
  of Softplus with β, a function of a scaled x is left, and read without the factor that made up for it.
- A bias that onnxruntime joins with a later operator (SkipLayerNormalization): the layer is read without it.
- A bend that lies between two points of the grid where the function is otherwise the same, such as Hardtanh within
  ±0.04: read behind its operator if it is a single one, else without a name.
"""


def page() -> str:
    """Return the page."""
    functions = (*OPERATORS.values(), *(form.function for form in FORMS), *SORTED)
    named = sorted({function.name for function in functions}, key=str.lower)
    heads = ("function", "computes", "single operators", "several operators", "never below 0", "dead by")
    table = [" | ".join(heads), " | ".join(["---"] * len(heads)), *map(_row, named)]
    rest = REST.format(
        most=MOST_NEURONS,
        applied=", ".join(sorted(APPLIED)),
        quantized=", ".join(sorted(QUANTIZED)),
        along=_listed(sorted(ALONG_AXIS)),
    )
    return "\n".join([INTRODUCTION, *(f"| {row} |" for row in table), "", rest])


def _listed(names: list[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _row(name: str) -> str:
    forms = [form for form in FORMS if form.function.name == name]
    operators = [op for op, function in (*OPERATORS.items(), *QUANTIZED.items()) if function.name == name]
    function = next(_functions(name, forms))
    written = [exporter for form in forms for exporter in form.written_by] or WRITTEN_BY.get(name, ())
    below = "where a ≥ 0" if name == "Clip" else "yes" if function.non_negative else ""
    return " | ".join(
        [
            name,
            escape("; ".join(form.formula for form in forms) or FORMULAS[name]),
            ", ".join(f"com.microsoft::{op}" if op in OWN else op for op in operators),
            ", ".join(dict.fromkeys(written)),
            below,
            "range" if function.smooth else "largest",
        ]
    )


def _functions(name: str, forms: list[Form]) -> Iterator[Function]:
    yield from (form.function for form in forms)
    yield from (function for function in (*OPERATORS.values(), *SORTED) if function.name == name)


if __name__ == "__main__":
    print(page(), end="")
