"""Dimensions: Python integers, or polynomials in the model's symbols.

A `Dim` is an `int` or an `Expr`. An `Expr` is a polynomial with rational coefficients whose unknowns are symbols
and the few functions that shapes need (floor, max, min, mod) as opaque atoms; results that are plain integers
come back as `int`. All arithmetic is exact and in plain Python, so that counting 10,000 nodes costs
milliseconds; SymPy appears only at the edge (`to_sympy`), and text is read by `model.dim_text`.

Symbols carry generated names (`d0`, `d1`, …), never text from a file; `text` takes the names to display.
"""

from wua_onnx.model.dims.arithmetic import (
    apply,
    ceildiv,
    divides,
    floordiv,
    maximum,
    minimum,
    primitive,
    symbolic_call,
)
from wua_onnx.model.dims.polynomial import (
    Atom,
    Call,
    Dim,
    Expr,
    Monomial,
    Number,
    Shape,
    product,
    product_of,
    symbol,
    text,
    total,
)
from wua_onnx.model.dims.values import (
    as_float,
    evaluate,
    once_each,
    substitute,
    symbols,
    to_sympy,
)

__all__ = [
    "Atom",
    "Call",
    "Dim",
    "Expr",
    "Monomial",
    "Number",
    "Shape",
    "apply",
    "as_float",
    "ceildiv",
    "divides",
    "evaluate",
    "floordiv",
    "maximum",
    "minimum",
    "once_each",
    "primitive",
    "product",
    "product_of",
    "substitute",
    "symbol",
    "symbolic_call",
    "symbols",
    "text",
    "to_sympy",
    "total",
]
