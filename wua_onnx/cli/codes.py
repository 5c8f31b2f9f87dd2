"""The exit codes of every command; the docstring of `wua_onnx.cli` says what they mean."""

FINE, BROKEN, USAGE, BAD_INPUT, FAILED = range(5)
