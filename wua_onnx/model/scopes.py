"""The module a node came from, from whatever the exporter left behind."""

from __future__ import annotations

import ast
import re
from functools import lru_cache

import onnx_ir as ir

from wua_onnx._text import clean

TORCH_SCOPES = "pkg.torch.onnx.name_scopes"
TORCH_CLASSES = "pkg.torch.onnx.class_hierarchy"
TORCH_TRACE = "pkg.torch.onnx.stack_trace"
_NO_MODULE = ("", "_empty_nn_module_stack_from_metadata_hook")  # torch's own word for a node without a module
_REWRITTEN = "pkg.onnxscript.rewriter.rule_name"
_FUSED = "FuseBatchNorm"
_FRAME = re.compile(r'File "(?P<file>[^"\n]+)", line (?P<line>[0-9]{1,9})')
_FRAMEWORKS = re.compile(r"(?:^|[/\\])(torch|keras|onnxscript)[/\\]")
# A list of strings in which nothing is escaped, as exporters write nearly all: read a tenfold faster.
_PLAIN_LIST = re.compile(r"\['[^'\\\r\n\0]*'(?:, '[^'\\\r\n\0]*')*\]")
_MAX_METADATA = 20_000  # characters of a metadata entry that are looked at


def string_list(text: str | None) -> list[str]:
    """Return the list of strings that `text` writes as a Python literal; empty where it writes none."""
    if not isinstance(text, str) or not text or len(text) > _MAX_METADATA:
        return []
    if _PLAIN_LIST.fullmatch(text):
        return text[2:-2].split("', '")
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return []
    return [str(item) for item in value] if isinstance(value, list) else []


def module_path(node: ir.Node) -> tuple[str, ...]:
    """Return the path of the module that owns `node`, outermost first; empty for the model itself.

    Sources, in order: the scopes of PyTorch's exporter (`enc.layers.0.linear1`), then slash names, which
    TensorFlow (`block1/conv/Conv2D`) and PyTorch's older exporter (`/layer1/layer1.0/conv1/Conv`) write.
    """
    scopes = string_list(node.metadata_props.get(TORCH_SCOPES))
    if scopes and _FUSED in node.metadata_props.get(_REWRITTEN, ""):
        owner = _weight_owner(node)
        if owner:
            return owner
    if scopes:
        return _dotted(_innermost(scopes))
    return _slashed(node.name if isinstance(node.name, str) else clean(node.name))


def _innermost(scopes: list[str]) -> str:
    return next((scope for scope in reversed(scopes[:-1]) if scope not in _NO_MODULE), "")


@lru_cache(maxsize=4096)
def _dotted(path: str) -> tuple[str, ...]:
    return tuple(clean(part) for part in path.split(".")) if path else ()


@lru_cache(maxsize=4096)
def _slashed(name: str) -> tuple[str, ...]:
    """Return the modules in the name of a node, without what a part repeats of the one before it."""
    if "/" not in name:
        return ()
    parts = [part for part in name.split("/") if part][:-1]
    relative: list[str] = []
    for previous, part in zip(["", *parts], parts, strict=False):
        relative.append(part.removeprefix(f"{previous}.") if previous else part)
    return tuple(clean(part) for part in relative)


def module_classes(node: ir.Node) -> dict[str, str]:
    """Return the class of each module around `node` by its path, as PyTorch's exporter writes them down."""
    scopes = string_list(node.metadata_props.get(TORCH_SCOPES))
    return dict(zip(scopes[:-1], string_list(node.metadata_props.get(TORCH_CLASSES)), strict=False))


def folded_normalization(node: ir.Node) -> str | None:
    """Return the path of the batch normalisation whose scale is in the weights of `node`; None where there is none.

    PyTorch's exporter leaves its scope in the place of the convolution's, whose class is then nowhere in the file.
    """
    if _FUSED not in node.metadata_props.get(_REWRITTEN, ""):
        return None
    innermost = _dotted(_innermost(string_list(node.metadata_props.get(TORCH_SCOPES))))
    return ".".join(innermost) if innermost and innermost != module_path(node) else None


def source_line(node: ir.Node) -> str | None:
    """Return `file:line` of the author's code that `node` came from; None where the exporter does not tell.

    It is the innermost frame outside of the framework that PyTorch's exporter wrote down.
    """
    trace = node.metadata_props.get(TORCH_TRACE)
    if not isinstance(trace, str) or len(trace) > _MAX_METADATA:
        return None
    frames = [f"{m['file']}:{m['line']}" for m in _FRAME.finditer(trace) if not _FRAMEWORKS.search(m["file"])]
    return clean(frames[-1]) if frames else None


def _weight_owner(node: ir.Node) -> tuple[str, ...]:
    """Return the module whose weight `node` reads.

    A batch normalisation folded into a convolution leaves its own scope on the node; the weight is the convolution's.
    """
    names = (value.name or "" for value in node.inputs[1:2] if value is not None)
    owner = next((name.removesuffix(".weight") for name in names if name.endswith(".weight")), "")
    return tuple(clean(part) for part in owner.split(".")) if owner else ()


def module_name(path: tuple[str, ...], node: ir.Node) -> str:
    """Return the path as its framework writes it: dots for PyTorch, slashes for TensorFlow."""
    slashes = TORCH_SCOPES not in node.metadata_props and not clean(node.name).startswith("/")
    return ("/" if slashes else ".").join(path)
