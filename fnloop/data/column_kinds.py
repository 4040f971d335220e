"""Guess what a column is from its cells; every guess that could be wrong has a note with the argument that overrules it.

Notes name arguments as they are written in Python, such as `kinds={'zip': 'category'}`; commands print their options instead.
"""

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.formatting import short
from fnloop.core.records import evolve
from fnloop.data.cells import LARGEST_EXACT, date_cells, is_category, is_date, is_numeric, number_cells, text_cells
from fnloop.data.date_text import find_date_formats
from fnloop.data.number_text import BLANKS, parse_numbers
from fnloop.data.schema import LEFT_OUT, Column

MANY = 0.3  # of the cells are numbers: then a column of text has a note
ALMOST_ALL = 0.9  # of the cells are numbers: then the column is one of numbers
MOST_CATEGORIES = 100  # a text column with more distinct values is encoded by its n-grams
_ID_NAME = re.compile(
    r"(^|[\W_])(id|uuid|guid|key|rownames?)$|^index$|^(id|uuid)[\W_]|(?-i:[a-z](Id|ID)$)|^unnamed|^column 1$", re.I
)
_ROW_NAME = re.compile(rf"{_ID_NAME.pattern}|^(n|no|nr|num|row|rows|obs|observation|case|sample|#|x0)\.?$", re.I)
_GROUP_NAME = re.compile(
    r"(subject|patient|speaker|person|user|customer|client|group|family|household|session|site|batch)", re.I
)

Place = Callable[[int], str]


def guess_column(series: Any, name: str, place: Place, kind: str | None = None, decimal: str = ".") -> Column:
    """Return what a column is.

    Args:
        series: The pandas series.
        name: Its name.
        place: Where a row is, for messages.
        kind: The kind that the user states; None to guess it.
        decimal: The decimal mark of numbers in text.

    Raises:
        ValueError: If the kind is `"date"` or `"number"`, and no cell is one.
    """
    if kind in LEFT_OUT and kind != "time":
        return Column(name, kind)
    if kind == "number" or (kind is None and is_numeric(series)):
        return _number(series, name, place, kind, decimal)
    if is_date(series) and kind in (None, "date", "time"):
        seconds = date_cells(series, "")[0]
        distinct, notes = len(np.unique(seconds[~np.isnan(seconds)])), () if kind == "time" else (_time_note(name),)
        return _unless_constant(Column(name, kind or "date", int(np.isnan(seconds).sum()), distinct, notes=notes), kind)
    texts, codes = text_cells(series)
    if kind is None and is_category(series):
        return _unless_constant(Column(name, "category", int((codes < 0).sum()), len(texts)), kind)
    if kind == "time" and is_numeric(series):
        return Column(name, "time", date_format="number")
    if kind in ("date", "time"):
        return _date(texts, codes, name, kind)
    if kind is not None:
        return Column(name, kind, int((codes < 0).sum()), len(texts))
    return _guess_text(series, texts, codes, name, place, decimal)


def _unless_constant(column: Column, kind: str | None) -> Column:
    if column.distinct > 1 or kind is not None:
        return column
    return Column(column.name, "constant", column.missing, column.distinct, notes=column.notes)


def _number(series: Any, name: str, place: Place, kind: str | None, decimal: str) -> Column:
    if kind is None and has_long_integers(series):
        return _long_integers(series, name)
    values, odd = number_cells(series, decimal)
    numbers = values[~np.isnan(values)]
    if kind == "number" and odd.any() and not len(numbers):
        row = int(odd.argmax())
        raise ValueError(f"column {short(name)} must have numbers, got {short(str(series.iloc[row]), 40)} in {place(row)}")
    distinct, missing = len(np.unique(numbers)), int(np.isnan(values).sum())
    notes = _odd_notes(series, odd, name, place)
    if kind is None and distinct > 1:
        if len(numbers) >= 10 and distinct == len(numbers) == len(series) and _whole(numbers):
            left_out = _number_id(numbers, name)
            if left_out:
                return Column(name, left_out, missing, distinct, notes=(f"{_kind(name, 'number')} overrules",))
            if (np.diff(numbers) == 1).all():
                notes = (*notes, f"counts the rows; {_kind(name, 'dropped')} leaves it out")
        notes = (*notes, *_group_note(numbers, name, distinct))
    return _unless_constant(Column(name, "number", missing, distinct, decimal, notes=notes), kind)


def has_long_integers(series: Any) -> bool:
    """Return whether a column has integers that float64 cannot represent exactly.

    Args:
        series: A pandas series.
    """
    if series.dtype.kind not in "iu" or not len(series):
        return False
    return bool(series.max() > LARGEST_EXACT or series.min() < -LARGEST_EXACT)


