"""Records to JSON and arrays, and back: exact in every bit, and only to records on an allow-list.

A record's own constructor checks what comes back, so the codec is a walk and nothing more.
"""

import math
import struct
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import attrs
import numpy as np

from fnloop.core.arrays import Array, read_only
from fnloop.core.fields import field_names
from fnloop.core.formatting import short
from fnloop.core.parameters import Params


class UnknownRecord(ValueError):
    """A file may be whole, and be of records that only its user knows."""


def check_records(records: Any) -> tuple[type, ...]:
    """The record classes that a user adds to the list."""
    found = tuple(records) if isinstance(records, Iterable) and not isinstance(records, type) else (None,)
    if not all(isinstance(kind, type) for kind in found):
        raise TypeError(f"records must be a sequence of record classes, got {short(records)}")
    return found


def encode(value: Any, arrays: dict[str, Array], path: str = "") -> Any:
    """A value as JSON; its arrays go to `arrays` under their dotted path, parameters layer by layer.

    Raises: TypeError: for what is not data, such as a function.
    """
    if isinstance(value, Params) and value.model is not None:
        parts = [_place(array, arrays, name) for name, array in _named(value.layers, f"{path}.layers")]
        return {"type": "Params", "model": encode(value.model, arrays, f"{path}.model"), "vector": {"parts": parts}}
    if attrs.has(type(value)):
        fields = {name: encode(getattr(value, name), arrays, f"{path}.{name}") for name in field_names(type(value))}
        return {"type": type(value).__name__, **fields}
    if isinstance(value, np.ndarray):
        return {"array": _place(value, arrays, path)}
    if isinstance(value, np.generic):
        return {"scalar": _place(np.asarray(value), arrays, path)}
    if isinstance(value, Mapping):
        return {"mapping": {key: encode(item, arrays, f"{path}.{key}") for key, item in value.items()}}
    if isinstance(value, tuple | list):
        return [encode(item, arrays, f"{path}.{i}") for i, item in enumerate(value)]
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": struct.pack(">d", value).hex()}
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise TypeError(f"{path.lstrip('.')} cannot be written to a file, only data can: got {short(value)}")


def _named(layers: Any, path: str) -> Iterator[tuple[str, Array]]:
    """The arrays of nested records and sequences in their order, each with its dotted path."""
    if isinstance(layers, np.ndarray):
        yield path, layers
        return
    for name, item in layers._asdict().items() if hasattr(layers, "_asdict") else enumerate(layers):
        yield from _named(item, f"{path}.{name}")


def _place(array: Array, arrays: dict[str, Array], path: str) -> str:
    arrays[path.lstrip(".")] = array
    return path.lstrip(".")


def decode(tree: Any, arrays: Mapping[str, Array], kinds: Mapping[str, type]) -> Any:
    """The value that was encoded.

    Args:
        kinds: the records that may be built, by name.
    Raises: KeyError, TypeError, ValueError: if the tree is not one that `encode` makes of these records.
    """
    if isinstance(tree, list):
        return tuple(decode(item, arrays, kinds) for item in tree)
    if not isinstance(tree, dict):
        return tree
    if tree.keys() == {"array"}:
        return read_only(arrays[tree["array"]])
    if tree.keys() == {"scalar"}:
        return arrays[tree["scalar"]][()]
    if tree.keys() == {"parts"}:
        return read_only(np.concatenate([arrays[name].ravel() for name in tree["parts"]]))
    if tree.keys() == {"float"}:
        return struct.unpack(">d", bytes.fromhex(tree["float"]))[0]
    if tree.keys() == {"mapping"}:
        return {key: decode(item, arrays, kinds) for key, item in tree["mapping"].items()}
    if tree["type"] not in kinds:
        raise UnknownRecord(
            f"asks for a record {short(tree['type'])}, which is not on the list of known ones (your own go into records=[...])"
        )
    fields = {name: decode(item, arrays, kinds) for name, item in tree.items() if name != "type"}
    return kinds[tree["type"]](**fields)
