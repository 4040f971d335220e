"""Equality by bits, and the hash of a record: a tree of SHA-256 hashes over its fields."""

import hashlib
import struct
from collections.abc import Mapping
from functools import partial
from itertools import zip_longest
from types import MappingProxyType
from typing import Any

import numpy as np

from fnloop.core.fields import children_of, field_names, is_record, leaves
from fnloop.core.formatting import short

Hashed = tuple[Any, bytes]  # a value, held so that its identity stays its own, and its hash


Hashes = Mapping[int, Hashed]


def bits(leaf: Any) -> tuple[str, bytes]:
    """A leaf's type and bytes: 0.0 differs from -0.0, 1 from 1.0 and from True, and NaN equals itself."""
    if isinstance(leaf, np.ndarray | np.generic):
        return f"array {leaf.dtype.str} {leaf.shape}", leaf.tobytes()
    if isinstance(leaf, float):
        return "float", struct.pack(">d", leaf)
    if isinstance(leaf, str | bool | int | type(None)):
        return type(leaf).__name__, str(leaf).encode()
    if callable(leaf):
        return "function", _place(leaf).encode()
    raise TypeError(f"a record may hold numbers, strings, arrays, mappings, sequences and records, got {short(leaf)}")


def _place(function: Any) -> str:
    """Where a function is defined; for one with arguments bound, also what they are."""
    if isinstance(function, partial):
        bound = *map(repr, function.args), *(f"{name}={value!r}" for name, value in sorted(function.keywords.items()))
        return f"{_place(function.func)}({', '.join(bound)})"
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    return f"{function.__module__}.{name}"


def same_bits(a: Any, b: Any) -> bool:
    """Whether two values are the same in every type, shape, dtype and bit: the one equality of states.

    Examples:
        >>> same_bits(0.0, -0.0), same_bits(float("nan"), float("nan"))
        (False, True)
    """
    return a is b or all(
        p == q and (x is y or bits(x) == bits(y))
        for (p, x), (q, y) in zip_longest(leaves(a), leaves(b), fillvalue=("", _MISSING))
    )


def digest(value: Any) -> str:
    """The SHA-256 of a record as a hex string: equal for equal bits, different for any change of any field.

    It is a tree of hashes, each record's made of its fields': what did not change need not be hashed again.
    """
    return hash_of(value).hex()


def stable_repr(value: Any) -> str:
    """A record in words that are the same in every process: its fields, or its digest if it holds arrays or functions.

    Examples:
        >>> from fnloop.losses import Huber
        >>> stable_repr(Huber())
        'Huber(delta=1.0)'
    """
    if not is_record(value):
        return type(value).__name__
    if any(callable(leaf) or isinstance(leaf, np.ndarray) for _, leaf in leaves(value)):
        return f"{type(value).__name__}({digest(value)[:12]})"
    fields = ((name, getattr(value, name)) for name in field_names(type(value)))
    named = (f"{name}={stable_repr(field) if is_record(field) else repr(field)}" for name, field in fields)
    return f"{type(value).__name__}({', '.join(named)})"


def hash_of(value: Any, before: Hashes = MappingProxyType({}), now: dict[int, Hashed] | None = None) -> bytes:
    """The SHA-256 of a value.

    Args:
        before: arrays and records that were hashed before, by identity, with their hashes; they are not hashed again.
        now: takes those of this value.
    """
    hashed = before.get(id(value))
    if hashed is None:
        hashed = value, hashlib.sha256(_content(value, before, now)).digest()
    if now is not None and (isinstance(value, np.ndarray) or is_record(value)):
        now[id(value)] = hashed
    return hashed[1]


def _content(value: Any, before: Hashes, now: dict[int, Hashed] | None) -> bytes:
    """What is hashed of a value: of an array its hash, of a leaf its bytes, of all else the contents of its parts by name."""
    if isinstance(value, np.ndarray | np.generic):
        array = np.asarray(value)
        raw: Any = array if array.flags.c_contiguous else array.tobytes()
        return f"array {array.dtype.str} {array.shape}\0".encode() + hashlib.sha256(raw).digest()
    parts = children_of(value)
    if parts is None:
        kind, content = bits(value)
        return f"{kind} {len(content)}\0".encode() + content
    header = type(value).__name__ if is_record(value) else "mapping" if isinstance(value, Mapping) else "sequence"
    contents = (
        _content(part, before, now) if isinstance(part, _LEAVES) else b"#" + hash_of(part, before, now) for _, part in parts
    )
    named = (name.encode() + b"\0" + content for (name, _), content in zip(parts, contents, strict=True))
    return f"{header} {len(parts)}\0".encode() + b"".join(named)


_LEAVES = float, int, str, type(None)  # too small to have hashes of their own


_MISSING = "\0nothing stands here"