def _long_integers(series: Any, name: str) -> Column:
    """Integers that float64 cannot represent exactly: codes, unless the user states that they are numbers."""
    distinct = int(series.nunique())
    kind = "constant" if distinct == 1 else "category" if distinct <= min(MOST_CATEGORIES, len(series) // 2) else "id"
    return Column(
        name, kind, int(series.isna().sum()), distinct, notes=(f"integers beyond 2^53; {_kind(name, 'number')} rounds them",)
    )


def _whole(numbers: Array) -> bool:
    return bool((numbers == np.floor(numbers)).all())


def _number_id(numbers: Array, name: str) -> str:
    """Why a column of different integers is not a feature; "" if it may be one."""
    if (np.diff(numbers) == 1).all() and _ROW_NAME.search(name):
        return "row number"
    return "id" if _ID_NAME.search(name) else ""


def _group_note(numbers: Array, name: str, distinct: int) -> tuple[str, ...]:
    named = _GROUP_NAME.search(name) or _ID_NAME.search(name)
    if named and _whole(numbers) and 2 < distinct <= len(numbers) / 2:
        return (f"looks like a group; group={name!r} keeps its rows in one part",)
    return ()


def _odd_notes(series: Any, odd: Array, name: str, place: Place) -> tuple[str, ...]:
    """A note about the cells of a column of numbers that are none, with the first that is not a usual mark for missing."""
    if not odd.any():
        return ()
    rows = np.flatnonzero(odd)
    row = int(next((i for i in rows[:1000] if str(series.iloc[i]).strip() not in BLANKS), rows[0]))
    what = "cell is no number and counts" if len(rows) == 1 else "cells are no numbers and count"
    first = f"{short(str(series.iloc[row]), 40)} in {place(row)}"
    return (f"{len(rows):,} {what} as missing ({first}); {_kind(name, 'category')} overrules",)


def _date(texts: Array, codes: Array, name: str, kind: str) -> Column:
    formats = find_date_formats(list(texts))
    if not formats:
        example = short(str(texts[0]), 40) if len(texts) else "no text"
        raise ValueError(f"{'time' if kind == 'time' else 'column'} {short(name)} must have dates, got {example}")
    notes = (f"read as {_shape(formats[0])}, which could be {_shape(formats[1])}",) if formats[1:] else ()
    if kind == "date":
        notes = (*notes, _time_note(name))
    return Column(name, kind, int((codes < 0).sum()), len(texts), date_format=formats[0], notes=notes)


def _time_note(name: str) -> str:
    return f"time={name!r} tests on the latest rows"


def _shape(date_format: str) -> str:
    return date_format.replace("%d", "day").replace("%m", "month").replace("%Y", "year").replace("%y", "year")


def _guess_text(series: Any, texts: Array, codes: Array, name: str, place: Place, decimal: str) -> Column:
    counts = np.bincount(codes[codes >= 0], minlength=len(texts))
    present, missing = int(counts.sum()), int((codes < 0).sum())
    if len(texts) < 2:
        return Column(name, "constant", missing, len(texts))
    numbers = _as_numbers(series, texts, counts, name, place, decimal)
    if numbers is not None:
        return numbers
    if find_date_formats(list(texts[:2000])) and find_date_formats(list(texts)):
        return _date(texts, codes, name, "date")
    words = np.mean([" " in text for text in texts[:1000]])
    near_unique = len(texts) >= 0.95 * present and present >= 10
    if near_unique and (words < 0.5 or _ID_NAME.search(name)):
        return Column(name, "id", missing, len(texts), notes=(f"{_kind(name, 'text')} overrules",))
    mixed = _mixed_note(texts, counts, name, decimal)
    if len(texts) > MOST_CATEGORIES or near_unique:
        note = "nearly every row has another text" if near_unique else "encoded by its n-grams"
        return Column(name, "text", missing, len(texts), notes=(*mixed, f"{note}; {_kind(name, 'dropped')} leaves it out"))
    notes = mixed
    if all(re.fullmatch(r"[-+]?\d+", text) for text in texts):
        why = f"integers beyond 2^53; {_kind(name, 'number')} rounds them"
        notes = (why if _has_long_integers(texts) else "codes with leading zeros stay text",)
    if _GROUP_NAME.search(name) and 2 < len(texts) <= present / 2:
        notes = (*notes, f"looks like a group; group={name!r} keeps its rows in one part")
    return Column(name, "category", missing, len(texts), notes=notes)


def _mixed_note(texts: Array, counts: Array, name: str, decimal: str) -> tuple[str, ...]:
    """A note about a column of text of which many cells, but not almost all, are numbers."""
    is_number = ~np.isnan(parse_numbers(list(texts), decimal))
    count = int(counts[is_number].sum())
    if is_number.all() or count < MANY * counts.sum():
        return ()
    example = short(str(texts[int((~is_number).argmax())]), 40)
    return (f"{count:,} cells are numbers, others text ({example}); {_kind(name, 'number')} overrules",)


def _as_numbers(series: Any, texts: Array, counts: Array, name: str, place: Place, decimal: str) -> Column | None:
    """The column as one of numbers, if almost all of its cells are numbers, and none is a code with leading zeros."""
    if any(re.match(r"0\d", text) for text in texts) or _has_long_integers(texts):
        return None
    is_blank = np.array([text in BLANKS for text in texts])
    if is_blank.all():
        return None
    choices = [decimal] if decimal == "," else [".", ","] if any(re.search(r"\d,\d", text) for text in texts) else ["."]
    found = {mark: ~np.isnan(parse_numbers(list(texts), mark)) for mark in choices}
    mark = max(choices, key=lambda mark: (counts[found[mark]].sum(), mark == decimal))
    if counts[found[mark]].sum() < ALMOST_ALL * counts[~is_blank].sum() or not found[mark].any():
        return None
    column = _number(series, name, place, None, mark)
    plain = re.compile(r"[-+]?\d*\.?\d*([eE][-+]?\d+)?")
    written = [text for text, is_number in zip(texts, found[mark], strict=True) if is_number and not plain.fullmatch(text)]
    note = (f"{short(written[0], 40)} is read as {parse_numbers(written[:1], mark)[0]:.15g}",) if written else ()
    return evolve(column, notes=(*column.notes, *note))


def _has_long_integers(texts: Array) -> bool:
    return any(re.fullmatch(r"[-+]?\d{16,}", text) and abs(int(text)) > LARGEST_EXACT for text in texts)


def _kind(name: str, kind: str) -> str:
    return f"kinds={{{name!r}: {kind!r}}}"
