"""Values as canonical JSON text: what files hold, and what is hashed.

    null, true, 3, 0.1, "text"         None, bool, int, a finite float, str
    [...]                              a sequence
    {"@": "fnloop.Adam", "b1": 0.8}    a record: the id of its class, and the fields that are not at their defaults
    {"@array": "<sha256>"}             an array, by its hash
    {"@scalar": ["<f4", "<hex>"]}      a NumPy scalar
    {"@float": "<hex>"}                a float that is not finite, by its bits
    {"@mapping": {...}}                a mapping, whose keys are text
    {"@ref": "<sha256>"}               a record in a field of `BY_REFERENCE`, by the hash of its text
    {"@function": "<sha256>"}, ...     a function, by what it does; it can be hashed, not read back (see `core.identity`)

Equal bits give equal text, in every process and on every machine. A field that a later version adds, with a default, changes
neither the text nor the hash of older values.
"""

import hashlib
import json
import math
import struct
from collections.abc import Callable, Iterator, Mapping
from functools import cache, lru_cache
from json.encoder import encode_basestring_ascii as quote
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import attrs
import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.fields import NodeType, children_of, is_record
from fnloop.core.formatting import short
from fnloop.core.identity import callable_text, class_id

BY_REFERENCE: Final = MappingProxyType({"by_reference": True})  # metadata of a field whose record is written by its hash
NOT_DATA = ('{"@function"', '{"@name"', '{"@partial"', '{"@method"', '{"@callable"')  # within a string, quotes are escaped
NO_ALIASES: Final[Mapping[type, str]] = MappingProxyType({})


_Known = tuple[Any, str, str]  # an array or a record, held so that its `id` stays valid; its hash; and the text of a record


class Encoder:
    """Encodes values, and collects the arrays and the records that their texts name by hashes.

    Hashes are kept by identity, so that what two states in a row share is hashed once: `advance` starts the next value, and
    `forget` drops the hashes of the last one that it did not use.

    Args:
        aliases: Ids of classes that have another id in the file. Default: none.

    Attributes:
        arrays: The arrays since the last `advance`, by their hashes.
        records: The texts of records in fields of `BY_REFERENCE` since the last `advance`, by their hashes.
    """

    def __init__(self, aliases: Mapping[type, str] = NO_ALIASES) -> None:
        self.aliases = aliases
        self.arrays: dict[str, Array] = {}
        self.records: dict[str, str] = {}
        self._known: dict[int, _Known] = {}
        self._known_before: dict[int, _Known] = {}

    def advance(self) -> None:
        """Start the next value."""
        self._known_before, self._known = self._known, {}
        self.arrays, self.records = {}, {}

    def forget(self) -> None:
        """Forget what only the value before the last `advance` used, and with it the memory of its arrays."""
        self._known_before = {}

    def text(self, value: Any) -> str:
        """Return the text of a value.

        Raises:
            TypeError: If it contains something that has no text. The message has its path.
        """
        try:
            return _ENCODERS[type(value)](value, self)
        except TypeError as error:
            raise self._with_path(error, value) from None

    def split(self, value: Any) -> tuple[str, dict[str, str]]:
        """Return the text of a value, and the texts of its written fields, items or elements by name.

        Raises:
            TypeError: As `text`.
        """
        if not is_record(value):
            return self.text(value), {name: self.text(child) for name, child in children_of(value) or ()}
        fields: dict[str, str] = {}
        try:
            cls: type = type(value)
            return _compiled(cls, splits=True)(value, self, fields), fields
        except TypeError as error:
            raise self._with_path(error, value) from None

    def _with_path(self, error: TypeError, value: Any) -> TypeError:
        """Return the error of encoding a value with the path of the part that has no text."""
        path, cause = next(_causes(value, self, ""), ("", error))
        return TypeError(f"{path.lstrip('.') or 'value'} cannot be written to a file: {cause}")

    def array(self, array: Array) -> str:
        """Return the text of an array."""
        known = self._known.get(id(array)) or self._known_before.get(id(array)) or (array, array_hash(array), "")
        if not array.flags.writeable:
            self._known[id(array)] = known
        self.arrays[known[1]] = array
        return f'{{"@array":"{known[1]}"}}'

    def reference(self, record: Any) -> str:
        """Return the text that names a record by its hash."""
        known = self._known.get(id(record)) or self._known_before.get(id(record))
        if known is None:
            text = self.text(record)
            known = record, sha256_of(text), text
        self._known[id(record)] = known
        self.records[known[1]] = known[2]
        return f'{{"@ref":"{known[1]}"}}'


