"""Numbers and dates are recognized however people write them, and text never is."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fnloop.data.date_text import find_date_formats, parse_dates
from fnloop.data.number_text import parse_number, parse_numbers

STYLES = {
    "plain": lambda n: repr(n),
    "thousands": lambda n: f"{n:,}",
    "dollars": lambda n: f"-${-n:,}" if n < 0 else f"${n:,}",
    "percent": lambda n: f"{n}%",
    "euro after": lambda n: f"{n} €",
    "brackets": lambda n: f"({-n})" if n < 0 else f"{n}",
    "minus sign": lambda n: f"{n}".replace("-", "\u2212"),
    "spaces": lambda n: f" {n} ",
}


@given(st.integers(-(10**12), 10**12), st.integers(0, 4), st.sampled_from(list(STYLES)))
def test_a_number_is_read_back_from_every_style(units, digits, style):
    """To the bit, for numbers with up to 4 decimals."""
    number = units / 10**digits
    if "e" in repr(number):
        return
    assert parse_number(STYLES[style](number)) == number


@given(st.integers(-(10**9), 10**9), st.integers(1, 3))
def test_decimal_commas_are_decimal_points_read_in_the_other_style(units, digits):
    """With points for thousands."""
    number = units / 10**digits
    text = f"{number:,.{digits}f}".translate(str.maketrans(",.", ".,"))
    assert parse_number(text, ",") == pytest.approx(number, rel=1e-15)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_what_python_prints_is_read_to_the_bit(number):
    """Exponents too."""
    assert parse_numbers([repr(number)]).tobytes() == np.array([number]).tobytes() or number == 0.0


NO_NUMBERS = ["", "red", "12 kg", "1,23", "1,2345", "1.2.3", "--5", "(5", "5)", "1e", "0x10", "nan", "inf", "1_000", "0,134"]


@pytest.mark.parametrize("text", NO_NUMBERS)
def test_text_is_no_number(text):
    """Thousands separators must separate three digits; brackets come in pairs."""
    assert parse_number(text) is None


@pytest.mark.parametrize(
    ("texts", "date_format"),
    [
        (["2024-01-31", "2024-02-01"], "ISO8601"),
        (["2024-01-31T10:00:00Z", "2024-02-01T11:30:00Z"], "ISO8601"),
        (["01/31/2024", "02/01/2024"], "%m/%d/%Y"),
        (["31/01/2024", "01/02/2024"], "%d/%m/%Y"),
        (["31.01.2024", "1.2.2024"], "%d.%m.%Y"),
        (["Jan 31 2024", "Feb 1 2024"], "%b %d %Y"),
        (["31-Jan-24", "1-Feb-24"], "%d-%b-%y"),
        (["31/01/2024 10:05", "01/02/2024 23:59"], "%d/%m/%Y %H:%M"),
    ],
)
def test_the_format_of_dates_is_found(texts, date_format):
    """The order of day and month follows from a day above 12."""
    assert find_date_formats(texts) == (date_format,)
    days = np.floor(parse_dates(texts, date_format) / 86400).tolist()
    assert days == [19753, 19754]


@pytest.mark.parametrize("texts", [["red", "blue"], ["2024", "2025"], ["1.5", "2.5"], ["99/99/9999"], []])
def test_other_texts_are_no_dates(texts):
    """Years and numbers stay numbers."""
    assert find_date_formats(texts) == ()
