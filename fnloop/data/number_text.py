"""Numbers as people write them: thousands separators, currencies, percent signs, decimal commas, brackets for negatives."""

import re
from collections.abc import Sequence

import numpy as np

from fnloop.core.arrays import Array

BLANKS = frozenset({"-", "--", "---", ".", "..", "*", "None", "none", "missing", "Missing", "unknown", "Unknown", "nil", "na"})
_CURRENCY = "$€£¥₹"
_NUMBER = {
    mark: re.compile(
        rf"(?P<open>\()?(?P<sign>[-+]?)(?:[{_CURRENCY}] ?(?P<sign2>[-+]?))?"
        rf"(?P<whole>[1-9]\d{{0,2}}(?:[{thousands}]\d{{3}})+|\d+|(?=[{mark}]\d))(?P<fraction>[{mark}]\d*)?"
        rf"(?P<exponent>[eE][-+]?\d+)? ?[%{_CURRENCY}]?(?P<close>\))?"
    )
    for mark, thousands in ((".", ",' \u00a0\u202f"), (",", ".' \u00a0\u202f"))
}


def parse_number(text: str, decimal: str = ".") -> float | None:
    """Return the number that a text is, or None if it is none.

    A percent sign, a currency sign and thousands separators are ignored; brackets are a minus sign, as in accounts.

    Args:
        text: The text.
        decimal: The decimal mark, `"."` or `","`.

    Examples:
        >>> parse_number("$1,234.50"), parse_number("5%"), parse_number("(12)"), parse_number("1.234,5", decimal=",")
        (1234.5, 5.0, -12.0, 1234.5)
        >>> parse_number("1,23") is parse_number("12 kg") is None
        True
    """
    match = _NUMBER[decimal].fullmatch(text.strip().replace("\u2212", "-"))
    if match is None or bool(match["open"]) != bool(match["close"]):
        return None
    whole = re.sub(r"\D", "", match["whole"])
    fraction = (match["fraction"] or "")[1:]
    value = float(f"{whole or 0}.{fraction or 0}{match['exponent'] or ''}")
    return -value if "-" in (match["sign"], match["sign2"]) or match["open"] else value


def parse_numbers(texts: Sequence[str], decimal: str = ".") -> Array:
    """Return the numbers that texts are; NaN for a text that is none.

    Args:
        texts: The texts, (N,).
        decimal: The decimal mark, `"."` or `","`.

    Examples:
        >>> parse_numbers(["1", "1,234", "red"])
        array([1.000e+00, 1.234e+03,       nan])
    """
    values = np.empty(len(texts))
    for i, text in enumerate(texts):
        value = parse_number(text, decimal)
        values[i] = np.nan if value is None else value
    return values
