"""Records to JSON and arrays, and back: exact to the bit, and only to record classes on an allow-list.

The constructor of a record checks the decoded fields, so the codec itself is only a walk over the tree.
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
from fnloop.nn.model import Params


class UnknownRecord(ValueError):
    """A file has a record of a class that is not on the list; the file itself may be whole."""


def check_records(records: Any) -> tuple[type, ...]:
    """Check the custom record classes that a caller allows, and return them.

    Raises:
        TypeError: If `records` is not a sequence of classes.
    """
    classes = tuple(records) if isinstance(records, Iterable) and not isinstance(records, type) else (None,)
    if not all(isinstance(cls, type) for cls in classes):
        raise TypeError(f"records must be a sequence of record classes, got {short(records)}")
    return classes


def encode(value: Any, arrays: dict[str, Array], path: str = "") -> Any:
    """Return a value as a JSON tree, and put its arrays into `arrays`.

    Args:
        value: A record, or a nested sequence or mapping of records, arrays, numbers and texts.
        arrays: Receives each array under its dotted path; parameters are split into the arrays of their layers.
        path: The dotted path of the value itself.

    Raises:
        TypeError: If the value holds something that is not data, such as a function.

    Examples:
        >>> arrays = {}
        >>> encode({"lr": 0.1, "mu": np.zeros(2)}, arrays)
        {'mapping': {'lr': 0.1, 'mu': {'array': 'mu'}}}
        >>> arrays
        {'mu': array([0., 0.])}
    """
    if isinstance(value, Params) and value.model is not None:
        parts = [_put(array, arrays, name) for name, array in _arrays_of(value.layers, f"{path}.layers")]
        return {"type": "Params", "model": encode(value.model, arrays, f"{path}.model"), "vector": {"parts": parts}}
    if attrs.has(type(value)):
        fields = {name: encode(getattr(value, name), arrays, f"{path}.{name}") for name in field_names(type(value))}
        return {"type": type(value).__name__, **fields}
    if isinstance(value, np.ndarray):
        return {"array": _put(value, arrays, path)}
    if isinstance(value, np.generic):
        return {"scalar": _put(np.asarray(value), arrays, path)}
    if isinstance(value, Mapping):
        return {"mapping": {key: encode(item, arrays, f"{path}.{key}") for key, item in value.items()}}
    if isinstance(value, tuple | list):
        return [encode(item, arrays, f"{path}.{i}") for i, item in enumerate(value)]
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": struct.pack(">d", value).hex()}
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise TypeError(f"{path.lstrip('.')} cannot be written to a file, only data can: got {short(value)}")


def _arrays_of(layers: Any, path: str) -> Iterator[tuple[str, Array]]:
    """Yield the arrays of nested records and sequences in order, each with its dotted path."""
    if isinstance(layers, np.ndarray):
        yield path, layers
        return
    for name, item in layers._asdict().items() if hasattr(layers, "_asdict") else enumerate(layers):
        yield from _arrays_of(item, f"{path}.{name}")


def _put(array: Array, arrays: dict[str, Array], path: str) -> str:
    """Put an array under its path, and return the path."""
    name = path.lstrip(".")
    arrays[name] = array
    return name


def decode(tree: Any, arrays: Mapping[str, Array], record_types: Mapping[str, type]) -> Any:
    """Return the value that was encoded.

    Args:
        tree: The JSON tree.
        arrays: The arrays by their dotted paths.
        record_types: Record classes that may be built, by name.

    Raises:
        UnknownRecord: If the tree has a record of another class.
        KeyError: If an array or a field is missing.
        TypeError: If a field has the wrong type.
        ValueError: If a field is invalid.

    Examples:
        >>> decode({"mapping": {"lr": 0.1, "mu": {"array": "mu"}}}, {"mu": np.zeros(2)}, {})
        {'lr': 0.1, 'mu': array([0., 0.])}
    """
    if isinstance(tree, list):
        return tuple(decode(item, arrays, record_types) for item in tree)
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
        return {key: decode(item, arrays, record_types) for key, item in tree["mapping"].items()}
    if tree["type"] not in record_types:
        raise UnknownRecord(
            f"has a record {short(tree['type'])}, which is not on the list of known ones (allow a custom one by records=[...])"
        )
    fields = {name: decode(item, arrays, record_types) for name, item in tree.items() if name != "type"}
    return record_types[tree["type"]](**fields)
