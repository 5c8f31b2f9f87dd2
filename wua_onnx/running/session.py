"""Sessions of onnxruntime."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from wua_onnx._text import clean
from wua_onnx.errors import DeviceError, DeviceMemoryError, RunError, WuaError
from wua_onnx.running import memory
from wua_onnx.running.binding import Binding, can_bind
from wua_onnx.running.devices import check_computes, onnxruntime, providers
from wua_onnx.running.overdue import OVERDUE

Array: TypeAlias = np.ndarray[Any, Any]

_FOLDER_OPTION = "session.model_external_initializers_file_folder_path"
_ERRORS_ONLY = 3
_LOCATION = re.compile(
    r"\S+\.(?:h|cc|cpp|cu|cuh|hpp):\d+ [^()]{1,500}\([^()]{0,500}\)(?: const)? "
)  # file, line, function
_CUDA = re.compile(
    r"(?:CUDA|CUDNN|CUBLAS\w*|CUFFT) failure \d+: [^;]{1,300}"
)  # what follows is for who wrote onnxruntime
TIME_LIMIT = 600.0  # seconds for one run


class Session:
    """A loaded model, ready to run.

    Args:
        model: the serialized model, its big weights external.
        folder: where external data lies; None where there is none.
        device: "cpu" or "cuda".
        limit: seconds that one run may take; a Loop may never end.
        bound: keep inputs and outputs on the device during a run (`Binding`); by default where it is not the CPU, on
            which a binding saves no copy and costs some microseconds an output.

    Raises:
        RunError: onnxruntime cannot load the model (an operator it does not have, say).
        DeviceError: the device is not there.
    """

    def __init__(
        self,
        model: bytes,
        folder: Path | None,
        *,
        device: str = "cpu",
        limit: float = TIME_LIMIT,
        bound: bool | None = None,
    ) -> None:
        self.limit, self._device = limit, device
        runtime = onnxruntime()
        wanted = providers(device)
        options = runtime.SessionOptions()
        options.log_severity_level = _ERRORS_ONLY + 1
        # What is read early is freed early. A memory pattern would be one more arena beside the first run's, and
        # taps in the blocked layout, which get new nodes, would come last in the default order.
        options.enable_mem_pattern = False
        options.execution_order = runtime.ExecutionOrder.PRIORITY_BASED
        if folder is not None:
            options.add_session_config_entry(_FOLDER_OPTION, str(folder))
        self._configure(runtime, options)
        try:  # without fallback: what a device refuses is not run on another one without a word
            self._session = runtime.InferenceSession(model, options, providers=wanted, enable_fallback=0)
        except Exception as error:  # onnxruntime raises kinds of its own
            if device != "cpu" and isinstance(error, RuntimeError):  # what providers raise; of a model it says more
                raise DeviceError(f"device={device!r}: onnxruntime cannot use it: {_short(error)}") from error
            raise RunError(f"onnxruntime cannot load the model: {_short(error)}") from error
        check_computes(self._session, device)
        self.outputs: tuple[str, ...] = tuple(output.name for output in self._session.get_outputs())
        bound = device != "cpu" if bound is None else bound
        self._binding = Binding(runtime, self._session, device) if bound and can_bind(self._session) else None

    def _configure(self, runtime: Any, options: Any) -> None:
        """Set further options of the session."""

    def run(self, feeds: Mapping[str, Array], outputs: Sequence[str] | None = None) -> dict[str, Array]:
        """Run once and return arrays by output name.

        Args:
            feeds: arrays by input name, of the shapes and element types the model expects.
            outputs: the outputs wanted; all of them by default.

        Raises:
            RunError: the run failed, or took longer than the limit.
            DeviceMemoryError: the device has too little memory for it.
        """
        names = list(outputs if outputs is not None else self.outputs)
        options = onnxruntime().RunOptions()
        options.log_severity_level = _ERRORS_ONLY + 1
        try:
            with OVERDUE.after(self.limit, options):
                results = self._results(feeds, names, options)
        except WuaError:
            raise
        except Exception as error:  # onnxruntime raises kinds of its own
            if options.terminate:
                raise RunError(f"onnxruntime: expected a run to end within {self.limit:g} s, got none") from None
            shapes = ", ".join(f"{name} {list(array.shape)} {array.dtype}" for name, array in feeds.items())
            reason = _short(error)
            if self._device != "cpu" and memory.is_failure(reason):
                raise DeviceMemoryError(f"device={self._device!r}: too little memory for {shapes}: {reason}") from error
            raise RunError(f"onnxruntime cannot run the model on {shapes}: {reason}") from error
        return dict(zip(names, results, strict=True)) if names else {}

    def _results(self, feeds: Mapping[str, Array], names: list[str], options: Any) -> list[Any]:
        if self._binding is not None:
            return self._binding.run(feeds, names or self.outputs, options)
        return list(self._session.run(names or None, dict(feeds), options))


def _short(error: Exception) -> str:
    """Return onnxruntime's message without its C++ locations."""
    text = str(error).replace("\n", " ")
    failure = _CUDA.search(text)
    if failure is not None:
        return clean(failure[0].strip())
    text = text.split("Status Message: ")[-1].removeprefix("[ONNXRuntimeError] : ")
    return clean(_LOCATION.sub("", text).strip())
