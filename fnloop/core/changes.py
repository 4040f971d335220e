"""Copies of records with changed fields, also those of inner records."""

import re
from collections.abc import Mapping
from typing import Any, TypeVar

from fnloop.core.fields import field_names, is_record
from fnloop.core.formatting import listed, short
from fnloop.core.records import evolve
from fnloop.core.signatures import NO_HINTS, did_you_mean

T = TypeVar("T")
STEP = re.compile(r"(\[[^.[]*|[^.[]*)\.?(.*)", re.DOTALL)  # of a path: a name or an index, and the rest


def with_changes(record: T, changes: Mapping[str, Any]) -> T:
    """Return a copy of a record with other fields.

    Args:
        record: The record.
        changes: New values by name, such as `seed`, or by the path to a field of an inner record, such as
            `scheduler.initial_lr` or `optimizer.transformations[1].b1`.

    Raises:
        TypeError: If a field does not exist.
    """
    kind, old = type(record), _parts(record)
    new: dict[str, Any] = {}
    inner: dict[str, dict[str, Any]] = {}
    for path, value in changes.items():
        name, rest = STEP.fullmatch(path).groups()  # type: ignore[union-attr]
        if name not in old:
            hints = getattr(kind, "argument_hints", NO_HINTS)
            hint = f": {hints[name]}" if name in hints else did_you_mean(name, [*old])
            raise TypeError(f"{kind.__name__} has no field {short(name)}{hint}; it has {listed([*old])}")
        if rest:
            inner.setdefault(name, {})[rest] = value
        else:
            new[name] = value
    changed = new | {name: with_changes(new.get(name, old[name]), of_part) for name, of_part in inner.items()}
    return tuple((old | changed).values()) if isinstance(record, tuple) else evolve(record, **changed)  # type: ignore[return-value]


def _parts(record: Any) -> dict[str, Any]:
    """Return the fields of a record by name, or the items of a tuple by index; other values have none."""
    if isinstance(record, tuple):
        return {f"[{i}]": item for i, item in enumerate(record)}
    return {name: getattr(record, name) for name in (field_names(type(record)) if is_record(record) else ())}
