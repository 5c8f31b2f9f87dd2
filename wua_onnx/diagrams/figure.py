"""JSON of an audit -> JSON of a graph diagram: an overview of the whole model, or a module in detail."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from wua_onnx._text import visible
from wua_onnx.diagrams.metrics import values_of
from wua_onnx.diagrams.overview import LIMIT, Box, Edge, Node, Overview, fold
from wua_onnx.diagrams.parts import Part, Parts, parts_of, sums_of
from wua_onnx.errors import WuaError
from wua_onnx.model.dim_json import to_json
from wua_onnx.model.dims import total

Json: TypeAlias = dict[str, Any]
Path: TypeAlias = tuple[str, ...]

DETAIL_LIMIT = 150
_FEW_PLACES, _MOST_PLACES = 4, 12  # boxes for what lies outside of a detail, on each side


def graph_json(
    audit: Mapping[str, Any], *, detail: str | None = None, depth: int | None = None, limit: int | None = None
) -> Json:
    """Return a graph diagram: `diagrams.graph`, or one module of the model.

    Args:
        audit: its JSON, with `diagrams.links`.
        detail: the path of a module, or the name of a layer; None for the whole model.
        depth: module scopes that are opened, from the whole or from the module; None for as many as fit.
        limit: boxes at most; 60 for the whole, 150 for a module.

    Raises:
        WuaError: there is no such module, the depth is below 1, or the audit does not say what flows where.
    """
    if depth is not None and depth < 1:
        raise WuaError(f"depth: expected 1 or more, got {depth}")
    if "links" not in audit["diagrams"]:
        raise WuaError("graph: expected an audit that says what flows between its nodes, got one of an older version")
    parts = parts_of(audit)
    if detail is None:
        shown, edges, inside = [part.node for part in parts.by_id.values()], list(parts.edges), ""
    else:
        chosen, inside = _chosen(parts, audit, detail)
        shown, edges = _cut_out(parts, chosen, inside)
    overview = fold(shown, edges, limit or (LIMIT if detail is None else DETAIL_LIMIT), depth)
    return _diagram(audit, parts, overview, {node.id: node for node in shown}, inside)


def _diagram(
    audit: Mapping[str, Any], parts: Parts, overview: Overview, shown: Mapping[str, Node], inside: str
) -> Json:
    whole = sums_of(parts.by_id.values())
    boxes = []
    for i, box in enumerate(overview.boxes):
        members = [parts.by_id.get(key) or Part(node=shown[key], kind="outside") for key in box.nodes]
        boxes.append({"id": f"b{i}", **_box(audit, box, members, inside, whole)})
    return {
        "of": inside,
        "boxes": boxes,
        "edges": [{"from": f"b{edge.source}", "to": f"b{edge.target}", "label": edge.label} for edge in overview.edges],
        "folded": overview.folded,
        "left_out": overview.left_out,
    }


def _box(audit: Mapping[str, Any], box: Box, members: Sequence[Part], inside: str, whole: Mapping[str, float]) -> Json:
    layers = [audit["layers"][at] for at in _layers(members)]
    alone = members[0] if len(members) == 1 else None
    values = values_of(sums_of(members), layers, audit["settings"]["criterion"][0], whole)
    return {
        "label": _inner(box.label, inside) or members[0].node.op,
        "detail": _detail(alone, layers) if alone else "" if members[0].node.end else f"{len(members):,} nodes",
        "count": box.count,
        "kind": members[0].kind if alone or members[0].node.end else layers[0]["kind"] if layers else "other",
        "layer": alone.layer if alone else None,
        "module": ".".join(filter(None, (inside, box.module))) if box.module else "",
        "macs": to_json(total(part.macs for part in members)),
        "share": values["macs"],
        "values": values,
    }


def _layers(members: Iterable[Part]) -> list[int]:
    return list(dict.fromkeys(part.layer for part in members if part.layer is not None))


def _detail(part: Part, layers: Sequence[Mapping[str, Any]]) -> str:
    if layers:
        return f"{layers[0]['op']} {'×'.join(map(str, layers[0]['weight_shape']))}"
    return "" if part.kind in ("input", "output", "outside") else part.node.op


def _inner(label: str, inside: str) -> str:
    """Return a label without the module that the whole diagram is of."""
    return label.removeprefix(f"{inside}.") if inside else label


def _chosen(parts: Parts, audit: Mapping[str, Any], detail: str) -> tuple[set[str], str]:
    """Return the ids of what lies in a module, or of one layer, and the module's path."""
    wanted = _dotted(detail)
    within = f"{wanted}."
    chosen = {key for key, part in parts.by_id.items() if f"{_dotted('.'.join(part.node.path))}.".startswith(within)}
    if chosen and wanted:
        return chosen, wanted
    for index, layer in enumerate(audit["layers"]):
        if layer["name"] in (detail, wanted):
            return {key for key, part in parts.by_id.items() if part.layer == index}, ""
    raise WuaError(f"detail: expected the path of a module, got {visible(detail)!r}{_hint(parts, wanted)}")


