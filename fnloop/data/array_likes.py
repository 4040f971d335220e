"""Array-likes as arrays: nested lists, masked and memory-mapped arrays, frames and series of pandas, polars and others."""

from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.formatting import short

NUMERIC_KINDS = "biuf"  # NumPy's `dtype.kind` of numbers: booleans, integers, unsigned integers, floats
ENCODING_HINT = "leave it out, or encode it as numbers, as pandas.get_dummies and polars' to_dummies do"


def read_features(name: str, value: Any, wanted: tuple[str, ...] = ()) -> tuple[Array, tuple[str, ...]]:
    """Return the numbers of an array-like and its column names.

    The names are () if there are none, or if they are not text. A memory-mapped array is returned without being read.

    Args:
        name: Name of the argument, for messages.
        value: An array, a list, a frame or a series.
        wanted: If a frame has all these columns, only they are read; by default all are.

    Raises:
        TypeError: If a value is not a number. The message has the column and the position.
        ValueError: If a value is missing. The message has the column and the position.
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
            raise TypeError(f"{error}; {ENCODING_HINT}") from None
    array = np.empty(frame.shape, np.result_type(*columns) if columns else np.float64)
    for i, column in enumerate(columns):
        array[:, i] = column
    return array, tuple(frame.columns) if all(isinstance(label, str) for label in frame.columns) else ()


def read_targets(name: str, value: Any) -> Array:
    """Return the targets of an array-like: numbers or labels; a single column of text or booleans has shape (N,).

    Args:
        name: Name of the argument, for messages.
        value: An array, a list, a frame or a series.

    Raises:
        TypeError: If a value is neither a number nor text, or if numbers and text are mixed.
        ValueError: If a value is missing.
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
    """Check that a pandas series does not have the index of x in another order: rows are matched by position.

    Args:
        name: Name of the argument, for the message.
        value: The targets or weights.
        x: The features.

    Raises:
        ValueError: If both have the same index labels in a different order.
    """
    index: Any = getattr(value, "index", None)
    x_index: Any = getattr(x, "index", None)
    if not (hasattr(index, "equals") and hasattr(x_index, "equals")) or index.equals(x_index) or len(index) != len(x_index):
        return
    if index.isin(x_index).all() and x_index.isin(index).all():
        raise ValueError(f"{name} must have its rows in the order of x, but its index has another order; use .loc[x.index]")


def _as_frame(name: str, value: Any) -> Any:
    """A narwhals frame or series of any library; None for everything else."""
    if value is None or isinstance(value, np.ndarray | np.generic | list | tuple | range | str):
        return None
    import narwhals
    from narwhals.exceptions import DuplicateError

    try:
        frame = narwhals.from_native(value, allow_series=True, pass_through=True)
        if isinstance(frame, narwhals.LazyFrame):
            raise TypeError(f"{name} must be a frame in memory, got a lazy frame; read it with collect()")
        return frame if isinstance(frame, narwhals.Series) or hasattr(frame, "iter_columns") else None
    except DuplicateError as error:
        raise ValueError(f"{name} must have unique column names: {short(' '.join(str(error).split()))}") from None


def _read_series(name: str, series: Any, *, text: bool) -> Array:
    missing = series.is_null().to_numpy()
    if missing.any():
        raise ValueError(f"{name} must have no missing values, got one in row {int(missing.argmax())}; drop or fill it")
    return _check_values(name, series.to_numpy(), text=text)


def _to_array(name: str, value: Any) -> Array:
    """The array that NumPy makes of a value; a list with items that are not numbers becomes an array of objects."""
    if isinstance(value, np.ma.MaskedArray):
        mask: Any = np.ma.getmaskarray(value)
        if mask.any():
            raise ValueError(f"{name} must have no missing values, got a masked one at {_position(mask, mask.argmax())}")
        return np.asarray(value.data)
    if not (isinstance(value, list | tuple | range) or hasattr(value, "__array__")):
        hint = "; convert it with toarray()" if hasattr(value, "toarray") else ""
        raise TypeError(f"{name} must be an array, a list or a frame, got {short(value)}{hint}")
    try:
        array = np.asarray(value)
    except Exception as error:
        reason = "its rows must have the same length" if "inhomogeneous" in str(error) else short(str(error))
        raise ValueError(f"{name} must be an array, a list or a frame, got {short(value)}: {reason}") from None
    return (
        np.array(value, dtype=object) if isinstance(value, list | tuple) and array.dtype.kind not in NUMERIC_KINDS else array
    )


def _check_values(name: str, array: Array, *, text: bool) -> Array:
    """The array with numeric dtype, or with text dtype if text is allowed."""
    kind = array.dtype.kind
    if kind in NUMERIC_KINDS or (kind == "U" and text):
        return array
    if kind == "S" and text:
        return np.char.decode(array, "utf-8", "replace")
    if kind not in "OUS":
        raise TypeError(f"{name} must be real numbers, got dtype {short(str(array.dtype))}")
    items = array.ravel().tolist()
    allowed = "numbers or text" if text else "real numbers"
    first_kind = ""
    for i, item in enumerate(items):
        item_kind = _kind_of(item)
        if item_kind == "missing":
            raise ValueError(f"{name} must have no missing values, got {item} at {_position(array, i)}")
        if item_kind == "other" or (item_kind == "text" and not text):
            raise TypeError(f"{name} must be {allowed}, got {short(item, 40)} at {_position(array, i)}")
        if first_kind and item_kind != first_kind:
            raise TypeError(f"{name} must be all numbers or all text, got {short(item, 40)} at {_position(array, i)}")
        first_kind = item_kind
    flat = np.array(items)
    return (flat.astype(np.float64) if flat.dtype.kind == "O" else flat).reshape(array.shape)


def _kind_of(item: Any) -> str:
    if item is None or type(item).__name__ in {"NAType", "NaTType"} or (isinstance(item, float) and item != item):
        return "missing"
    return "number" if isinstance(item, Real | Decimal | np.bool_) else "text" if isinstance(item, str) else "other"


def _position(array: Array, i: Any) -> list[int]:
    return [int(index) for index in np.unravel_index(int(i), array.shape)]
