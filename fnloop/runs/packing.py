"""Values in a run file: their text, and the arrays and records that the text names by their hashes, each stored once."""

import json
import math
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.decoding import DTYPE, Decoder, record_classes
from fnloop.core.encoding import NOT_DATA, Encoder, array_hash, sha256_of
from fnloop.core.fields import children_of
from fnloop.core.formatting import short
from fnloop.core.identity import class_id
from fnloop.runs.damage import Damage

MAX_JSON_LENGTH = 1 << 22  # characters; large values are in arrays
MAX_JSON_VALUES = 1 << 16  # parsed, each may take a hundred bytes
PART_BYTES = 1 << 22  # of an array in one row of the table `arrays`
NO_RECORDS: Mapping[str, Any] = {}


class Packed(NamedTuple):
    """A value as a run file holds it.

    Attributes:
        text: The text of the value.
        arrays: The arrays that it names, by their hashes.
        records: The texts of records that it names, by their hashes.
    """

    text: str
    arrays: Mapping[str, Array]
    records: Mapping[str, str]

    @property
    def nbytes(self) -> int:
        """The size of the text and the arrays."""
        return len(self.text) + sum([array.nbytes for array in self.arrays.values()])


def pack(value: Any) -> Packed:
    """Return a value as a run file holds it.

    Args:
        value: A record, or a nested sequence or mapping of records, arrays, numbers and texts.

    Raises:
        TypeError: If the value has a part that has no text.
        ValueError: If its text is too large.
    """
    encoder = Encoder()
    return Packed(check_size(encoder.text(value)), encoder.arrays, encoder.records)


def pack_once() -> Callable[[Any], Packed]:
    """Return `pack` with a memory, for values that several files hold: by identity, as records are frozen."""
    known: dict[int, tuple[Any, Packed]] = {}

    def pack_known(value: Any) -> Packed:
        if id(value) not in known:
            known[id(value)] = value, pack(value)
        return known[id(value)][1]

    return pack_known


def pack_data(value: Any) -> Packed:
    """Pack a value, and check that unpacking gives the same bits.

    Args:
        value: As in `pack`.

    Raises:
        TypeError: If the value has a function, or would not be restored exactly, for example because a record's constructor
            does not take the names of its fields.
        ValueError: If its text is too large.
    """
    named = next(_named_tuples(value), None)
    if named is not None:
        raise TypeError(
            f"a {named.__name__} cannot be restored from a file: it would be a tuple; make it a record by fl.frozen"
        )
    packed = pack(value)
    for text in (packed.text, *packed.records.values()):
        check_data(text)
    try:
        classes = tuple(record_classes(value))
        decoder = Decoder(packed.arrays.__getitem__, lambda name: decoder.value(json.loads(packed.records[name])), classes)
        same = Encoder().text(decoder.value(json.loads(packed.text))) == packed.text
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise TypeError(f"a {type(value).__name__} cannot be restored from a file: {error}") from None
    if not same:
        raise TypeError(f"a {type(value).__name__} cannot be restored from a file: its fields would differ")
    return packed


def _named_tuples(value: Any) -> Iterator[type]:
    """Yield the class of each named tuple in a value."""
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        yield type(value)
    for _, part in children_of(value) or ():
        yield from _named_tuples(part)


def check_class_ids(name: str, value: Any) -> None:
    """Check that no two classes of records in a value have one id, so that each record can be read back as what it is.

    Args:
        name: The name of the value, for the message.
        value: The value.

    Raises:
        TypeError: If two have, as after running a cell of a notebook again that defines a class.
    """
    classes = dict[str, type]()
    for cls in record_classes(value):
        if classes.setdefault(class_id(cls), cls) is not cls:
            raise TypeError(f"{name} has records of two different classes {class_id(cls)}, which a file would take for one")


def check_data(text: str) -> None:
    """Check that the text of a value has no function, which cannot be read back.

    Raises:
        TypeError: If it has one. The message has its path.
    """
    if any(form in text for form in NOT_DATA):
        for path in _functions(json.loads(text), ""):  # none if a mapping has such a key
            raise TypeError(f"{path or 'value'} cannot be written to a file, only data can: it is a function")


def _functions(tree: Any, path: str) -> Iterator[str]:
    if isinstance(tree, list):
        tree = {f"[{i}]": item for i, item in enumerate(tree)}
    elif isinstance(tree, dict) and "@mapping" in tree:
        tree = {f"[{key!r}]": item for key, item in tree["@mapping"].items()}
    elif isinstance(tree, dict) and "@" not in tree and any(form[2:-1] in tree for form in NOT_DATA):
        yield path.lstrip(".")
        return
    elif isinstance(tree, dict):
        tree = {f".{name}": item for name, item in tree.items() if name != "@"}
    else:
        return
    for name, item in tree.items():
        yield from _functions(item, path + name)


