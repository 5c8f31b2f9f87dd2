"""Strings that come from a model, made safe to show: one line, every character visible, of bounded length.

And how a share is written within a sentence.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

MAX_SHOWN = 160  # characters of a string that are shown
MAX_NAME = 200  # characters of a name that are kept for display


def visible(text: object, limit: int = MAX_SHOWN) -> str:
    r"""Return `text` as one line in which control, bidirectional and invisible characters are written out.

    They become escapes such as `\u202e`, so that no output can be reordered or interrupted by a name.
    Longer texts lose their middle: both ends of a name tell more than its start alone.
    """
    whole = str(text)
    return shortened(whole, limit) + (f" ({len(whole):,} characters)" if len(whole) > limit else "")


def shortened(text: object, limit: int) -> str:
    """Return `text` as `visible` does, without saying how long it was: for labels of a few characters."""
    whole = str(text)
    if len(whole) <= limit:
        return _escaped(whole)
    tail = limit // 3
    return f"{_escaped(whole[: limit - tail])}…{_escaped(whole[-tail:])}"


def innermost(path: str, fits: Callable[[str], bool]) -> str:
    """Return the longest end of a path of modules that fits, behind `…`; empty where not even the last part does."""
    ends = (f"…{path[place + 1 :]}" for place, sign in enumerate(path) if sign in "./")
    return next((end for end in ends if len(end) > 1 and fits(end)), "")


def clean(text: str | bytes | None) -> str:
    """Return `text` as one line of valid, visible characters, at most `MAX_NAME` long.

    Protobuf hands over strings that are no valid UTF-8 as bytes.
    """
    if isinstance(text, str) and len(text) <= MAX_NAME and text.isascii() and text.isprintable():
        return text  # as nearly all are
    encoded = text if isinstance(text, bytes) else (text or "").encode("utf-8", "replace")
    return visible(encoded.decode("utf-8", "replace"), MAX_NAME)


def share_text(share: float, digits: int = 0) -> str:
    """Return a share of 1 within a sentence: `53 %`, set with a space as in every other figure."""
    return f"{100 * share:.{digits}f} %"


def _escaped(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c == " " or unicodedata.category(c)[0] not in "CZ" else _code(c) for c in text)


def _code(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
