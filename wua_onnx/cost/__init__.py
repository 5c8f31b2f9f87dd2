"""What a model costs, counted from its graph: nothing is run and no weight is read.

The conventions, which rules cite by number:

1.  `macs`: multiply-accumulates of contractions (MatMul, Gemm, Conv, Einsum, recurrent gate products with W and R,
    attention products), float and integer; `int_macs` is the integer part.
2.  `flops = 2·(macs − int_macs) + every other floating-point operation`. K products are accumulated with K adds
    (the first onto zero), as hardware does. Kinds kept apart: mul; add (also sub, neg, abs); div; compare (also min,
    max, round, clip bounds, relu); special (exp, log, tanh, erf, sqrt, pow, sin …: one each).
3.  A bias is one add per output element. `alpha` and `beta` of Gemm count only when they are not 1. Peepholes and
    elementwise gate products are `mul`.
4.  Composite operators (Softmax, LayerNormalization, Gelu, Attention …) are counted by the primitives of their
    defining formula in the ONNX specification.
5.  Data movement, shape arithmetic and casts are 0 FLOPs; their bytes are counted (Gather: the rows read).
6.  What depends only on constants is computed once at load: 0 per run, listed apart.
7.  Integer arithmetic goes to `int_ops` (2 per integer MAC), never to `flops`. Conv, MatMul and Gemm between
    DequantizeLinear and QuantizeLinear count as written, and beside that as `quantized_macs`.
8.  Padded positions count as computed, as every published table does. ConvTranspose uses its *input* spatial size.
9.  `If`: the dearer branch (an upper bound); `Loop`/`Scan`: trips times the body; an unknown trip count is a symbol.
    In the count of an observed run: what ran, every execution on the shapes that it had.
10. Attention counts the full square over past and present keys; a causal mask does not halve it.
11. Verdicts: counted, estimate (a stated formula), free (for a stated reason), unknown. Unknown work makes the total
    a lower bound, and `CostReport.bound` says so.
12. Free dimensions stay symbolic. Data binds every dimension but the batch symbol, which becomes 1: figures are per
    sample. A model with a fixed batch B is counted per run, with `samples_per_run = B`. Different free sizes that are
    broadcast to each other are taken for equal: `CostReport.equal_sizes` names them, and binding them checks it.
13. Training: forward plus the backward of each operator: exact for contractions (weight gradients, and input
    gradients except where nothing upstream is trainable), elsewhere as much as forward; then the optimizer's steps,
    where one is named. Trainable: floating-point weights and biases by their place, shifts and scales along one axis
    of what a trainable layer computed (`wua_onnx.cost.gradients`). Gradients pass floating-point values only, and only
    those on the way to a floating-point output. The graph is trained as it stands; its loss is not counted.
14. Peak activation memory: file order, a value lives from its producer to its last use, views share their storage,
    no in-place reuse. While the graphs of an If, Loop or Scan run, what lives outside them goes on living.
"""

from wua_onnx.cost.report import CostReport, NodeCost
from wua_onnx.cost.value import Cost
from wua_onnx.cost.walk import count

__all__ = ["Cost", "CostReport", "NodeCost", "count"]
