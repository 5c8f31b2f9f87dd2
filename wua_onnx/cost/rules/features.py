"""Features made of text and sound: n-grams and mel filters."""

from __future__ import annotations

from wua_onnx.cost.registry import rule
from wua_onnx.cost.value import Cost
from wua_onnx.model.dims import product
from wua_onnx.model.node import NodeView, ShapeUnknown


@rule("TfIdfVectorizer", estimate="every n-gram is one of the pool; looking it up is not counted", by_dtype=False)
def tf_idf_vectorizer(node: NodeView) -> Cost:
    """add = n-grams of every length and skip; mul = elements of the output for IDF and TFIDF.

    A line of C words has C − (n − 1)·s n-grams of skip s, from 1 to max_skip_count + 1 (words by themselves once).
    https://onnx.ai/onnx/operators/onnx__TfIdfVectorizer.html
    """
    words = node.shape(0)[-1]
    if not isinstance(words, int):
        raise ShapeUnknown("the number of words is unknown")
    shortest, longest = int(node.attr("min_gram_length", 1)), int(node.attr("max_gram_length", 1))
    skips = range(1, int(node.attr("max_skip_count", 0)) + 2)
    grams = sum(
        max(words - (length - 1) * skip, 0)
        for length in range(shortest, min(longest, words) + 1)
        for skip in (skips if length > 1 else (1,))
    )
    mode = node.attr("mode", b"TF")
    weighted = (mode.decode() if isinstance(mode, bytes) else mode) != "TF"
    return Cost(add=product(node.shape(0)[:-1]) * grams, mul=node.out_size() if weighted else 0)


@rule("MelWeightMatrix", estimate="every frequency lies on the slopes of two filters", by_dtype=False)
def mel_weight_matrix(node: NodeView) -> Cost:
    """F frequencies: add = div = 2·F; M + 2 edges of filters: mul = 3, add = div = 2, special = 1 each; add = 2·M.

    An edge is (length + 1)·700·(10^((mel·step + lowest) / 2595) − 1) / rate, a slope (f − edge) / (edge − edge), whose
    lower part is computed once for a filter. https://onnx.ai/onnx/operators/onnx__MelWeightMatrix.html
    """
    frequencies, filters = node.out_shape()
    edges = Cost(mul=3, add=2, div=2, special=1) * (filters + 2)
    return Cost(add=2, div=2) * frequencies + edges + Cost(add=2) * filters
