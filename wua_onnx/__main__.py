"""`python -m wua_onnx` is the command `wua-onnx`."""

from wua_onnx.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
