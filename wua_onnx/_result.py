"""`Audit`: the result of `analyze`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from wua_onnx import findings
from wua_onnx._attention import AttentionAudit
from wua_onnx._audit_json import SCHEMA_VERSION, read_audit
from wua_onnx._files import write_text
from wua_onnx._json import json_text
from wua_onnx._layer_audit import LayerAudit, LiveLayer
from wua_onnx._text import share_text
from wua_onnx.cost import CostReport
from wua_onnx.errors import WuaError
from wua_onnx.model import dims as d
from wua_onnx.model.dim_json import from_json

if TYPE_CHECKING:
    from wua_onnx.diagrams.diagram import Diagram
    from wua_onnx.report.plots import Plots

__all__ = ["SCHEMA_VERSION", "Audit"]


class Audit:
    """The result of `analyze`.

    Everything but the big arrays is in `to_dict`, from which every report is made; `from_json` gives the same audit
    back without them.
    """

    def __init__(
        self, data: Mapping[str, Any], *, live: Mapping[str, LiveLayer] | None = None, cost: CostReport | None = None
    ) -> None:
        self._data, self._live = data, live or {}
        self._cost = cost

    @property
    def model(self) -> Mapping[str, Any]:
        """What is known of the model as a whole: name, file, producer, opsets, inputs, outputs."""
        return MappingProxyType(self._data["model"])

    @cached_property
    def cost(self) -> CostReport:
        """What a run costs."""
        return self._cost if self._cost is not None else CostReport.from_dict(self._data["cost"])

    @cached_property
    def layers(self) -> Mapping[str, LayerAudit]:
        """The layers by name, in the order of the file."""
        return MappingProxyType(
            {part["name"]: LayerAudit(part, _macs(part), self._live.get(part["name"])) for part in self._data["layers"]}
        )

    @property
    def profile(self) -> Mapping[str, Any] | None:
        """Measured times beside the count (JSON of `wua_onnx.observe.Profile`), or `error`; None if not asked for."""
        found = self._data.get("profile")
        return None if found is None else MappingProxyType(found)

    @cached_property
    def attention(self) -> tuple[AttentionAudit, ...]:
        """The heads of each attention, in the order of the file."""
        return tuple(AttentionAudit.from_dict(block) for block in self._data.get("attention", ()))

    @property
    def coverage(self) -> Mapping[str, Any]:
        """The account of the parameters: `parameters`, `analysed`, and `declined` with reasons."""
        return MappingProxyType(self._data["coverage"])

    @cached_property
    def findings(self) -> tuple[findings.Finding, ...]:
        """What to look at, gravest first."""
        return tuple(findings.Finding.from_dict(finding) for finding in self._data["findings"])

    @property
    def total_weights(self) -> int:
        """The number of weights in all layers."""
        return int(self._data["totals"]["weights"])

    @property
    def effective_weights(self) -> float:
        """The sum of e^H over the layers."""
        return float(self._data["totals"]["effective_weights"])

    @property
    def utilization(self) -> float | None:
        """Effective weights over weights; None for a model without layers."""
        value: float | None = self._data["totals"]["utilization"]
        return value

    @property
    def compression_potential(self) -> float | None:
        """1 - utilization; None for a model without layers."""
        value: float | None = self._data["totals"]["compression_potential"]
        return value

    @property
    def average_redundancy(self) -> float | None:
        """The mean of the layers' redundancies; None for a model without layers."""
        value: float | None = self._data["totals"]["average_redundancy"]
        return value

    def to_dict(self) -> dict[str, Any]:
        """Return the audit in JSON's own types."""
        copy: dict[str, Any] = json.loads(json.dumps(self._data))
        return copy

    def to_json(self, path: str | Path | None = None) -> str:
        """Return the audit as JSON text, and write it to `path` where one is given.

        Raises:
            OutputError: `path` cannot be written.
        """
        text = json_text(self._data)
        if path is not None:
            write_text(Path(path), text + "\n")
        return text

    def to_npz(self, path: str | Path) -> Path:
        """Write the big arrays, which are not in the JSON, to an .npz file; see `wua_onnx._arrays.write_arrays`.

        `numpy.load(path)` gives, for the layer at place i of `audit.layers`, `i.scores.<criterion>` (the importance of
        every weight), `i.importance` (of every neuron) and what was recorded of its neurons: `i.mean` ….

        Raises:
            WuaError: the audit was read from JSON, which holds no big arrays.
            OutputError: `path` cannot be written.
        """
        from wua_onnx._arrays import write_arrays

        return write_arrays(Path(path), list(self.layers.values()))

    @classmethod
    def from_json(cls, path: str | Path) -> Audit:
        """Return the audit that `to_json` wrote.

        Raises:
            DataError: the file is no audit, or one of a schema version that is not known.
        """
        return cls(read_audit(path))

    def to_html(self, path: str | Path | None = None) -> str:
        """Return the audit as one self-contained page, and write it to `path` where one is given.

        Raises:
            OutputError: `path` cannot be written.
        """
        from wua_onnx.report.html import render

        page = render(self._data)
        if path is not None:
            write_text(Path(path), page)
        return page

    def to_markdown(self) -> str:
        """Return the audit as Markdown."""
        from wua_onnx.report.markdown import to_markdown

        return to_markdown(self._data)

    def to_pandas(self) -> Any:
        """Return the layers as a data frame, one row each; raises MissingDependency without pandas."""
        from wua_onnx.report.frame import layers_frame

        return layers_frame(self._data)

    @property
    def plot(self) -> Plots:
        """Plots with matplotlib: `.importance()`, `.cost()`, `.coverage()`, which return the Axes."""
        from wua_onnx.report.plots import Plots

        return Plots(self._data)

    def show(self) -> None:
        """Print the audit in the terminal; in a notebook, show its page in a frame of its own."""
        from wua_onnx.report import notebook
        from wua_onnx.report.terminal import print_audit

        if notebook.is_there():
            notebook.show(self.to_html(), f"audit of {self.model['name']}")
            return
        print_audit(self._data)
        if self.profile is not None:
            from wua_onnx.report.profile import print_profile

            print_profile(self.profile)

    def graph(
        self, color: str | None = None, *, detail: str | None = None, depth: int | None = None, limit: int | None = None
    ) -> Diagram:
        """Return the diagram of the graph, folded by module and by repetition; its colours are explained in it.

        Args:
            color: what decides the colour of a box: "flops", "macs", "bytes", "params", "time" (where the audit has a
                profile), "redundancy", "utilization", "importance" or "dead"; by default what kind of layer it is.
            detail: the path of a module to draw instead of the whole ("encoder.layer.0"), or the name of a layer.
            depth: module scopes that are opened; by default as many as fit.
            limit: boxes at most: 60 by default, 150 of a module.

        Raises:
            WuaError: there is no such colour, module or depth, or the audit has no figures for the colour.
        """
        from wua_onnx.diagrams.of_audit import graph_of

        return graph_of(self._data, color, detail=detail, depth=depth, limit=limit)

    def network(self) -> Diagram:
        """Return the diagram of the neurons; raises WuaError where the model is no stack of dense layers."""
        from wua_onnx.diagrams import dot

        diagram = self._data["diagrams"]["network"]
        if diagram is None:
            raise WuaError(f"{self._data['model']['name']}: expected a stack of dense layers, got none to draw")
        return dot.network(diagram, with_legend=True)

    def _repr_html_(self) -> str:
        from wua_onnx.report.html import render_inline

        return render_inline(self._data)

    def __repr__(self) -> str:
        used = "no layers" if self.utilization is None else f"utilization {share_text(self.utilization, 1)}"
        return f"<Audit of {self._data['model']['name']!r}: {len(self._data['layers'])} layers, {used}>"


def _macs(part: Mapping[str, Any]) -> Any:
    macs = from_json(part["macs"])
    return None if macs is None else d.to_sympy(macs)
