"""Copies of records with changed fields, also those of inner records."""

from collections.abc import Mapping
from typing import Any, TypeVar

from fnloop.core.fields import field_names, is_record
from fnloop.core.formatting import listed, short
from fnloop.core.records import evolve
from fnloop.core.signatures import NO_HINTS, did_you_mean

T = TypeVar("T")


def with_changes(record: T, changes: Mapping[str, Any]) -> T:
    """Return a copy of a record with other fields.

    Args:
        record: The record.
        changes: New values by name, such as `seed`, or by the path to a field of an inner record: `scheduler.initial_lr`.

    Raises:
        TypeError: If a field does not exist.
    """
    kind = type(record)
    names = field_names(kind) if is_record(record) else ()
    new: dict[str, Any] = {}
    inner: dict[str, dict[str, Any]] = {}
    for path, value in changes.items():
        name, dot, rest = path.partition(".")
        if name not in names:
            hints = getattr(kind, "argument_hints", NO_HINTS)
            hint = f": {hints[name]}" if name in hints else did_you_mean(name, names)
            raise TypeError(f"{kind.__name__} has no field {short(name)}{hint}; it has {listed(names)}")
        if dot:
            inner.setdefault(name, {})[rest] = value
        else:
            new[name] = value
    parts = {name: with_changes(new.get(name, getattr(record, name)), changed) for name, changed in inner.items()}
    return evolve(record, **{**new, **parts})
