"""Native code in a child process with limits of time and memory."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from wua_onnx import errors
from wua_onnx.errors import RunError
from wua_onnx.running.memory import is_failure, memory_limit, text
from wua_onnx.running.messages import Message, receive, send
from wua_onnx.running.session import TIME_LIMIT

Array: TypeAlias = np.ndarray[Any, Any]


class Child:
    """A worker process; it ends with this object.

    Args:
        limit: seconds an answer may take.
        memory: bytes it may allocate; by default what `running.memory.memory_limit` says.

    Raises:
        DataError: the environment sets a limit of memory that is no number of bytes.
    """

    def __init__(self, limit: float = TIME_LIMIT, memory: int | None = None) -> None:
        self.limit = limit
        self.memory = memory if memory is not None else memory_limit()
        root = str(Path(__file__).resolve().parents[2])
        paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "wua_onnx.running.worker", *([str(self.memory)] if self.memory else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=root,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        )

    def ask(self, request: Message) -> Message:
        """Return the worker's answer to `request`.

        Raises:
            RunError: the worker crashed, or took longer than the limit; it is gone then.
            WuaError: whatever the worker raised.
        """
        process = self._process
        assert process.stdin is not None
        try:
            send(process.stdin, request)
            answer = receive(_Timed(process, time.monotonic() + self.limit))
        except (EOFError, BrokenPipeError):
            self._wait()
            raise RunError(f"onnxruntime: expected an answer, got a worker that {self._ended()}") from None
        except TimeoutError:
            self.close()
            raise RunError(f"onnxruntime: expected an answer within {self.limit:g} s, got none") from None
        except (ValueError, KeyError, TypeError) as error:
            self.close()
            raise RunError(
                f"onnxruntime: expected an answer, got a worker that wrote something else: {error}"
            ) from None
        if "error" in answer.fields:
            raise self._error(answer.fields["error"], answer.fields["message"])
        return answer

    def _error(self, name: str, message: str) -> errors.WuaError:
        """Return the error that the worker raised."""
        if self.memory and name != "DeviceMemoryError" and (name == "MemoryError" or is_failure(message)):
            most = text(self.memory)
            return RunError(f"onnxruntime: expected at most {most} of memory to be needed, got more: {message}")
        kind = getattr(errors, name, RunError)
        known = isinstance(kind, type) and issubclass(kind, errors.WuaError)
        return (kind if known and kind is not errors.MissingDependency else RunError)(message)

    def _ended(self) -> str:
        """Return how the worker ended."""
        code = self._process.returncode
        if code >= 0:
            return f"ended with exit code {code}"
        name = signal.Signals(-code).name
        limited = f" (it may take {text(self.memory)} of memory)" if self.memory and name == "SIGABRT" else ""
        return f"was killed by {name}{limited}"

    def _wait(self) -> None:
        """Wait for a worker that has closed its side; end it where it does not go."""
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def close(self) -> None:
        """End the worker."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                try:
                    stream.close()
                except OSError:  # what was still to be written has no reader
                    continue

    def __del__(self) -> None:
        if hasattr(self, "_process"):
            self.close()


class _Timed:
    """Reads from a process until a deadline."""

    def __init__(self, process: subprocess.Popen[bytes], deadline: float) -> None:
        assert process.stdout is not None
        self._stream, self._deadline = process.stdout, deadline

    def read(self, size: int, /) -> bytes:
        left = self._deadline - time.monotonic()
        ready, _, _ = select.select([self._stream], [], [], max(left, 0.0))
        if not ready:
            raise TimeoutError
        return os.read(self._stream.fileno(), size)


class IsolatedSession:
    """A `Session` in a worker process; see there.

    Args:
        model, folder, device: as for `Session`.
        child: a worker to use, which gives up the model it had; a new one by default.
    """

    def __init__(self, model: bytes, folder: Path | None, *, device: str = "cpu", child: Child | None = None) -> None:
        self._child = child if child is not None else Child()
        fields = {"do": "load", "folder": str(folder) if folder is not None else None, "device": device}
        answer = self._child.ask(Message(fields, binary=model))
        self.outputs: tuple[str, ...] = tuple(answer.fields["outputs"])

    def run(self, feeds: Mapping[str, Array], outputs: Sequence[str] | None = None) -> dict[str, Array]:
        """Run once and return arrays by output name; see `Session.run`."""
        wanted = list(outputs if outputs is not None else self.outputs)
        return dict(self._child.ask(Message({"do": "run", "outputs": wanted}, feeds)).arrays)


def isolated_verdict(model: bytes) -> str | None:
    """Return what onnx's checker objects to, asked in a worker process; a crash of it is its verdict."""
    child = Child(limit=60.0)
    try:
        verdict: str | None = child.ask(Message({"do": "check"}, binary=model)).fields["verdict"]
    except RunError as error:
        return f"the checker itself failed: {error}"
    finally:
        child.close()
    return verdict
