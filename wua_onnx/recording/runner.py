"""The model with its taps, run batch by batch; opened anew where precision or missing kernels ask for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any, Protocol, TypeAlias

import numpy as np

from wua_onnx.errors import RunError
from wua_onnx.recording.instrument import Instrumented
from wua_onnx.recording.plan import Place
from wua_onnx.recording.reading import Run, lengths
from wua_onnx.running import Session
from wua_onnx.running.bfloat16 import NOTE, as_float32
from wua_onnx.running.isolated import IsolatedSession

Array: TypeAlias = np.ndarray[Any, Any]


class Prepare(Protocol):
    """Places the taps: the means of `precise` in double precision, bfloat16 as float32 where `wide`."""

    def __call__(self, *, precise: Set[Place], wide: bool) -> Instrumented:
        """Return the model with its taps."""


class Runner:
    """Runs the model that `prepare` returns.

    Args:
        prepare: places the taps.
        device: "cpu" or "cuda".
        isolate: run onnxruntime in a child process.

    Attributes:
        plan: the model with its taps, as it is run at present.
        precision: what was computed in other element types than the model's own; None where nothing was.
    """

    def __init__(self, prepare: Prepare, device: str, *, isolate: bool) -> None:
        self._prepare, self._device, self._isolate = prepare, device, isolate
        self._wide = False
        self._place(frozenset())

    @property
    def precision(self) -> str | None:
        """See the class."""
        return NOTE if self._wide else None

    def _place(self, precise: Set[Place]) -> None:
        self._precise = precise
        self._session: Session | IsolatedSession | None = None
        self.plan: Instrumented = self._prepare(precise=precise, wide=self._wide)
        taps = self.plan.taps.values()
        self._wanted = tuple(dict.fromkeys(name for _, outputs in taps for name in outputs.names()))
        self._of_unknown_length = {place: both for place, both in self.plan.taps.items() if both[1].shape is not None}

    def start(self) -> Session | IsolatedSession:
        """Return the session, opened when first needed; in float32 where the device has no kernels for bfloat16.

        Raises:
            RunError: onnxruntime cannot load the model.
            DeviceError: the device is not there.
        """
        if self._session is None:
            try:
                self._session = self._opened()
            except RunError:
                if not self.plan.narrow:
                    raise
                self._wide = True
                self._place(self._precise)
                self._session = self._opened()
        return self._session

    def _opened(self) -> Session | IsolatedSession:
        kind = IsolatedSession if self._isolate else Session
        return kind(self.plan.model, self.plan.folder, device=self._device)

    def run(self, feeds: Mapping[str, Array], also: Sequence[str] = ()) -> dict[str, Array]:
        """Return what the taps return, and the outputs `also`.

        Runs again with double precision where an activation turns out longer than single precision bears.
        """
        feeds = as_float32(feeds)
        results = self._run(feeds, also)
        taps = self._of_unknown_length.items()
        long = {place for place, (tap, outputs) in taps if tap.is_too_long(lengths(tap, outputs, results))}
        if not long:
            return results
        self._place(frozenset(long | {place for place, (tap, _) in self.plan.taps.items() if tap.precise}))
        return self._run(feeds, also)

    def runs(self, slices: Sequence[tuple[Mapping[str, Array], int]], also: Sequence[str] = ()) -> list[Run]:
        """Return what `run` returns of each slice of a batch, which comes with its number of samples."""
        while True:
            plan = self.plan
            found: list[Run] = [(self.run(feeds, also), samples) for feeds, samples in slices]
            if self.plan is plan:  # else outputs have other names from some slice on
                return found

    def _run(self, feeds: Mapping[str, Array], also: Sequence[str]) -> dict[str, Array]:
        session = self.start()  # may place the taps anew
        return session.run(feeds, list(dict.fromkeys([*self._wanted, *also])))
