"""Runs whose inputs and outputs lie on the device that computes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray[Any, Any]


class Binding:
    """Binds the inputs and outputs of a session to a device.

    Inputs have one buffer each on the device, which batches of the same shapes are copied into one after the other.
    Outputs are allocated there by the run that computes them, and come back together when it has ended. Only int64
    stays on the host, where onnxruntime computes the shapes that taps ask for: on a device they would be copied twice.

    Args:
        runtime: the module onnxruntime.
        session: its session.
        device: where the buffers lie, as onnxruntime calls it: "cpu", "cuda".
        number: which of several such devices.
    """

    def __init__(self, runtime: Any, session: Any, device: str, number: int = 0) -> None:
        self._values, self._session = runtime.OrtValue, session
        self._device = (device, number)
        self._binding = session.io_binding()
        self._buffers: dict[str, Any] = {}
        self._on_host = {output.name for output in session.get_outputs() if output.type == "tensor(int64)"}

    def run(self, feeds: Mapping[str, Array], outputs: Sequence[str], options: Any) -> list[Any]:
        """Run once and return `outputs`, in that order, in the memory of the host.

        Args:
            feeds: arrays by input name.
            outputs: the names of at least one output.
            options: onnxruntime's options of a run.
        """
        if self._buffers.keys() - feeds.keys():  # an input that is left out must not keep its last value
            self._binding.clear_binding_inputs()
            self._buffers.clear()
        for name, array in feeds.items():
            self._bind(name, np.ascontiguousarray(array).reshape(array.shape))
        self._binding.clear_binding_outputs()  # else the next run would write into what this one returned
        for name in outputs:
            self._binding.bind_output(name, *(("cpu", 0) if name in self._on_host else self._device))
        self._session.run_with_iobinding(self._binding, options)
        returned: list[Any] = self._binding.copy_outputs_to_cpu()
        self._binding.clear_binding_outputs()
        return returned

    def _bind(self, name: str, array: Array) -> None:
        buffer = self._buffers.get(name)
        key = (array.shape, array.dtype)
        if buffer is None or buffer[0] != key:
            value = self._values.ortvalue_from_shape_and_type(list(array.shape), array.dtype, *self._device)
            self._buffers[name] = buffer = (key, value)
            self._binding.bind_ortvalue_input(name, value)
        buffer[1].update_inplace(array)


def can_bind(session: Any) -> bool:
    """Return whether all that `session` takes and returns can be bound.

    Strings cannot, and a string that is bound as an output ends the process (onnxruntime 1.31). Sequences are left out.
    """
    return all(_is_numbers(value) for value in (*session.get_inputs(), *session.get_outputs()))


def _is_numbers(value: Any) -> bool:
    return bool(value.type.startswith("tensor(") and "string" not in value.type)
