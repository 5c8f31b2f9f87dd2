"""The check of whole models works, and finds what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from wua_onnx.recording import Recorder

from . import fidelity

DIGITS = Path(__file__).parents[2] / "examples" / "digits.onnx"


def test_the_shipped_model_is_as_it_should_be(capsys: pytest.CaptureFixture[str]) -> None:
    assert fidelity.main([str(DIGITS)]) == 0
    assert " ok " in capsys.readouterr().out


def test_wrong_means_are_found(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    update = Recorder.update
    monkeypatch.setattr(Recorder, "update", lambda self, batch: update(self, {k: v * 2 for k, v in batch.items()}))
    assert fidelity.main([str(DIGITS)]) == 1
    assert "NOT OK" in capsys.readouterr().out
