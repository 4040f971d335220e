"""Values in messages and reprs: on one line, cut to a length, without the data of arrays and frames."""

from collections.abc import Iterable, Mapping, Set
from types import MappingProxyType
from typing import Any, NamedTuple

import attrs
import numpy as np

MAX_VALUE = 100  # characters of a value in a message
MAX_STRING = 200  # characters of a string within a repr
MAX_ITEMS = 16  # items of a collection that is shown item by item
MAX_DEPTH = 3  # levels of collections and records within one another


def short(value: Any, most: int = MAX_VALUE) -> str:
    """Return a value as text on one line; arrays and frames by type, shape and dtype.

    Args:
        value: Any value.
        most: The maximum number of characters. Default: `100`.

    Examples:
        >>> short(np.zeros((1000, 64)))
        '<ndarray of shape (1000, 64), float64>'
        >>> short([[0.0] * 64] * 1000)
        '<list of length 1000>'
        >>> short("a" * 1000, most=20)
        "'aaaaaaaa...aaaaaaa'"
        >>> short({"lr": 0.1})
        "{'lr': 0.1}"
    """
    text = _show(value, most, MAX_DEPTH)
    if len(text) <= most:
        return text
    return _length(value) if type(value) in _BRACKETS else cut_end(text, most)


def listed(names: Iterable[Any], most: int = 100) -> str:
    """Return names separated by commas; "none" if there are none.

    Args:
        names: The names.
        most: About the maximum number of characters. Default: `100`.

    Examples:
        >>> listed(["loss", "accuracy"])
        'loss, accuracy'
        >>> listed(range(100), most=10)
        '0, 1, 2, ... (100 in all)'
    """
    texts = [cut_middle(str(name), 40) for name in names]
    used = 0
    for count, text in enumerate(texts):
        used += len(text) + 2
        if count and used > most:
            return f"{', '.join(texts[:count])}, ... ({len(texts)} in all)"
    return ", ".join(texts) or "none"


def repr_of(record: Any) -> str:
    """Return the repr of a record: arrays by shape and dtype, long strings and collections cut."""
    return _record(record, MAX_STRING, MAX_DEPTH)


def _show(value: Any, most: int, levels: int) -> str:
    kind: Any = type(value)
    if kind.__repr__ is repr_of:
        return _record(value, most, levels)
    if kind in (str, bytes):
        return repr(cut_middle(value, most - 2))
    if kind in _BRACKETS:
        return _collection(value, most, levels)
    try:
        text = _array(value) or repr(value)
    except Exception:  # a foreign object whose repr fails, or an integer with too many digits
        text = f"<{kind.__name__}>"
    return str(cut_middle(" ".join(text.split()), MAX_STRING))


class Call(NamedTuple):
    """The call that a record prints as: a name, positional arguments, and arguments by name."""

    name: str
    positional: tuple[Any, ...]
    named: Mapping[str, Any]


def call_of(record: Any) -> Call:
    """Return the call that a record prints as: that of its class, or what its method `__as_call__` returns.

    A record with this method is returned by a function under another name, such as `chain`.
    """
    kind = type(record)
    if hasattr(kind, "__as_call__"):
        call: Call = kind.__as_call__(record)
        return call
    return Call(kind.__name__, (), {field.name: getattr(record, field.name) for field in attrs.fields(kind) if field.repr})


def _record(value: Any, most: int, levels: int) -> str:
    name, positional, named = call_of(value)
    if not levels:
        return f"{name}(...)"
    arguments = [_show(argument, most, levels - 1) for argument in positional]
    arguments += [f"{label}={_show(argument, most, levels - 1)}" for label, argument in named.items()]
    return f"{name}({', '.join(arguments)})"


def _collection(value: Any, most: int, levels: int) -> str:
    if len(value) > MAX_ITEMS or not levels:
        return _length(value)
    if not value:
        return "set()" if isinstance(value, Set) else "".join(_BRACKETS[type(value)])
    if isinstance(value, Mapping):
        items = [f"{_show(key, most, 0)}: {_show(item, most, levels - 1)}" for key, item in value.items()]
    else:
        items = [_show(item, most, levels - 1) for item in value]
    start, end = tuple(_BRACKETS[type(value)])
    return f"{start}{', '.join(items)}{',' if type(value) is tuple and len(items) == 1 else ''}{end}"


def _length(value: Any) -> str:
    return f"<{type(value).__name__} of length {len(value)}>"


def _array(value: Any) -> str:
    """Return the text of an array, frame or series of any library, which has a shape; "" for any other value or a scalar."""
    shape = getattr(value, "shape", None)
    if not isinstance(shape, tuple) or isinstance(value, np.generic):
        return ""
    dtype = getattr(value, "dtype", None)
    return f"<{type(value).__name__} of shape {tuple(shape)}{'' if dtype is None else f', {dtype}'}>"


def cut_end(text: str, most: int) -> str:
    """Return a text, with its end cut off if it is longer than `most` characters.

    Examples:
        >>> cut_end("Dense(3, 2)", 8)
        'Dense...'
    """
    return text if len(text) <= most else f"{text[: most - 3]}..."


def cut_middle(text: Any, most: int) -> Any:
    """Return a string or bytes with its middle cut out if it is longer than `most`.

    Examples:
        >>> cut_middle("Dense(3, 2)", 8)
        'Den...2)'
    """
    if len(text) <= most:
        return text
    dots = "..." if isinstance(text, str) else b"..."
    kept = most - len(dots)
    return text[: kept - kept // 2] + dots + text[len(text) - kept // 2 :]


_BRACKETS: Mapping[type, str] = {list: "[]", tuple: "()", **dict.fromkeys((dict, MappingProxyType, set, frozenset), "{}")}
