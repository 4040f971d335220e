"""The schema of a table: what its columns are, which is the target, and whether that is a class or a quantity."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.checks import choice, optional
from fnloop.core.formatting import cut_end, listed, short
from fnloop.core.records import evolve
from fnloop.core.signatures import did_you_mean
from fnloop.data.cells import LARGEST, LARGEST_EXACT, is_category, is_date, is_numeric, number_cells, text_cells
from fnloop.data.column_kinds import ALMOST_ALL, Place, guess_column, has_long_integers
from fnloop.data.date_text import find_date_formats
from fnloop.data.number_text import BLANKS, parse_number
from fnloop.data.schema import FEATURES, KINDS, Column, Schema
from fnloop.data.table_format import TableFormat

Task = Literal["classification", "regression"]
MOST_CLASSES = 20  # a target of integers with more distinct values is a quantity
_INFINITE = re.compile(r"[-+]?inf(inity)?", re.I)
_task = optional(choice("classification", "regression"))


def row_number(row: int) -> str:
    """Return where a row of a frame is, for messages.

    Args:
        row: The position of the row.

    Examples:
        >>> row_number(0)
        'row 0'
    """
    return f"row {row}"


def infer_schema(
    frame: Any,
    target: str | None = None,
    *,
    task: Task | None = None,
    kinds: Mapping[str, str] | None = None,
    place: Place | None = None,
    notes: Sequence[str] = (),
    table_format: TableFormat | None = None,
) -> Schema:
    """Return what the columns of a table are.

    A text target is a class, and so are integers with at most 20 distinct values, each of which occurs at least twice on
    average. Any other number is a quantity.

    Args:
        frame: A pandas frame.
        target: Name of the target; None for the last column that can be one.
        task: `"classification"` or `"regression"`; by default inferred from the target.
        kinds: What the user states about columns: a kind, such as `{"zip": "category", "name": "dropped"}`.
        place: Returns where a row is, for messages; None for its position.
        notes: What else the user should know about the table.
        table_format: How the file was written, which the schema keeps.

    Raises:
        ValueError: If a name is not that of a column, a kind is unknown, or the target cannot be one.
    """
    place, table_format = place or row_number, table_format or TableFormat()
    decimal = table_format.usual_decimal or "."
    names, kinds = [str(name) for name in frame.columns], check_kinds(kinds)
    for name, kind in kinds.items():
        if name not in names:
            raise ValueError(
                f"kinds must name one of the columns {listed(names)}, got {short(name)}{did_you_mean(name, names)}"
            )
        choice(*KINDS)(f"kinds[{name!r}]", kind)
    if target is not None and target not in names:
        raise ValueError(
            f"target must be one of the columns {listed(names)}, got {short(target)}{did_you_mean(target, names)}"
        )
    if len(names) < 2:
        raise ValueError(f"the data must have columns other than the target {short(names[0])}, got none")
    columns = {name: guess_column(frame[name], name, place, kinds.get(name), decimal) for name in names if name != target}
    default_note: tuple[str, ...] = ()
    if target is None:
        target = _default_target(frame, columns, kinds)
        if target != names[-1]:
            why = _why_not(columns[names[-1]])
            default_note = (f"the target is {short(target)}, as the last column, {short(names[-1])}, is {why}",)
        columns.pop(target)
    if not any(column.is_feature for column in columns.values()):
        columns = {name: _kept(frame[name], column, kinds, place, decimal) for name, column in columns.items()}
    if not any(column.is_feature for column in columns.values()):
        raise ValueError(
            f"the data must have columns other than the target {short(target)} to learn from, got none: {_described(columns)}"
            f"{''.join(f'; {note}' for note in default_note)}"
        )
    column, classes = target_column(frame[target], target, _task("task", task), place, decimal, kinds.get(target))
    return Schema(
        columns=tuple(columns.values()),
        target=column,
        classes=classes,
        names=tuple(names),
        format=table_format,
        notes=(*notes, *default_note),
    )


def check_kinds(kinds: Any) -> dict[str, str]:
    """Return the kinds of columns that the user states as a dictionary.

    Args:
        kinds: A mapping of names to kinds; None for none.

    Raises:
        TypeError: If it is not a mapping.
    """
    if not isinstance(kinds, Mapping | None):
        raise TypeError(f"kinds must be a mapping of columns to kinds, such as {{'zip': 'category'}}, got {short(kinds)}")
    return dict(kinds or {})


def _described(columns: Mapping[str, Column]) -> str:
    return cut_end("; ".join(str(evolve(column, notes=())) for column in list(columns.values())[:10]), 300)


def _kept(series: Any, column: Column, kinds: Mapping[str, str], place: Place, decimal: str) -> Column:
    """A column of ids or row numbers as a feature, where there is no other."""
    if column.kind not in ("id", "row number") or column.name in kinds:
        return column
    kind = "number" if is_numeric(series) and not has_long_integers(series) else "text"
    kept = guess_column(series, column.name, place, kind, decimal)
    return evolve(kept, notes=(f"{column.kind}, used as there is no other column",))


def _default_target(frame: Any, columns: Mapping[str, Column], kinds: Mapping[str, str]) -> str:
    for name in reversed(list(columns)):
        if _can_be_target(columns[name], len(frame)):
            return name
    raise ValueError(f"target must be stated: no column can be one by default: {_described(columns)}")


def _can_be_target(column: Column, rows: int) -> bool:
    present = rows - column.missing
    return (column.kind == "number" and column.distinct > 1) or (
        column.kind == "category" and 2 <= column.distinct <= max(2, present // 3)
    )


def _why_not(column: Column) -> str:
    kinds = {kind: f"a {kind}" for kind in ("row number", "date")} | {
        kind: f"the {kind}" for kind in ("group", "time", "split")
    }
    return {**kinds, "id": "an id", "category": "text"}.get(column.kind, column.kind)


def target_column(
    series: Any, name: str, task: Task | None, place: Place, decimal: str = ".", kind: str | None = None
) -> tuple[Column, tuple[Any, ...]]:
    """Return what a target is, and its classes; () for a quantity.

    Args:
        series: The pandas series.
        name: Its name.
        task: `"classification"`, `"regression"`, or None to infer it.
        place: Where a row is, for messages.
        decimal: The decimal mark of numbers in text.
        kind: The kind of column that the user states: `"category"` or `"number"`.

    Raises:
        ValueError: If all cells are missing, there is one class only, every row has another text, or the target of a
            regression is text.
    """
    if kind is not None and kind not in FEATURES[:2]:
        raise ValueError(f"kinds must have a category or a number for the target {short(name)}, got {short(kind)}")
    stated = kind or ("category" if is_category(series) else "")
    task = task or {"category": "classification", "number": "regression"}.get(stated)  # type: ignore[assignment]
    mark = _mark(series, decimal)
    values, odd = number_cells(series, mark)
    texts, codes = text_cells(series)
    odd &= ~np.append([text in BLANKS for text in texts], [False]).astype(bool)[codes]
    present = codes >= 0
    if not present.any():
        raise ValueError(f"target {short(name)} must have values, but all {len(series)} cells are missing")
    numbers = values[~np.isnan(values)]
    notes: tuple[str, ...] = ()
    if task is None:
        task, notes = _infer_task(numbers, len(texts), int(odd.sum()), int(present.sum()))
    if task == "regression":
        return _quantity(series, name, values, odd, place, mark, notes), ()
    if stated != "category":
        notes = (*notes, *_spelling_notes(texts, codes, name, place, mark))
    counts = np.bincount(codes[present], minlength=len(texts))
    if len(texts) < 2:
        raise ValueError(
            f"target {short(name)} must have at least 2 classes, got only {short(str(texts[0]))}; state another target"
        )
    if len(texts) > 0.5 * present.sum() and len(texts) > 2:
        raise ValueError(
            f"target {short(name)} must be a class or a quantity, got {len(texts):,} different {_what(series, texts)} in "
            f"{present.sum():,} rows; state another target"
        )
    rare = [texts[i] for i in np.flatnonzero(counts < 5)]
    if len(rare) == len(texts):
        notes = (*notes, "no class has 5 rows, so the split is not by class; split= states the parts")
    elif rare:
        rare_note = f"classes of fewer than 5 rows are in the training part alone: {listed(rare, 60)}; split= states the parts"
        notes = (*notes, rare_note)
    column = Column(name, "category", int((~present).sum()), len(texts), mark, notes=notes)
    return column, classes_of(series, texts)


def _spelling_notes(texts: Array, codes: Array, name: str, place: Place, mark: str) -> tuple[str, ...]:
    """A note about classes that are one number, written differently; an infinite number among numbers is no class."""
    values = [float(text) if _INFINITE.fullmatch(text) else parse_number(text, mark) for text in texts]
    numbers = [value for value in values if value is not None]
    if len(numbers) < len(values):
        return ()
    first: dict[float, str] = {}  # by the exact value: long integers may be equal as floats
    for i, (text, number) in enumerate(zip(texts, numbers, strict=True)):
        if not np.isfinite(number):
            raise ValueError(
                f"target {short(name)} must have finite numbers, got {short(text)} in {place(int((codes == i).argmax()))}; "
                f"missing=[{short(text)}] leaves its rows out, kinds={{{short(name)}: 'category'}} takes it for a class"
            )
        exact = int(text) if re.fullmatch(r"[-+]?\d+", text) else number
        if first.setdefault(exact, text) != text:
            return (f"{short(first[exact])} and {short(text)} are one number, and different classes",)
    return ()


def _what(series: Any, texts: Array) -> str:
    """The plural noun for the cells of a target that is no class and no quantity."""
    if all(re.fullmatch(r"-?\d+", text) for text in texts):
        return "integers beyond 2^53 (task='regression' rounds them)"
    if is_numeric(series):
        return f"numbers of which many are infinite or above {LARGEST:g}"
    return "dates" if is_date(series) or find_date_formats(list(texts)) else "texts"


def _mark(series: Any, decimal: str) -> str:
    return guess_column(series, "target", row_number, None, decimal).decimal if series.dtype.kind not in "biufmM" else decimal


def _infer_task(numbers: Array, distinct_texts: int, odd: int, present: int) -> tuple[Task, tuple[str, ...]]:
    if odd > (1 - ALMOST_ALL) * present or not len(numbers) or (odd and distinct_texts <= MOST_CLASSES):
        return "classification", ()
    distinct = np.unique(numbers)
    if (distinct == np.floor(distinct)).all():
        if len(distinct) <= min(MOST_CLASSES, len(numbers) // 2):
            note = () if len(distinct) <= 2 else (f"{len(distinct)} integers are classes; task='regression' overrules",)
            return "classification", note
        return "regression", (f"{len(distinct):,} integers are a quantity; task='classification' overrules",)
    return "regression", ()


def _quantity(series: Any, name: str, values: Array, odd: Array, place: Place, mark: str, notes: tuple[str, ...]) -> Column:
    present = ~np.isnan(values)
    numbers = values[present]
    row = int(odd.argmax())
    if odd.sum() > (1 - ALMOST_ALL) * (len(numbers) + odd.sum()):
        raise ValueError(
            f"target {short(name)} must be numbers for regression, got {short(str(series.iloc[row]), 40)} in {place(row)}"
        )
    if numbers.min() == numbers.max():
        raise ValueError(f"target {short(name)} must have different values, but all are {numbers[0]:g}; state another target")
    if series.dtype.kind in "iu" and np.abs(numbers).max() > LARGEST_EXACT:
        notes = (*notes, "integers beyond 2^53 are rounded")
    if odd.any():
        example = f"{short(str(series.iloc[row]), 40)} in {place(row)}"
        notes = (*notes, f"{example} is no number ({int(odd.sum()):,} in all)")
    return Column(name, "number", int((~present).sum()), len(np.unique(numbers)), mark, notes=notes)


def classes_of(series: Any, texts: Array) -> tuple[Any, ...]:
    """Return the classes of a target in order: numbers and booleans of a frame as such, anything else as text.

    Args:
        series: The pandas series.
        texts: Its distinct texts.
    """
    if is_category(series):
        import pandas

        return classes_of(pandas.Series(series.cat.categories), texts)
    if series.dtype.kind == "b":
        return tuple(text == "True" for text in sorted(texts))
    if is_numeric(series) and not any(re.fullmatch(r"-?\d{16,}", text) for text in texts):
        return tuple(sorted(int(text) if re.fullmatch(r"-?\d+", text) else float(text) for text in texts))
    try:
        return tuple(sorted(texts.tolist(), key=lambda text: (float(text), text)))
    except ValueError:
        return tuple(sorted(texts.tolist()))
