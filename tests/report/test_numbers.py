import pytest
from hypothesis import given
from hypothesis import strategies as st

from wua_onnx.report import numbers as n

BIG = "9007199254740993"


@pytest.mark.parametrize(
    ("value", "count", "short", "size"),
    [
        (0, "0", "0", "0 B"),
        (7, "7", "7", "7 B"),
        (999, "999", "999", "999 B"),
        (1_000, "1,000", "1.00 k", "1000 B"),
        (1_023, "1,023", "1.02 k", "1023 B"),
        (1_024, "1,024", "1.02 k", "1.00 KiB"),
        (999_499, "999,499", "999 k", "976 KiB"),
        (999_999, "999,999", "1.00 M", "977 KiB"),
        (25_557_032, "25,557,032", "25.6 M", "24.4 MiB"),
        (102_551_000, "102,551,000", "103 M", "97.8 MiB"),
        (4_089_184_256, "4,089,184,256", "4.09 G", "3.81 GiB"),
        (-1_530, "-1,530", "-1.53 k", "-1.49 KiB"),
        (BIG, "9,007,199,254,740,993", "9.01 P", "8.00 PiB"),
        ("1" + 30 * "0", "1," + ",".join(9 * ["000"]) + ",000", "1.00e+30", "1.00e+30 B"),
        (1.5, "2", "1.50", "1.50 B"),
        (6303.4, "6,303", "6.30 k", "6.16 KiB"),
        (None, "not known", "not known", "not known"),
        (float("nan"), "not known", "not known", "not known"),
        (float("inf"), "not known", "not known", "not known"),
        ("seven", "not known", "not known", "not known"),
        ("1" * 5_000, "not known", "not known", "not known"),
    ],
)
def test_written(value: n.Number, count: str, short: str, size: str) -> None:
    assert (n.count(value), n.short(value), n.size(value)) == (count, short, size)


@pytest.mark.parametrize(
    ("text", "count", "short", "size"),
    [
        ("2*batch*seq", "2·batch·seq", "2 MACs · batch·seq", "2 B · batch·seq"),
        ("4089184256*batch", "4,089,184,256·batch", "4.09 GMACs · batch", "3.81 GiB · batch"),
        ("5*seq**12", "5·seq¹²", "5 MACs · seq¹²", "5 B · seq¹²"),
        (
            "1769472*seq**2 + 55*s72000",
            "1,769,472·seq² + 55·s72000",
            "(1.77 M·seq² + 55·s72000) MACs",
            "(1.77 M·seq² + 55·s72000) bytes",
        ),
        ("max(7, 5*n)", "max(7, 5·n)", "max(7, 5·n) MACs", "max(7, 5·n) bytes"),
        ("<b>", "<b>", "<b> MACs", "<b> bytes"),
        ("a\u202eb", "a\\u202eb", "a\\u202eb MACs", "a\\u202eb bytes"),
    ],
)
def test_symbolic_numbers_show_their_text(text: str, count: str, short: str, size: str) -> None:
    value = {"text": text}
    assert (n.count(value), n.short(value, "MACs"), n.size(value)) == (count, short, size)


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.0, "0 %"), (0, "0 %"), (1, "100 %"), (0.2938, "29.4 %"), (0.0004, "< 0.1 %"), (0.9996, "> 99.9 %"),
        (0.0005, "0.1 %"), (None, "not known"), ({"text": "1/n"}, "1/n"), ("1" * 400, "not known"),
    ],
)  # fmt: skip
def test_percent(share: n.Number, text: str) -> None:
    assert n.percent(share) == text


@pytest.mark.parametrize(
    ("part", "whole", "ratio"),
    [
        (3, 12, 0.25),
        ("9007199254740993", "9007199254740993", 1.0),
        (1, 0, None),
        (None, 3, None),
        (3, {"text": "n"}, None),
    ],
)
def test_ratio(part: n.Number, whole: n.Number, ratio: float | None) -> None:
    assert n.ratio(part, whole) == ratio


@pytest.mark.parametrize(
    ("value", "text"), [(0.12, "120 ms"), (0.9994, "999 ms"), (73.26, "73.3 s"), (None, "not known")]
)
def test_seconds(value: n.Number, text: str) -> None:
    assert n.seconds(value) == text


PREFIXES = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15, "E": 10**18}


@given(st.integers(min_value=1, max_value=999 * 10**18))
def test_short_reads_back_within_half_of_the_third_digit(value: int) -> None:
    figure, _, prefix = n.short(value).partition(" ")
    assert abs(float(figure) * PREFIXES[prefix] - value) <= 0.0051 * value
    assert len(figure.replace(".", "")) <= 3


@given(st.one_of(st.none(), st.integers(), st.floats(), st.text(), st.builds(lambda t: {"text": t}, st.text())))
def test_every_number_can_be_written_and_only_zero_reads_as_zero(value: n.Number) -> None:
    for text in (n.count(value), n.short(value, "MACs"), n.size(value), n.percent(value), n.decimal(value)):
        assert text
    if n.number(value) is None and not isinstance(value, dict):
        assert n.short(value) == n.count(value) == n.percent(value) == "not known"