def sha256_of(text: str) -> str:
    """Return the SHA-256 of a text, in hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def canonical(tree: Any) -> str:
    """Return the text of a tree of JSON; of the tree of a text, that text."""
    return json.dumps(tree, separators=(",", ":"))


def array_hash(array: Array) -> str:
    """Return the SHA-256 of an array's dtype, shape and bytes in C order.

    Raises:
        TypeError: If the array holds objects or has fields, so that its bytes and its dtype do not determine it.
    """
    hashed = _hashed_head(array.dtype, array.shape).copy()
    content: Any = array.data if array.flags.c_contiguous and array.dtype.kind in "biufc" else array.tobytes()
    hashed.update(content)
    return str(hashed.hexdigest())


@lru_cache(1024)
def _hashed_head(dtype: "np.dtype[Any]", shape: tuple[int, ...]) -> Any:
    """Return the hash of an array's dtype and shape, to which its bytes are added."""
    if dtype.hasobject or dtype.names:
        raise TypeError(f"arrays must hold numbers, booleans or text of fixed length, got dtype {dtype}")
    return hashlib.sha256(f"{dtype.str} {shape}\0".encode())


def written_fields(record: Any) -> list[tuple[str, Any]]:
    """Return the stored names and the values of the fields of a record that are not at their defaults."""
    encoder = Encoder()
    cls: type = type(record)
    fields = encoded_fields(cls)
    values = [(field, getattr(record, field.name)) for field in fields]
    return [(field.stored_name, value) for field, value in values if encoder.text(value) != field.default_text]


_Encode = Callable[[Any, Encoder], str]


class _Encoders(dict[type, _Encode]):
    """The encoders by class; that of a class without one is found when it is first needed."""

    def __missing__(self, cls: type) -> _Encode:
        encoder = _find_encoder(cls)
        self[cls] = encoder
        return encoder


def _find_encoder(cls: type) -> _Encode:
    if hasattr(cls, "__attrs_attrs__"):
        return _compiled(cls)
    if cls in _EXACT:
        return _EXACT[cls]
    for base, encode in _BASES:
        if issubclass(cls, base):
            return encode
    return _callable


@cache  # compiled, since the text of a state is most of what recording a small network costs
def _compiled(cls: type, splits: bool = False) -> Callable[..., str]:
    """Compile the encoder of a record class, which takes a third less time than a loop over its fields.

        def encode(record, encoder, parts=None):
            text = head(cls, encoder) if encoder.aliases else own_head
            value = record.b1
            if value is not default0:                               # a default needs no text
                part = encoders[type(value)](value, encoder)        # or encode0(value, encoder)
                if part != default_text0:
                    text += key0 + part
                    parts["b1"] = part                              # only if it splits the text
            ...
            return text + "}"

    Args:
        cls: The class.
        splits: Whether the encoder puts the texts of the fields into a dictionary.
    """
    names: dict[str, Any] = {"cls": cls, "head": _head, "own_head": _head(cls, Encoder()), "encoders": _ENCODERS}
    lines = ["text = head(cls, encoder) if encoder.aliases else own_head"]
    for i, (name, _, key, default, default_text, encode) in enumerate(encoded_fields(cls)):
        names |= {f"key{i}": key, f"default{i}": default, f"default_text{i}": default_text, f"encode{i}": encode}
        lines += [
            f"value = record.{name}",
            f"if value is not default{i}:",
            f"    part = {f'encode{i}' if encode else 'encoders[type(value)]'}(value, encoder)",
            f"    if part != default_text{i}:",
            f"        text += key{i} + part",
            *([f"        parts[{name!r}] = part"] if splits else []),
        ]
    source = "\n    ".join(["def encode(record, encoder, parts=None):", *lines, 'return text + "}"'])
    exec(source, names)
    encoder: Callable[..., str] = names["encode"]
    return encoder


def _head(cls: type, encoder: Encoder) -> str:
    """Return the start of a record's text, up to its id."""
    return f'{{"@":{quote(encoder.aliases.get(cls) or class_id(cls))}'


