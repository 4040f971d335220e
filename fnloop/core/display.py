"""Representations of values: as a call, on one line, and as an HTML table for notebooks."""

from collections.abc import Collection, Mapping
from html import escape
from typing import Any

import attrs

from fnloop.core.digest import same_bits
from fnloop.core.fields import is_record
from fnloop.core.formatting import call_of, cut_end, short

Facts = Mapping[str, str]
MAX_LENGTH = 60  # characters of one fact in a line


def one_line(name: str, facts: Facts, *counts: str) -> str:
    """Return a value as one line.

    Args:
        name: The name of its class.
        facts: Text by label.
        counts: Text without a label.

    Examples:
        >>> one_line("Params", {"dtype": "float32"}, "433 parameters")
        'Params(dtype=float32, 433 parameters)'
    """
    parts = [f"{label}={cut_end(fact, MAX_LENGTH)}" for label, fact in facts.items()]
    return f"{name}({', '.join([*parts, *counts])})"


def html_table(name: str, facts: Facts) -> str:
    """Return an HTML table with a row for each fact."""
    rows = "".join(
        f'<tr><th style="text-align: left">{escape(label)}</th><td style="text-align: left">{escape(fact)}</td></tr>'
        for label, fact in facts.items()
    )
    return f"<table><caption><b>{escape(name)}</b></caption>{rows}</table>"


def shape_and_dtype(array: Any) -> str:
    """Return an array's shape and dtype as text."""
    return f"{array.shape} {array.dtype}"


def pluralize(count: int, noun: str) -> str:
    """Return a count with its noun: `1 epoch`, `2 epochs`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def short_call(value: Any, without: Collection[str] = ()) -> str:
    """Return a record as a call without default arguments.

    Args:
        value: A record, a sequence of records, or any other value.
        without: Names of fields to leave out. Default: `()`.
    """
    if value is None:
        return "none"
    if isinstance(value, tuple | list):
        return ", ".join(map(short_call, value))
    if not is_record(value):
        return short(value)
    name, positional, named = call_of(value)
    fields = {field.name: field for field in attrs.fields(type(value))}
    changed = {field.name for field in non_default_fields(value)}
    arguments = [short_call(argument) for argument in positional]
    for label, argument in named.items():
        if label in without or (label in fields and label not in changed):
            continue
        text = short_call(argument)
        required = label in fields and fields[label].default is attrs.NOTHING and not fields[label].kw_only
        arguments.append(text if required else f"{label}={text}")
    return f"{name}({', '.join(arguments)})"


def non_default_fields(value: Any) -> list["attrs.Attribute[Any]"]:
    """Return the fields of a record that have no default or differ from it."""
    return [field for field in attrs.fields(type(value)) if field.init and not _is_default(value, field)]


def _is_default(value: Any, field: "attrs.Attribute[Any]") -> bool:
    default: Any = field.default
    if default is attrs.NOTHING:
        return False
    if isinstance(default, attrs.Factory):  # type: ignore[arg-type]
        default = default.factory(value) if default.takes_self else default.factory()
    try:
        return same_bits(getattr(value, field.name), default)
    except TypeError:  # not data, such as an array of objects
        return False
