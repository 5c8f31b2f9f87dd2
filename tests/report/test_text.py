import pytest
from hypothesis import given
from hypothesis import strategies as st

from wua_onnx._text import shortened, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("conv1.weight", "conv1.weight"),
        ("a b", "a b"),
        ("nul\x00", "nul\\u0000"),
        ("line\nbreak", "line\\u000abreak"),
        ("\x1b[31m", "\\u001b[31m"),
        ("right\u202eleft", "right\\u202eleft"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("lone\ud800", "lone\\ud800"),
        ("tag\U000e0041", "tag\\U000e0041"),
        ("größe 大小", "größe 大小"),
    ],
)
def test_visible(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_long_texts_keep_both_ends() -> None:
    assert visible("a" * 5_000 + "z", 9) == "aaaaaa…aaz (5,001 characters)"
    assert shortened("a" * 5_000 + "z", 9) == "aaaaaa…aaz"
    assert visible("a" * 9, 9) == "a" * 9


@given(st.text(st.characters(codec=None)))
def test_what_is_visible_is_printable_valid_and_bounded(text: str) -> None:
    shown = visible(text, 40)
    assert shown.isprintable()
    assert shown.encode("utf-8").decode("utf-8") == shown
    assert len(shown) <= 40 * len("\\U000e0041") + 30