class EncodedField(NamedTuple):
    """How a field of a record class is encoded.

    Attributes:
        name: Its name.
        stored_name: Its name in files.
        key: The start of its text in that of a record.
        default: Its default, `NOTHING` if it has none. A value that is the default itself needs no text.
        default_text: The text of the default, or None.
        encode: Its encoder; None if that depends on the type of the value.
    """

    name: str
    stored_name: str
    key: str
    default: Any
    default_text: str | None
    encode: _Encode | None


@cache
def encoded_fields(cls: type) -> tuple[EncodedField, ...]:
    """Return how the fields of a record class are encoded, in order."""
    return tuple(_encoded(field) for field in attrs.fields(cls) if field.init)


def _encoded(field: "attrs.Attribute[Any]") -> EncodedField:
    stored, default = stored_name(field), _default(field)
    text = None if default is attrs.NOTHING else Encoder().text(default)
    encode = _reference if field.metadata.get("by_reference") else None
    return EncodedField(field.name, stored, f",{quote(stored)}:", default, text, encode)


def stored_name(field: "attrs.Attribute[Any]") -> str:
    """Return the name of a field in files: its own, or the `stored_name` of its metadata if it was renamed."""
    return str(field.metadata.get("stored_name", field.name))


def _default(field: "attrs.Attribute[Any]") -> Any:
    """Return a field's default, or `NOTHING` if it has none, or one that depends on the other fields."""
    default: Any = field.default
    if isinstance(default, attrs.Factory):  # type: ignore[arg-type]
        default = attrs.NOTHING if default.takes_self else default.factory()
    return field.converter(default) if default is not attrs.NOTHING and callable(field.converter) else default


def _reference(record: Any, encoder: Encoder) -> str:
    return encoder.reference(record) if is_record(record) else encoder.text(record)


def _float(value: float, encoder: Encoder) -> str:
    return float.__repr__(value) if math.isfinite(value) else f'{{"@float":"{struct.pack(">d", value).hex()}"}}'


def _sequence(values: Any, encoder: Encoder) -> str:
    return f"[{','.join([_ENCODERS[type(value)](value, encoder) for value in values])}]"


def _mapping(mapping: Mapping[Any, Any], encoder: Encoder) -> str:
    parts = []
    for key, value in mapping.items():
        if not isinstance(key, str):
            raise TypeError(f"the keys of a mapping must be text, got {short(key)}")
        parts.append(f"{quote(key)}:{_ENCODERS[type(value)](value, encoder)}")
    return f'{{"@mapping":{{{",".join(parts)}}}}}'


def _array(value: Array, encoder: Encoder) -> str:
    if type(value) is not np.ndarray:
        raise TypeError(f"arrays must be plain ones, got a {type(value).__name__}, which would be read back as an ndarray")
    return encoder.array(value)


def _scalar(value: "np.generic[Any]", encoder: Encoder) -> str:
    if value.dtype.hasobject or value.dtype.names:
        raise TypeError(f"a NumPy scalar must be a number, a boolean or text, got dtype {value.dtype}")
    return f'{{"@scalar":["{value.dtype.str}","{value.tobytes().hex()}"]}}'


def _callable(value: Any, encoder: Encoder) -> str:
    if not callable(value):
        raise TypeError(f"only records, sequences, mappings, arrays, numbers and text can be, got {short(value)}")
    return callable_text(value, encoder.text)


_EXACT: Mapping[type, _Encode] = {  # a subclass, such as that of an enumeration, would be read back as its base
    bool: lambda value, encoder: "true" if value else "false",
    int: lambda value, encoder: int.__repr__(value),
    float: _float,
    str: lambda value, encoder: quote(value),
    NodeType: lambda value, encoder: quote(value),
    type(None): lambda value, encoder: "null",
}
_BASES: tuple[tuple[Any, _Encode], ...] = (
    (np.memmap, lambda value, encoder: encoder.array(value)),
    (np.ndarray, _array),
    (np.generic, _scalar),
    (tuple, _sequence),
    (list, _sequence),
    (Mapping, _mapping),
)
_ENCODERS = _Encoders()


def _causes(value: Any, encoder: Encoder, path: str) -> Iterator[tuple[str, TypeError]]:
    """Yield the path of each part that has no text, and its error; the parts of a part come first."""
    for name, child in children_of(value) or ():
        yield from _causes(child, encoder, f"{path}.{name}" if is_record(value) else f"{path}[{name}]")
    try:
        _ENCODERS[type(value)](value, encoder)
    except TypeError as error:
        yield path, error
