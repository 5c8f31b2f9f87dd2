"""Ends runs of onnxruntime that take too long.

A thread for each run would cost more than the run of a small model. So one thread looks after all of them: it sleeps
until the first of those under way would be overdue, and ends when it wakes up and finds none.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Overdue:
    """Runs under way, and when each of them must have ended."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._ends: dict[int, tuple[float, Any]] = {}  # by the identity of a run's options
        self._thread: threading.Thread | None = None
        self._wakes = 0.0

    @contextmanager
    def after(self, seconds: float, options: Any) -> Iterator[None]:
        """Set `options.terminate` where what is done in this context takes longer than `seconds`."""
        end = time.monotonic() + seconds
        with self._changed:
            self._ends[id(options)] = (end, options)
            if self._thread is None or not self._thread.is_alive():  # none is alive in a process that was forked
                self._thread = threading.Thread(target=self._watch, name="wua_onnx overdue runs", daemon=True)
                self._wakes = end
                self._thread.start()
            elif end < self._wakes:
                self._wakes = end
                self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                del self._ends[id(options)]

    def _watch(self) -> None:
        with self._changed:
            while self._thread is not None:
                self._changed.wait(self._wakes - time.monotonic())
                now = time.monotonic()
                for end, options in self._ends.values():
                    if end <= now:
                        options.terminate = True
                ends = [end for end, options in self._ends.values() if not options.terminate]
                self._wakes = min(ends, default=now + 1.0)  # those that were told to end are on their way
                if not self._ends:
                    self._thread = None


OVERDUE = Overdue()
