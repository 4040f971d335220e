"""Array-likes as arrays: nested lists, masked and memory-mapped arrays, frames and series of any library."""

from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.formatting import short

NUMBERS = "biuf"  # kinds of dtypes
ENCODE = "leave it out, or make numbers of it, as pandas.get_dummies and polars' to_dummies do of categories"


def read_features(name: str, value: Any, wanted: tuple[str, ...] = ()) -> tuple[Array, tuple[str, ...]]:
    """The numbers of an array-like, and the names of its columns: () where they have none, or names that are not text.

    A memory-mapped array stays one: it is not read.

    Args:
        wanted: The columns to take of a frame that has them all; its others are not read.

    Raises: TypeError: for what is not of numbers; ValueError: for a missing value. The message names the column and the place.
    """
    frame = _as_frame(name, value)
    if frame is None:
        return _check_values(name, _to_array(name, value), text=False), ()
    if not hasattr(frame, "columns"):
        return _read_series(name, frame, text=False), ()
    if wanted and set(wanted) <= set(frame.columns):
        frame = frame.select(*wanted)
    columns = []
    for label, series in zip(frame.columns, frame.iter_columns(), strict=True):
        try:
            columns.append(_read_series(f"{name}: column {short(label, 60)}", series, text=False))
        except TypeError as error:
            raise TypeError(f"{error}; {ENCODE}") from None
    array = np.empty(frame.shape, np.result_type(*columns) if columns else np.float64)
    for i, column in enumerate(columns):
        array[:, i] = column
    return array, tuple(frame.columns) if all(isinstance(label, str) for label in frame.columns) else ()


def read_targets(name: str, value: Any) -> Array:
    """The targets of an array-like: numbers, or labels, which may be text; text and booleans in one column are (N,).

    Raises: TypeError: for what is neither, or of several kinds; ValueError: for a missing value.
    """
    frame = _as_frame(name, value)
    if frame is None:
        array = _check_values(name, _to_array(name, value), text=True)
    elif not hasattr(frame, "columns"):
        array = _read_series(name, frame, text=True)
    elif len(frame.columns) == 1:
        array = _read_series(name, next(iter(frame.iter_columns())), text=True)[:, None]
    else:
        array = read_features(name, value)[0]
    return array[:, 0] if array.dtype.kind in "bU" and array.shape[1:] == (1,) else array


def check_same_index(name: str, value: Any, x: Any) -> None:
    """Refuse a series of pandas whose index is that of x in another order: rows are matched by position, not by index.

    Raises: ValueError.
    """
    ours: Any = getattr(value, "index", None)
    theirs: Any = getattr(x, "index", None)
    if not (hasattr(ours, "equals") and hasattr(theirs, "equals")) or ours.equals(theirs) or len(ours) != len(theirs):
        return
    if ours.isin(theirs).all() and theirs.isin(ours).all():
        raise ValueError(f"{name} must have its rows in the order of x, whose index it has in another order: .loc[x.index]")


def _as_frame(name: str, value: Any) -> Any:
    """A frame or series as narwhals has it, whatever its library; None for all else."""
    if value is None or isinstance(value, np.ndarray | np.generic | list | tuple | range | str):
        return None
    import narwhals
    from narwhals.exceptions import DuplicateError

    try:
        frame = narwhals.from_native(value, allow_series=True, pass_through=True)
        if isinstance(frame, narwhals.LazyFrame):
            raise TypeError(f"{name} must be a frame in memory, got a lazy one; collect() reads it")
        return frame if isinstance(frame, narwhals.Series) or hasattr(frame, "iter_columns") else None
    except DuplicateError as error:
        raise ValueError(f"{name} must have columns of different names: {short(' '.join(str(error).split()))}") from None


def _read_series(name: str, series: Any, *, text: bool) -> Array:
    missing = series.is_null().to_numpy()
    if missing.any():
        raise ValueError(f"{name} must have no missing values, got one in row {int(missing.argmax())}: drop or fill it")
    return _check_values(name, series.to_numpy(), text=text)


def _to_array(name: str, value: Any) -> Array:
    """What NumPy makes of an array-like; of a list whose items are not all numbers an array of objects."""
    if isinstance(value, np.ma.MaskedArray):
        mask: Any = np.ma.getmaskarray(value)
        if mask.any():
            raise ValueError(f"{name} must have no missing values, got a masked one at {_position(mask, mask.argmax())}")
        return np.asarray(value.data)
    if not (isinstance(value, list | tuple | range) or hasattr(value, "__array__")):
        hint = "; toarray() makes an array of it" if hasattr(value, "toarray") else ""
        raise TypeError(f"{name} must be an array, a list or a frame, got {short(value)}{hint}")
    try:
        array = np.asarray(value)
    except Exception as error:
        why = "its rows must have one length" if "inhomogeneous" in str(error) else short(str(error))
        raise ValueError(f"{name} must be an array, a list or a frame, got {short(value)}: {why}") from None
    return np.array(value, dtype=object) if isinstance(value, list | tuple) and array.dtype.kind not in NUMBERS else array


def _check_values(name: str, array: Array, *, text: bool) -> Array:
    """The array as one of numbers, or of text where that is allowed."""
    kind = array.dtype.kind
    if kind in NUMBERS or (kind == "U" and text):
        return array
    if kind == "S" and text:
        return np.char.decode(array, "utf-8", "replace")
    if kind not in "OUS":
        raise TypeError(f"{name} must be of real numbers, got dtype {short(str(array.dtype))}")
    items = array.ravel().tolist()
    wanted = "numbers or text" if text else "real numbers"
    first = ""
    for i, item in enumerate(items):
        found = _kind_of(item)
        if found == "missing":
            raise ValueError(f"{name} must have no missing values, got {item} at {_position(array, i)}")
        if found == "other" or (found == "text" and not text):
            raise TypeError(f"{name} must be of {wanted}, got {short(item, 40)} at {_position(array, i)}")
        if first and found != first:
            raise TypeError(f"{name} must be all numbers or all text, got {short(item, 40)} at {_position(array, i)}")
        first = found
    made = np.array(items)
    return (made.astype(np.float64) if made.dtype.kind == "O" else made).reshape(array.shape)


def _kind_of(item: Any) -> str:
    if item is None or type(item).__name__ in {"NAType", "NaTType"} or (isinstance(item, float) and item != item):
        return "missing"
    return "number" if isinstance(item, Real | Decimal | np.bool_) else "text" if isinstance(item, str) else "other"


def _position(array: Array, i: Any) -> list[int]:
    return [int(at) for at in np.unravel_index(int(i), array.shape)]