def unpack(
    connection: sqlite3.Connection, text: str, record_types: Iterable[type] = (), references: Mapping[str, Any] = NO_RECORDS
) -> Any:
    """Return a packed value, with each array checked against its hash.

    Args:
        connection: The run file that holds the arrays.
        text: The text of the value.
        record_types: Record classes outside the package that may be built.
        references: Records that the text may name, by the hashes of their texts; others are read from the file.

    Raises:
        NotData: If the value has a function.
        UnknownRecord: If the value has a record of another class.
        Damage: If an array or a record is missing, or does not match its hash.
        ValueError: If the text is not valid.
    """

    @cache
    def reference(name: str) -> Any:
        return references[name] if name in references else decoder.value(json.loads(_read_record(connection, name)))

    decoder = Decoder(cache(lambda name: read_array(connection, name)), reference, record_types)
    return decoder.value(json.loads(check_size(text)))


def _read_record(connection: sqlite3.Connection, name: str) -> str:
    found = connection.execute("SELECT content FROM records WHERE hash = ?", [name]).fetchone()
    if found is None:
        raise Damage(f"a record is missing, {name}")
    if sha256_of(check_size(found[0])) != name:
        raise Damage(f"a record does not match its hash, {name}")
    return str(found[0])


def read_array(connection: sqlite3.Connection, name: str) -> Array:
    """Read an array by its hash, part by part, into its own memory.

    Raises:
        Damage: If it is missing, or does not match its hash.
    """
    query = "SELECT dtype, shape, length(data) FROM arrays WHERE hash = ? ORDER BY part"
    found = connection.execute(query, [name]).fetchall()
    if not found:
        raise Damage(f"an array is missing, {name}")
    dtype_text, shape_text, _ = found[0]
    if not DTYPE.fullmatch(dtype_text):
        raise Damage(f"an array has the dtype {short(dtype_text)}, {name}")
    dtype, shape = np.dtype(dtype_text), tuple(map(int, json.loads(check_size(shape_text))))
    if math.prod(shape) * dtype.itemsize != sum(size for *_, size in found) or min(shape, default=0) < 0:
        raise Damage(f"the size of an array does not match its shape and dtype, {name}")
    array = np.empty(shape, dtype)
    buffer, start = _bytes(array), 0
    for (data,) in connection.execute("SELECT data FROM arrays WHERE hash = ? ORDER BY part", [name]):
        buffer[start : start + len(data)] = data
        start += len(data)
    array.flags.writeable = False
    if array_hash(array) != name:
        raise Damage(f"an array does not match its hash, {name}")
    return array.view()


def check_size(text: str) -> str:
    """Return a JSON text if it is not larger than any that is written.

    Raises:
        ValueError: If it has too many characters or values.
    """
    if len(text) > MAX_JSON_LENGTH:
        raise ValueError(f"a text of {len(text)} characters is over {MAX_JSON_LENGTH}, numbers must be held in arrays")
    if len(text) > MAX_JSON_VALUES:
        values = sum(map(text.count, ",[{"))
        if values > MAX_JSON_VALUES:
            raise ValueError(f"a text of {values} values is over {MAX_JSON_VALUES}, numbers must be held in arrays")
    return text


def add_packed(connection: sqlite3.Connection, packed: Packed) -> int:
    """Write the arrays and records of a packed value, except those that the file already holds.

    Returns:
        The bytes of the arrays that were written.
    """
    connection.executemany("INSERT OR IGNORE INTO records VALUES (?, ?)", packed.records.items())
    return sum(add(connection) for add in array_parts(packed))


def array_parts(packed: Packed) -> Iterator[Callable[[sqlite3.Connection], int]]:
    """Yield functions that each write a part of an array, unless the file has the array, and return the bytes written.

    They may be called in several transactions. The first part of an array is the last to be written, so that an array of which
    a killed process wrote some parts is written again.

    Args:
        packed: The packed value that names the arrays.
    """
    for name, array in packed.arrays.items():
        data, about = _bytes(array), (array.dtype.str, json.dumps(array.shape))
        for part in reversed(range(max(1, -(-len(data) // PART_BYTES)))):
            yield partial(_add_part, name=name, part=part, about=about, data=data[part * PART_BYTES :][:PART_BYTES])


def _add_part(connection: sqlite3.Connection, name: str, part: int, about: tuple[str, str], data: memoryview) -> int:
    if connection.execute("SELECT 1 FROM arrays WHERE hash = ? AND part = 0", [name]).fetchone() is not None:
        return 0
    connection.execute("INSERT OR IGNORE INTO arrays VALUES (?, ?, ?, ?, ?)", [name, part, *about, data])
    return len(data)


def _bytes(array: Array) -> memoryview:
    """Return an array's bytes in C order."""
    content: Any = np.ascontiguousarray(array).reshape(-1).view(np.uint8) if array.size else bytearray()
    return memoryview(content)
