import pytest
from hypothesis import given
from hypothesis import strategies as st

from driver.spc.goscalar import resolve

# Each pair was seen with sigs.k8s.io/yaml 1.6.0
SEEN = [
    ("0600", "384"),
    ("0644", "420"),
    ("0o17", "15"),
    ("007", "7"),
    ("0123", "83"),
    ("0123456789", "1.2345679e+08"),
    ("08", "8"),
    ("0b11", "3"),
    ("-0b11", "-3"),
    ("0x1F", "31"),
    ("0X1F", "31"),
    ("1_000", "1000"),
    ("+1", "1"),
    ("-0", "0"),
    ("18446744073709551615", "18446744073709551615"),
    ("18446744073709551616", "1.8446744e+19"),
    ("-9223372036854775809", "-9.223372e+18"),
    ("12345678901234567890123", "1.2345679e+22"),
    ("true", "true"),
    ("True", "true"),
    ("yes", "true"),
    ("on", "true"),
    ("y", "true"),
    ("no", "false"),
    ("off", "false"),
    ("n", "false"),
    ("fOO", "fOO"),
    ("null", None),
    ("~", None),
    ("Null", None),
    ("", None),
    ("1:30", "1:30"),
    ("190:20:30", "190:20:30"),
    ("2024-01-01", "2024-01-01"),
    ("2001-12-14t21:59:43.10-05:00", "2001-12-14t21:59:43.10-05:00"),
    ("1e3", "1000"),
    ("1e6", "1e+06"),
    ("1e21", "1e+21"),
    ("1e39", "+Inf"),
    ("-1e39", "-Inf"),
    ("1e400", "1e400"),
    ("1.10", "1.1"),
    ("1.0", "1"),
    ("-0.0", "-0"),
    ("0.0001", "0.0001"),
    ("0.00001234", "1.234e-05"),
    ("123456789.0", "1.2345679e+08"),
    ("685_230.15", "685230.1"),
    (".5", "0.5"),
    (".5_7", "0.57"),
    ("._5", "._5"),
    (".inf", "+Inf"),
    ("-.inf", "-Inf"),
    (".nan", "NaN"),
    ("...x", "...x"),
    ("+", "+"),
    ("plain", "plain"),
]


@pytest.mark.parametrize(("raw", "text"), SEEN)
def test_a_plain_scalar_becomes_the_text_that_go_makes_of_it(raw: str, text: str | None) -> None:
    assert resolve(raw) == text


@given(st.text(alphabet="0123456789+-._eExXobBOinfa", max_size=12))
def test_a_scalar_always_has_a_text_or_is_null(raw: str) -> None:
    text = resolve(raw)
    assert text is None or text


def test_a_long_row_of_digits_stays_text_in_little_time() -> None:
    assert resolve("9" * 200_000) == "9" * 200_000
