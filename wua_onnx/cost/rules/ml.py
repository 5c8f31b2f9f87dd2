"""ai.onnx.ml: linear models, support vectors, trees, scaling. R rows, F features, C classes or targets.

Specification: https://onnx.ai/onnx/operators/index_onnx_ml.html
"""

from __future__ import annotations

from collections import Counter

from wua_onnx.cost.registry import free, rule
from wua_onnx.cost.rules.activations import SIGMOID
from wua_onnx.cost.rules.softmax import softmax_of
from wua_onnx.cost.value import Cost
from wua_onnx.errors import ShapeError
from wua_onnx.model.dims import Dim, product
from wua_onnx.model.node import NodeView, ShapeUnknown

ML = "ai.onnx.ml"
free("selects elements by index", "ArrayFeatureExtractor", domain=ML)
free("moves data", "FeatureVectorizer", domain=ML)
free("changes the element type", "CastMap", domain=ML)
free("looks up a table", "CategoryMapper", "DictVectorizer", "LabelEncoder", "OneHotEncoder", "ZipMap", domain=ML)


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _transformed(node: NodeView, rows: Dim, classes: int) -> Cost:
    """Return the cost of `post_transform`."""
    name = _text(node.attr("post_transform", b"NONE"))
    if name == "LOGISTIC":
        return SIGMOID * (rows * classes)
    if name in ("SOFTMAX", "SOFTMAX_ZERO"):
        return softmax_of(rows * classes, rows)
    if name == "PROBIT":
        return Cost(special=rows * classes)
    return Cost()


def _rows_features(node: NodeView) -> tuple[Dim, Dim]:
    shape = node.shape(0)
    return product(shape[:-1]), shape[-1]


@rule("LinearClassifier", domain=ML, by_dtype=False)
@rule("LinearRegressor", domain=ML, by_dtype=False)
def linear(node: NodeView) -> Cost:
    """macs = R·F·C; add = R·C for intercepts; the post transform; a classifier: compare = R·(C − 1)."""
    rows, features = _rows_features(node)
    coefficients = len(node.attr("coefficients") or ())
    if not isinstance(features, int) or features < 1:
        raise ShapeUnknown("the number of features is unknown")
    if coefficients % features:
        raise ShapeError(f"{node.where}: coefficients: expected a multiple of {features}, got {coefficients}")
    classes = coefficients // features
    bias = Cost(add=rows * classes if node.attr("intercepts") else 0)
    choice = Cost(compare=rows * max(classes - 1, 1) if node.op_type == "LinearClassifier" else 0)
    return Cost(macs=rows * coefficients) + bias + choice + _transformed(node, rows, classes)


_KERNELS = {  # for each product of a row with a support vector
    "LINEAR": Cost(),
    "POLY": Cost(mul=1, add=1, special=1),
    "RBF": Cost(mul=1, special=1),
    "SIGMOID": Cost(mul=1, add=1, special=1),
}


@rule("SVMClassifier", domain=ML, by_dtype=False, estimate="each support vector votes in C − 1 decisions")
@rule("SVMRegressor", domain=ML, by_dtype=False, estimate="each support vector votes in one decision")
def support_vectors(node: NodeView) -> Cost:
    """macs = R·S·F for S support vectors, the kernel function, macs = R·S·(C − 1) for the decisions.

    RBF: add = R·S·F for the differences.
    """
    rows, features = _rows_features(node)
    per_class = node.attr("vectors_per_class") or ()
    classes = max(len(per_class), 2)
    vectors = sum(per_class) or int(node.attr("n_supports", 0)) or 1
    kernel = _text(node.attr("kernel_type", b"LINEAR"))
    if kernel not in _KERNELS:
        raise ShapeUnknown(f"the kernel {kernel[:40]!r} is not known")
    products = rows * vectors
    differences = Cost(add=products * features if kernel == "RBF" else 0)
    decisions = Cost(macs=products * (classes - 1), add=rows)
    return Cost(macs=products * features) + _KERNELS[kernel] * products + differences + decisions


@rule("TreeEnsembleClassifier", domain=ML, by_dtype=False, estimate="balanced trees")
@rule("TreeEnsembleRegressor", domain=ML, by_dtype=False, estimate="balanced trees")
def tree_ensemble(node: NodeView) -> Cost:
    """compare = R × sum over trees of ceil(log2(nodes + 1)) − 1; add = R × trees; the post transform."""
    rows, _ = _rows_features(node)
    trees = Counter(node.attr("nodes_treeids") or ())
    labels = node.attr("classlabels_int64s") or node.attr("classlabels_strings") or ()
    targets = len(labels) or int(node.attr("n_targets", 1))
    depth = sum(nodes.bit_length() - 1 for nodes in trees.values())
    return Cost(compare=rows * depth, add=rows * len(trees)) + _transformed(node, rows, targets)


@rule("TreeEnsemble", domain=ML, by_dtype=False, estimate="balanced trees of equal size")
def tree_ensemble_5(node: NodeView) -> Cost:
    """compare = R × trees × (ceil(log2(inner nodes of a tree + 1))); add = R × trees."""
    rows, _ = _rows_features(node)
    trees = len(node.attr("tree_roots") or ()) or 1
    nodes = len(node.attr("nodes_featureids") or ()) // trees
    return Cost(compare=rows * trees * nodes.bit_length(), add=rows * trees)


@rule("Scaler", domain=ML, by_dtype=False)
def scaler(node: NodeView) -> Cost:
    """add = N; mul = N: (x − offset) · scale."""
    return Cost(add=1, mul=1) * node.size(0)


@rule("Normalizer", domain=ML, by_dtype=False)
def normalizer(node: NodeView) -> Cost:
    """MAX: compare = N − R; L1: add = 2·N − R; L2: mul = N, add = N − R, special = R; div = N in each."""
    elements, (rows, _) = node.size(0), _rows_features(node)
    folds, norm = elements - rows, _text(node.attr("norm", b"MAX"))
    if norm == "MAX":
        return Cost(compare=folds, div=elements)
    if norm == "L1":
        return Cost(add=elements + folds, div=elements)
    return Cost(mul=elements, add=folds, special=rows, div=elements)


@rule("Binarizer", domain=ML)
@rule("Imputer", domain=ML)
def compared(node: NodeView) -> Cost:
    """compare = N."""
    return Cost(compare=node.size(0))
