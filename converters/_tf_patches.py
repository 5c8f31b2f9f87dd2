"""What of tf2onnx 1.17 is changed while it translates, so that a graph keeps what its author wrote."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ._tf_import import import_package

FOLDED = "/folded__"  # between the name of a constant and the number of what was computed of it alone
_FLOATING = (1, 10, 11, 16)  # FLOAT, FLOAT16, DOUBLE, BFLOAT16 of onnx.TensorProto


@contextlib.contextmanager
def patched(reads: Mapping[str, str]) -> Iterator[None]:
    """Have tf2onnx do in the body what each function below says.

    Args:
        reads: the path of the variable that an operator reads, by the operator's name.
    """
    with contextlib.ExitStack() as stack:
        for patch in (_numpy_product, _transposes_kept, _einsums_kept, _origins_kept):
            stack.enter_context(patch())
        stack.enter_context(_weights_kept_apart(reads))
        yield


@contextlib.contextmanager
def _replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    before = vars(owner)[name]
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


@contextlib.contextmanager
def _numpy_product() -> Iterator[None]:
    """Give NumPy 2 back the alias `product`, which tf2onnx 1.17 still uses for large models."""
    missing = not hasattr(np, "product")
    if missing:
        vars(np)["product"] = np.prod
    try:
        yield
    finally:
        if missing:
            vars(np).pop("product", None)


def _transposes_kept() -> contextlib.AbstractContextManager[None]:
    """Keep tf2onnx from writing a Transpose of axes of length 1 as a Reshape.

    It takes the new shape from what it noted of the input, which is wrong behind a LayerNormalization of images of a
    single pixel: the last stage of ConvNeXt at 32 pixels became (batch, 1, channels, 1).
    """
    optimizer = import_package("tf2onnx.optimizer.transpose_optimizer").TransposeOptimizer
    return _replaced(optimizer, "post_optimize_action", lambda _: None)


def _einsums_kept() -> contextlib.AbstractContextManager[None]:
    """Keep Einsum, which ONNX has, from being taken apart.

    What is left of the projections of an attention then bears no name, its kernel is a copy, and a product of queries
    and keys that share heads becomes a multiplication and a sum.
    """
    package = import_package("tf2onnx.optimizer")
    kept = {name: made for name, made in vars(package)["_optimizers"].items() if name != "einsum_optimizer"}
    return _replaced(package, "_optimizers", type(vars(package)["_optimizers"])(kept))


def _weights_kept_apart(reads: Mapping[str, str]) -> contextlib.AbstractContextManager[None]:
    """Keep constants of equal values from becoming one where they are different variables, as new biases are.

    They belong to layers of their own, and training moves them apart. Where the variables are not known, those that
    hold one value throughout, zeros or ones, stay apart; others are taken for several reads of one.
    """
    optimizer = import_package("tf2onnx.optimizer.merge_duplicated_nodes_optimizer").MergeDuplicatedNodesOptimizer
    equal = optimizer._have_equal_attr

    def same(self: Any, first: Any, second: Any, graph: Any) -> bool:
        if not first.is_const() or first.attr["value"].t.data_type not in _FLOATING:
            return bool(equal(self, first, second, graph))
        read = [reads.get(node.name.partition(FOLDED)[0]) for node in (first, second)]
        if None in read:
            values = first.get_tensor_value(as_list=False)
            return not (values.size > 1 and np.ptp(values) == 0) and bool(equal(self, first, second, graph))
        return read[0] == read[1] and bool(equal(self, first, second, graph))

    return _replaced(optimizer, "_have_equal_attr", same)


def _origins_kept() -> contextlib.AbstractContextManager[None]:
    """Name what is computed of constants after the largest of them."""
    optimizer = import_package("tf2onnx.optimizer.const_fold_optimizer").ConstFoldOptimizer
    utils = import_package("tf2onnx").utils

    def replace(node: Any, graph: Any, values: list[Any]) -> None:
        sources = [source for source in node.inputs if source is not None]
        origin = max(sources, key=lambda source: np.size(source.get_tensor_value(as_list=False)), default=None)
        name = node.name if origin is None else origin.name.partition(FOLDED)[0]
        for output, value in zip(node.output, values, strict=True):
            made = graph.make_const(utils.make_name(f"{name}{FOLDED.removesuffix('__')}"), value)
            graph.set_dtype(made.output[0], utils.map_numpy_to_onnx_dtype(value.dtype))
            graph.set_shape(made.output[0], value.shape)
            graph.replace_all_inputs(output, made.output[0])
        graph.remove_node(node.name)

    return _replaced(optimizer, "_replace_node_with_const", staticmethod(replace))
