"""Values in a run file: as JSON, with their arrays beside them by their hashes, each of them once."""

import json
import math
import re
import sqlite3
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import Any

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.digest import Hashes, bits, hash_of
from fnloop.core.fields import children_of, is_record, leaves
from fnloop.core.formatting import short
from fnloop.runs.codec import decode, encode

LARGEST_TEXT = 1 << 22  # characters of one JSON text: what is large is in arrays
MOST_VALUES = 1 << 16  # in one: what is parsed takes up to a hundred bytes for each
_DTYPE = re.compile(r"[<>|][biufcmMSUV]\d+(\[\d*\w+\])?")  # NumPy would parse others as Python
PART = 1 << 20  # bytes of an array that are read at once


def pack(value: Any, hashes: Hashes | None = None) -> tuple[str, dict[str, Array]]:
    """A value as JSON, and its arrays by their hashes.

    Args:
        hashes: those that are known, by identity.
    Raises: TypeError: for what is not data; ValueError: if it is too large for anything but arrays.
    """
    arrays, named = dict[str, Array](), dict[str, Array]()
    tree = encode(value, arrays)
    names = {}
    for path, array in arrays.items():
        names[path] = hash_of(array, hashes or {}).hex()
        named[names[path]] = array
    try:
        return bounded(json.dumps({"tree": tree, "arrays": names}, allow_nan=False)), named
    except ValueError as error:
        raise ValueError(f"numbers must be held in arrays: {error}") from None


def pack_checked(value: Any, hashes: Hashes | None = None) -> tuple[str, dict[str, Array]]:
    """The same, of a value that may be anyone's.

    Raises: TypeError: if another value would come back, as for records that are not made by their fields' names.
    """
    text, named = pack(value, hashes)
    packed, kinds = json.loads(text), {kind.__name__: kind for kind in _kinds_in(value)}
    try:
        back = decode(packed["tree"], {path: named[name] for path, name in packed["arrays"].items()}, kinds)
        differs = next(_unlike(value, back), None)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise TypeError(f"a {type(value).__name__} would not come back from a file as it is: {error}") from None
    if differs is not None:
        raise TypeError(f"a {type(value).__name__} would not come back from a file as it is: {differs} would be another")
    return text, named


def _kinds_in(value: Any) -> Iterator[type]:
    """The classes of all records in a value."""
    if is_record(value):
        yield type(value)
    for _, part in children_of(value) or ():
        yield from _kinds_in(part)


def _unlike(a: Any, b: Any) -> Iterator[str]:
    """The places of the leaves that are not the same."""
    for (path, x), (other, y) in zip_longest(leaves(a), leaves(b), fillvalue=("", None)):
        if path != other or (x is not y and bits(x) != bits(y)):
            yield path or "it"


def unpack(connection: sqlite3.Connection, text: str, kinds: Mapping[str, type]) -> Any:
    """The value that was packed; its arrays are checked against their hashes."""
    packed = json.loads(bounded(text))
    names = packed["arrays"]
    arrays = {name: read_array(connection, name) for name in set(names.values())}
    return decode(packed["tree"], {path: arrays[name] for path, name in names.items()}, kinds)


def read_array(connection: sqlite3.Connection, name: str) -> Array:
    """An array by its hash, read into memory of its own a part at a time.

    Raises: ValueError: if it is not there, or not what the hash says.
    """
    found = connection.execute("SELECT rowid, dtype, shape, length(data) FROM arrays WHERE hash = ?", [name]).fetchone()
    if found is None:
        raise ValueError(f"an array is missing, {name}")
    if not _DTYPE.fullmatch(found[1]):
        raise ValueError(f"an array is of dtype {short(found[1])}, {name}")
    dtype, shape = np.dtype(found[1]), tuple(map(int, json.loads(bounded(found[2]))))
    if math.prod(shape) * dtype.itemsize != found[3] or min(shape, default=0) < 0:
        raise ValueError(f"an array is not what it is said to be, {name}")
    array = np.empty(shape, dtype)
    if array.size:
        room = _bytes(array)
        with connection.blobopen("arrays", "data", found[0], readonly=True) as blob:
            for start in range(0, len(room), PART):
                room[start : start + PART] = blob.read(min(PART, len(room) - start))
    array.flags.writeable = False
    if hash_of(array).hex() != name:
        raise ValueError(f"an array does not match its hash, {name}")
    return array.view()


def bounded(text: str) -> str:
    """The JSON text, if it is no longer, and has no more values, than any that is written.

    Raises: ValueError.
    """
    if len(text) > LARGEST_TEXT:
        raise ValueError(f"a text of {len(text)} characters is over {LARGEST_TEXT}")
    values = sum(map(text.count, ",[{"))
    if values > MOST_VALUES:
        raise ValueError(f"a text of {values} values is over {MOST_VALUES}")
    return text


def add_arrays(connection: sqlite3.Connection, arrays: Mapping[str, Array]) -> None:
    """Write arrays by their hashes; those that are there already are not written again."""
    for name, array in arrays.items():
        if connection.execute("SELECT 1 FROM arrays WHERE hash = ?", [name]).fetchone() is None:
            shape = json.dumps(array.shape)
            connection.execute("INSERT INTO arrays VALUES (?, ?, ?, ?)", [name, array.dtype.str, shape, _bytes(array)])


def _bytes(array: Any) -> memoryview:
    """The array's bytes in C order."""
    flat: Any = np.ascontiguousarray(array).reshape(-1).view(np.uint8) if array.size else b""
    return memoryview(flat)