def _dotted(path: str) -> str:
    """Return a path of modules as one writes it, with dots or slashes, with dots."""
    return path.replace("/", ".").strip(".")


def _hint(parts: Parts, wanted: str) -> str:
    known = {
        ".".join(part.node.path[: n + 1]): None for part in parts.by_id.values() for n in range(len(part.node.path))
    }
    if not known:
        return ": this model has no modules, only layers"
    near = difflib.get_close_matches(wanted[:200], list(known)[:5000], 3, 0.4) or list(known)[:3]
    return f": such as {', '.join(visible(name, 80) for name in near)}"


def _cut_out(parts: Parts, chosen: set[str], inside: str) -> tuple[list[Node], list[Edge]]:
    """Return the nodes of a module, its own path taken off, between boxes for what feeds it and what it feeds."""
    inner = [edge for edge in parts.edges if edge.source in chosen and edge.target in chosen]
    into = [edge for edge in parts.edges if edge.source not in chosen and edge.target in chosen]
    out = [edge for edge in parts.edges if edge.source in chosen and edge.target not in chosen]
    before = _places("from", parts, chosen, [edge.source for edge in into])
    after = _places("to", parts, chosen, [edge.target for edge in out])
    inner += [replace(edge, source=before[edge.source].id) for edge in into]
    inner += [replace(edge, target=after[edge.target].id) for edge in out]
    nodes = [part.node for key, part in parts.by_id.items() if key in chosen]
    own = [replace(node, path=_path_after(node.path, inside)) for node in nodes]
    return [*dict.fromkeys(before.values()), *own, *dict.fromkeys(after.values())], inner


def _path_after(path: Path, inside: str) -> Path:
    """Return the part of `path` that follows the module `inside`; names in a path may hold dots themselves."""
    depths = (n for n in range(len(path) + 1) if _dotted(".".join(path[:n])) == inside)
    return path[next(depths, 0) :]


def _places(word: str, parts: Parts, chosen: set[str], outside: Sequence[str]) -> dict[str, Node]:
    """Return the box for each node `outside`: one for each module, as far as it differs from what is chosen."""
    shared = _shared([part.node.path for key, part in parts.by_id.items() if key in chosen])
    labels = {key: _place(parts.by_id[key].node, shared, 1) for key in outside}
    if len(set(labels.values())) > _FEW_PLACES:
        labels = {key: _place(parts.by_id[key].node, shared, 0) for key in outside}
    places = list(dict.fromkeys(labels.values()))
    found = {key: min(places.index(label), _MOST_PLACES) for key, label in labels.items()}
    names = [*places[:_MOST_PLACES], "other places"]
    boxes = [
        Node(id=f"{word} {i}", path=(), op="place", label=f"{word} {name}", end=True) for i, name in enumerate(names)
    ]
    return {key: boxes[at] for key, at in found.items()}


def _place(node: Node, shared: Path, further: int) -> str:
    """Return the module of a node, `further` scopes deeper than what it shares with what is chosen."""
    common = len(_shared([node.path, shared]))
    depth = max(common + further, 1)
    module = ".".join(node.path[:depth])
    if len(node.path) < depth:
        return f"{module} {node.label}".strip()
    return f"{module} (others)" if depth == common else module


def _shared(paths: Sequence[Path]) -> Path:
    """Return what all paths begin with."""
    if not paths:
        return ()
    first, last = min(paths), max(paths)
    length = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), None)
    return first[: min(len(first), len(last)) if length is None else length]
