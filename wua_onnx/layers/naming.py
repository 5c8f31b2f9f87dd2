"""Names of layers: the author's own where the exporter kept them, unique and stable always."""

from __future__ import annotations

import re
from collections.abc import Iterable

from wua_onnx._text import clean
from wua_onnx.layers.layer import Use
from wua_onnx.model.graph import Model

# Names that exporters invent; they say nothing and change between exports.
_INVENTED = re.compile(r"^(val_\d+|onnx::.*|_?const.*|[a-z]?\d+|.*__\d+|new_.*|initializer_?\d*|weight_?\d*)$", re.I)
# One that a module may have, too, where a parameter follows it: `l1.weight`.
_SHORT = re.compile(r"^[a-z]\d+$", re.I)
# A module's main parameter is named by the module alone.
_MAIN_PARAMETER = re.compile(
    r"^(?P<module>.+?)[./](parametrizations\.weight\.original1?|weight_v|weight_orig|weight|kernel|W)(:0)?$"
)
_TF_VARIABLE = re.compile(r"(/ReadVariableOp|/MatMul|/Conv\w*|/BiasAdd|:\d+)+$")


def layer_name(use: Use, model: Model) -> str:
    """Return the best name for the layer of `use`, not yet made unique.

    In order: the name a converter recorded, the module of the initializer (`fc1` of `fc1.weight`), the module the
    operator came from, the initializer's own name, the operator's name. Behind it the part of the initializer that is
    meant, where that is not all of it (`attention.in_proj_weight[0:64]`).
    """
    return _of_initializer(use, model) + (use.source.part.label if use.source.part is not None else "")


def _of_initializer(use: Use, model: Model) -> str:
    root = use.source.root.name or ""
    for known in (root, use.node.node.name or "", use.output.name or ""):
        if known in model.layer_names:
            return clean(model.layer_names[known])
    match = _MAIN_PARAMETER.match(root) if use.parameter is None else None
    if match and (_SHORT.match(match["module"]) or not _INVENTED.match(match["module"])):
        return clean(match["module"])
    if re.fullmatch(r"[A-Za-z_][\w]*(\.[\w]+)+", root) and not _INVENTED.match(root):
        return clean(root)
    suffix = f".{use.parameter}" if use.parameter else ""
    if use.node.module:
        return use.node.module_name + suffix
    plain = _TF_VARIABLE.sub("", root)
    if plain and not _INVENTED.match(plain):
        return clean(plain)
    return use.node.name + suffix


def unique(names: Iterable[str]) -> list[str]:
    """Return `names` in order, repeated ones numbered (`conv`, `conv#2`)."""
    taken: set[str] = set()
    result: list[str] = []
    for name in names:
        candidate, number = name, 1
        while candidate in taken:
            number += 1
            candidate = f"{name}#{number}"
        taken.add(candidate)
        result.append(candidate)
    return result
