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

Hashed = tuple[Any, bytes]  # a value, kept alive so that its id stays valid, and its hash


Hashes = Mapping[int, Hashed]


def bits(leaf: Any) -> tuple[str, bytes]:
    """Return a leaf's type and bytes: 0.0 differs from -0.0, 1 from 1.0 and from True, and NaN equals itself."""
    if isinstance(leaf, np.ndarray | np.generic):
        return f"array {leaf.dtype.str} {leaf.shape}", leaf.tobytes()
    if isinstance(leaf, float):
        return "float", struct.pack(">d", leaf)
    if isinstance(leaf, str | bool | int | type(None)):
        return type(leaf).__name__, str(leaf).encode()
    if callable(leaf):
        return "function", _qualified_name(leaf).encode()
    raise TypeError(f"a record may hold numbers, strings, arrays, mappings, sequences and records, got {short(leaf)}")


def _qualified_name(function: Any) -> str:
    """Return the qualified name of a function, and its bound arguments if it is a `partial`."""
    if isinstance(function, partial):
        bound = *map(repr, function.args), *(f"{name}={value!r}" for name, value in sorted(function.keywords.items()))
        return f"{_qualified_name(function.func)}({', '.join(bound)})"
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    return f"{function.__module__}.{name}"


def same_bits(a: Any, b: Any) -> bool:
    """Return whether two values are equal in every type, shape, dtype and bit. This is the equality of states.

    Args:
        a: A record, mapping, sequence, array or other leaf.
        b: The value to compare with.

    Examples:
        >>> same_bits(0.0, -0.0), same_bits(float("nan"), float("nan"))
        (False, True)
    """
    return a is b or all(
        p == q and (x is y or bits(x) == bits(y))
        for (p, x), (q, y) in zip_longest(leaves(a), leaves(b), fillvalue=("", _MISSING))
    )


def digest(value: Any) -> str:
    """Return the SHA-256 of a record, a hex string that is equal for equal bits.

    The hash of a record is computed from the hashes of its fields, so that unchanged fields need not be hashed again.

    Args:
        value: A record, mapping, sequence, array or other leaf.

    Examples:
        >>> digest(0.0) == digest(-0.0)
        False
    """
    return hash_of(value).hex()


def stable_repr(value: Any) -> str:
    """Return a text that is the same in every process: a record's fields, or its digest if it holds arrays or functions.

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
    """Return the SHA-256 of a value.

    Args:
        value: A record, mapping, sequence, array or other leaf.
        before: Hashes of arrays and records by `id`, which are used instead of hashing these again. Default: none.
        now: A dictionary to which the hashes of this value's arrays and records are added. Default: `None`.
    """
    hashed = before.get(id(value))
    if hashed is None:
        hashed = value, hashlib.sha256(_content(value, before, now)).digest()
    if now is not None and (isinstance(value, np.ndarray) or is_record(value)):
        now[id(value)] = hashed
    return hashed[1]


def _content(value: Any, before: Hashes, now: dict[int, Hashed] | None) -> bytes:
    """Return the bytes to hash: for an array its own hash, for a leaf its bytes, else its children's names and contents."""
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


_LEAVES = float, int, str, type(None)  # too small to hash separately


_MISSING = "\0missing"
