"""The worker process: runs native code on models from strangers, so that a crash there ends it and not the caller.

Started as `python -m wua_onnx.running.worker [BYTES]`, with the memory it may take; requests come on stdin, answers go
to what stdout was at the start.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from wua_onnx.errors import WuaError
from wua_onnx.running import memory
from wua_onnx.running.checker import verdict
from wua_onnx.running.messages import Message, receive, send
from wua_onnx.running.session import Session


def main() -> None:
    """Answer requests until stdin ends."""
    if len(sys.argv) > 1:
        memory.apply(int(sys.argv[1]))
    requests = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever native code prints must not end up between the answers
    worker = _Worker()
    while True:
        try:
            request = receive(requests)
        except EOFError:
            return
        try:
            send(answers, worker.answer(request))
        except (WuaError, TypeError, MemoryError) as error:
            send(answers, Message({"error": type(error).__name__, "message": str(error)}))


class _Worker:
    session: Session | None = None

    def answer(self, request: Message) -> Message:
        fields = request.fields
        if fields["do"] == "check":
            return Message({"verdict": verdict(request.binary)})
        if fields["do"] in ("profile", "peak"):
            from wua_onnx.running import profiling

            return profiling.answer(request)
        if fields["do"] == "observe":
            from wua_onnx.running import executions

            return executions.answer(request)
        if fields["do"] == "load":
            folder = Path(fields["folder"]) if fields["folder"] else None
            self.session = Session(request.binary, folder, device=fields["device"])
            return Message({"outputs": list(self.session.outputs)})
        assert self.session is not None
        return Message(arrays=self.session.run(request.arrays, fields["outputs"]))


if __name__ == "__main__":
    main()
