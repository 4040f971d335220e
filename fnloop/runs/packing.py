"""Values in a run file: JSON that names its arrays by their hashes, so that equal arrays are stored once."""

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
from fnloop.core.records import evolve
from fnloop.nn.model import Params
from fnloop.runs.codec import decode, encode
from fnloop.training.state import TrainState

MAX_JSON_LENGTH = 1 << 22  # characters; large values are in arrays
MAX_JSON_VALUES = 1 << 16  # parsed, each may take a hundred bytes
CHUNK = 1 << 20  # bytes of an array that are read at a time
_DTYPE = re.compile(r"[<>|][biufcmMSUV]\d+(\[\d*\w+\])?")  # NumPy would evaluate other texts


def pack(value: Any, hashes: Hashes | None = None) -> tuple[str, dict[str, Array]]:
    """Return a value as JSON, and its arrays by their hashes.

    Args:
        value: A record, or a nested sequence or mapping of records, arrays, numbers and texts.
        hashes: Known hashes of arrays, by identity; by default all are computed.

    Raises:
        TypeError: If the value holds something that is not data, such as a function.
        ValueError: If its JSON is too large.
    """
    arrays_by_path = dict[str, Array]()
    tree = encode(value, arrays_by_path)
    hash_by_path = {path: hash_of(array, hashes or {}).hex() for path, array in arrays_by_path.items()}
    arrays = {hash_by_path[path]: array for path, array in arrays_by_path.items()}
    try:
        return check_size(json.dumps({"tree": tree, "arrays": hash_by_path}, allow_nan=False)), arrays
    except ValueError as error:
        raise ValueError(f"numbers must be held in arrays: {error}") from None


def pack_checked(value: Any, hashes: Hashes | None = None) -> tuple[str, dict[str, Array]]:
    """Pack a value with custom records, and check that unpacking gives the same bits.

    Args:
        value: As in `pack`.
        hashes: As in `pack`.

    Raises:
        TypeError: If the value would not be restored exactly, for example because a record's constructor does not take
            the names of its fields.
        ValueError: If its JSON is too large.
    """
    text, arrays = pack(value, hashes)
    packed, record_types = json.loads(text), {cls.__name__: cls for cls in _record_classes(value)}
    try:
        restored = decode(packed["tree"], {path: arrays[name] for path, name in packed["arrays"].items()}, record_types)
        difference = next(_different_leaves(value, restored), None)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise TypeError(f"a {type(value).__name__} cannot be restored from a file: {error}") from None
    if difference is not None:
        raise TypeError(f"a {type(value).__name__} cannot be restored from a file: {difference} would differ")
    return text, arrays


def pack_state(state: Any, hashes: Hashes | None = None) -> tuple[str, dict[str, Array]]:
    """Pack a state for a snapshot, without the model, which the trainer holds.

    Args:
        state: A `TrainState`, or the state of a custom step.
        hashes: As in `pack`.

    Raises:
        TypeError: If the state holds something that is not data, or would not be restored exactly.
        ValueError: If its JSON is too large.
    """
    if not isinstance(state, TrainState):
        return pack_checked(state, hashes)
    without_model: Any = None  # `Replay.snapshot` puts the model back
    return pack(evolve(state, params=Params(state.params.vector, without_model)), hashes)


def _record_classes(value: Any) -> Iterator[type]:
    """Yield the class of each record in a value."""
    if is_record(value):
        yield type(value)
    for _, part in children_of(value) or ():
        yield from _record_classes(part)


def _different_leaves(a: Any, b: Any) -> Iterator[str]:
    """Yield the paths of the leaves whose bits differ."""
    for (path, x), (other_path, y) in zip_longest(leaves(a), leaves(b), fillvalue=("", None)):
        if path != other_path or (x is not y and bits(x) != bits(y)):
            yield path or "it"


def unpack(connection: sqlite3.Connection, text: str, record_types: Mapping[str, type]) -> Any:
    """Return a packed value, with each array checked against its hash.

    Args:
        connection: The run file that holds the arrays.
        text: The JSON of `pack`.
        record_types: Record classes that may be built, by name.

    Raises:
        UnknownRecord: If the value has a record of another class.
        ValueError: If an array is missing or damaged, or the JSON is not valid.
    """
    packed = json.loads(check_size(text))
    hash_by_path = packed["arrays"]
    arrays = {name: read_array(connection, name) for name in set(hash_by_path.values())}
    return decode(packed["tree"], {path: arrays[name] for path, name in hash_by_path.items()}, record_types)


def read_array(connection: sqlite3.Connection, name: str) -> Array:
    """Read an array by its hash, in chunks, into its own memory.

    Raises:
        ValueError: If it is missing, or does not match its hash.
    """
    found = connection.execute("SELECT rowid, dtype, shape, length(data) FROM arrays WHERE hash = ?", [name]).fetchone()
    if found is None:
        raise ValueError(f"an array is missing, {name}")
    rowid, dtype_text, shape_text, size = found
    if not _DTYPE.fullmatch(dtype_text):
        raise ValueError(f"an array has the dtype {short(dtype_text)}, {name}")
    dtype, shape = np.dtype(dtype_text), tuple(map(int, json.loads(check_size(shape_text))))
    if math.prod(shape) * dtype.itemsize != size or min(shape, default=0) < 0:
        raise ValueError(f"the size of an array does not match its shape and dtype, {name}")
    array = np.empty(shape, dtype)
    if array.size:
        buffer = _bytes(array)
        with connection.blobopen("arrays", "data", rowid, readonly=True) as blob:
            for start in range(0, len(buffer), CHUNK):
                buffer[start : start + CHUNK] = blob.read(min(CHUNK, len(buffer) - start))
    array.flags.writeable = False
    if hash_of(array).hex() != name:
        raise ValueError(f"an array does not match its hash, {name}")
    return array.view()


def check_size(text: str) -> str:
    """Return a JSON text if it is not larger than any that is written.

    Raises:
        ValueError: If it has too many characters or values.
    """
    if len(text) > MAX_JSON_LENGTH:
        raise ValueError(f"a text of {len(text)} characters is over {MAX_JSON_LENGTH}")
    values = sum(map(text.count, ",[{"))
    if values > MAX_JSON_VALUES:
        raise ValueError(f"a text of {values} values is over {MAX_JSON_VALUES}")
    return text


def add_arrays(connection: sqlite3.Connection, arrays: Mapping[str, Array]) -> None:
    """Write arrays under their hashes, except those that the file already holds."""
    for name, array in arrays.items():
        if connection.execute("SELECT 1 FROM arrays WHERE hash = ?", [name]).fetchone() is None:
            shape = json.dumps(array.shape)
            connection.execute("INSERT INTO arrays VALUES (?, ?, ?, ?)", [name, array.dtype.str, shape, _bytes(array)])


def _bytes(array: Array) -> memoryview:
    """Return an array's bytes in C order."""
    content: Any = np.ascontiguousarray(array).reshape(-1).view(np.uint8) if array.size else b""
    return memoryview(content)
