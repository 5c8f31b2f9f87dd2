"""`Comparison`: two audits side by side, and the forms it is written in."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wua_onnx.comparison.deltas import Delta, LayerDelta
from wua_onnx.comparison.outputs import Outputs

if TYPE_CHECKING:
    from wua_onnx._result import Audit

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two audits side by side.

    Attributes:
        before, after: the audits.
        figures: of the whole models: `params`, `weight_bytes`, `file_bytes`, `macs`, `flops`, `int_ops`,
            `activation_bytes`, `peak_activation_bytes`, `bytes_moved`, `weights`, `effective_weights`, `utilization`,
            `baseline_utilization` (of untrained layers), `compression_potential`, `average_redundancy`,
            `dead_neurons`, and `accuracy` where labels were given.
        layers: those that both have, in the order of `before`, each with the change of every figure.
        only_after, only_before: what is said of the layers that only one has.
        outputs: how far the outputs lie apart on the data; None where there was none, or a side is no model.
        notes: what a reader of the figures has to know.
    """

    before: Audit
    after: Audit
    figures: tuple[Delta, ...]
    layers: tuple[LayerDelta, ...]
    only_after: tuple[dict[str, Any], ...] = ()
    only_before: tuple[dict[str, Any], ...] = ()
    outputs: Outputs | None = None
    notes: tuple[str, ...] = ()

    @property
    def added(self) -> tuple[str, ...]:
        """Names of the layers that only `after` has."""
        return tuple(layer["name"] for layer in self.only_after)

    @property
    def removed(self) -> tuple[str, ...]:
        """Names of the layers that only `before` has."""
        return tuple(layer["name"] for layer in self.only_before)

    @property
    def changed(self) -> tuple[LayerDelta, ...]:
        """The layers of both of which anything differs."""
        return tuple(layer for layer in self.layers if layer.changed)

    @property
    def failed(self) -> bool:
        """Whether a run failed that was asked for; the notes or `outputs.error` say why."""
        recordings = [side.to_dict()["recording"] or {} for side in (self.before, self.after)]
        ran = self.outputs is None or self.outputs.error is None
        return not ran or any(recording.get("error") for recording in recordings)

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison in JSON's own types; every output is made from it."""
        found = {
            "schema_version": SCHEMA_VERSION,
            "tool": self.after.to_dict()["tool"],
            "before": _side(self.before),
            "after": _side(self.after),
            "figures": [delta.to_dict() for delta in self.figures],
            "outputs": None if self.outputs is None else self.outputs.to_dict(),
            "layers": [layer.to_dict() for layer in self.layers],
            "added": list(self.only_after),
            "removed": list(self.only_before),
            "notes": list(self.notes),
        }
        copy: dict[str, Any] = json.loads(json.dumps(found))
        return copy

    def to_json(self, path: str | Path | None = None) -> str:
        """Return the comparison as JSON text; written to `path` where one is given (raises OutputError)."""
        return _written(json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False, indent=1), path)

    def to_markdown(self, path: str | Path | None = None) -> str:
        """Return the comparison as Markdown; written to `path` where one is given (raises OutputError)."""
        from wua_onnx.report.comparison import comparison_markdown

        return _written(comparison_markdown(self.to_dict()), path)

    def to_html(self, path: str | Path | None = None) -> str:
        """Return the comparison as one self-contained page; written to `path` where one is given (OutputError)."""
        from wua_onnx.report.comparison_page import render_comparison

        return _written(render_comparison(self.to_dict()), path)

    def to_pandas(self) -> Any:
        """Return a data frame with a row a layer, changed, added or removed; MissingDependency without pandas."""
        from wua_onnx.report.comparison_frame import comparison_frame

        return comparison_frame(self.to_dict())

    def show(self) -> None:
        """Print the comparison in the terminal; in a notebook, show its page in a frame of its own."""
        from wua_onnx.report import notebook
        from wua_onnx.report.comparison import print_comparison

        if notebook.is_there():
            notebook.show(self.to_html(), repr(self))
            return
        print_comparison(self.to_dict())

    def _repr_html_(self) -> str:
        from wua_onnx.report.comparison_page import render_comparison_inline

        return render_comparison_inline(self.to_dict())

    def __repr__(self) -> str:
        names = " with ".join(repr(side.model["name"]) for side in (self.before, self.after))
        counts = f"{len(self.changed)} changed, {len(self.added)} added, {len(self.removed)} removed"
        return f"<Comparison of {names}: {counts}>"


def _side(audit: Audit) -> dict[str, Any]:
    data = audit.to_dict()
    model = data["model"]
    return {
        "name": model["name"],
        "file": model.get("file"),
        "layers": len(data["layers"]),
        "nodes": model.get("nodes"),
        "bound": data["cost"]["bound"],
        "dims": data["cost"].get("dims") or {},
        "criterion": data["settings"]["criterion"],
        "samples": (data["recording"] or {}).get("samples"),
    }


def _written(text: str, path: str | Path | None) -> str:
    if path is not None:
        from wua_onnx._files import write_text

        write_text(Path(path), text.rstrip("\n") + "\n")
    return text
