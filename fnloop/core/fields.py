"""The fields of a record, and the leaves of a tree of records."""

from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from fnloop.core.identity import class_id

_FIELDS: dict[type, tuple[str, ...]] = {}


def field_names(cls: type) -> tuple[str, ...]:
    """Return the names of a record's fields, without those with `init=False`, which are derived from the others."""
    if cls not in _FIELDS:
        _FIELDS[cls] = tuple(field.name for field in attrs.fields(cls) if field.init)
    return _FIELDS[cls]


def is_record(value: Any) -> bool:
    """Return whether a value is an instance of an attrs class."""
    return hasattr(type(value), "__attrs_attrs__")


class NodeType(str):
    """The type of an inner node among the leaves of a tree. Its bits differ from those of an equal string."""

    __slots__ = ()


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every leaf of a record with its dotted path, depth first; an inner node yields its type."""
    if is_record(value):
        yield path, NodeType(class_id(type(value)))
        for name in field_names(type(value)):
            yield from leaves(getattr(value, name), f"{path}.{name}" if path else name)
    elif isinstance(value, Mapping):
        yield path, NodeType("mapping")
        for key, item in value.items():
            yield from leaves(item, f"{path}[{key!r}]")
    elif isinstance(value, tuple | list):
        yield path, NodeType(f"sequence of {len(value)}")
        for index, item in enumerate(value):
            yield from leaves(item, f"{path}[{index}]")
    else:
        yield path, value


def children_of(value: Any) -> list[tuple[str, Any]] | None:
    """Return the names and values of a record's fields, a mapping's items or a sequence's elements; None for a leaf."""
    if is_record(value):
        return [(name, getattr(value, name)) for name in field_names(type(value))]
    if isinstance(value, Mapping):
        return [(repr(key), item) for key, item in value.items()]
    return [(str(i), item) for i, item in enumerate(value)] if isinstance(value, tuple | list) else None
