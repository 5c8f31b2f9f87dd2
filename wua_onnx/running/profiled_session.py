"""Sessions under onnxruntime's profiler."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import onnx

from wua_onnx.errors import RunError
from wua_onnx.running.session import Session
from wua_onnx.running.timeline import Timeline, timeline

_MOST_BYTES = 1 << 29  # of a profile
_WEIGHTS_FILE = "weights"


class ProfiledSession(Session):
    """A session whose first runs are profiled, and which tells the graph that it runs.

    Args:
        model: the serialized model, its big weights external.
        folder: where external data lies; None where there is none.
        scratch: an empty folder for what onnxruntime writes.
        optimised: let onnxruntime optimise the graph, as it does by default.
        graph: have the optimised graph written too.

    Raises:
        RunError: onnxruntime cannot load the model, or cannot write its graph.
        OSError: this system has no links.
    """

    def __init__(self, model: bytes, folder: Path | None, scratch: Path, *, optimised: bool, graph: bool) -> None:
        self._scratch, self._optimised, self._graph = scratch, optimised, graph
        super().__init__(model, folder)

    def _configure(self, runtime: Any, options: Any) -> None:
        options.enable_profiling = True
        options.profile_file_prefix = str(self._scratch / "profile")
        if not self._optimised:
            options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
        if self._graph:
            # The optimised graph is wanted, its weights are not: they go to the null device.
            (self._scratch / _WEIGHTS_FILE).symlink_to(os.devnull)
            options.optimized_model_filepath = str(self._scratch / "optimised.onnx")
            entry = "session.optimized_model_external_initializers_"
            options.add_session_config_entry(f"{entry}file_name", _WEIGHTS_FILE)
            options.add_session_config_entry(f"{entry}min_size_in_bytes", "1024")

    def graph(self) -> onnx.GraphProto | None:
        """Return the graph that is run; None where it is not known."""
        path = self._scratch / "optimised.onnx"
        return onnx.load_model(path, load_external_data=False).graph if self._graph and path.exists() else None

    def times(self, graph: onnx.GraphProto | None, skip: int) -> Timeline:
        """End profiling and return what it measured, but for the first `skip` runs."""
        path = Path(self._session.end_profiling())
        size = path.stat().st_size
        if size > _MOST_BYTES:
            raise RunError(f"profile: expected at most {_MOST_BYTES:,} bytes, got {size:,}: too many events")
        try:
            events = json.loads(path.read_text(encoding="utf-8", errors="replace"))
        except ValueError as error:
            raise RunError(f"profile: expected JSON from onnxruntime, got {error}") from None
        return timeline(events, graph, skip=skip)

    def version(self) -> str:
        """Return the version of onnxruntime."""
        from onnxruntime import __version__

        return str(__version__)


def opened(model: bytes, folder: Path | None, scratch: Path, optimised: bool) -> ProfiledSession:
    """Return a session that tells its graph, else one that does not: a graph that cannot be written can still run."""
    with suppress(RunError, OSError):
        return ProfiledSession(model, folder, scratch, optimised=optimised, graph=True)
    return ProfiledSession(model, folder, scratch, optimised=optimised, graph=False)
