"""What a run was begun with, as its file says it. A file may be anyone's: what is not as `describe` writes it is refused."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from fnloop.core.formatting import short
from fnloop.runs.packing import bounded

Check = Callable[[Any], bool]


def read_said(info: Mapping[str, str]) -> dict[str, Any]:
    """The values by name.

    Raises: ValueError: if one is missing, or not of its kind.
    """
    said = {name: json.loads(bounded(text)) for name, text in info.items()}
    for name, check in _SAID.items():
        if name not in said or not check(said[name]):
            raise ValueError(f"what it says of {short(name)} is not what is said of a run")
    if said["trainer"] is not None and said["train"] is None:
        raise ValueError("it has a trainer, but says nothing of its data")
    return said


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _or_none(check: Check) -> Check:
    return lambda value: value is None or check(value)


def _has(**fields: Check) -> Check:
    return lambda value: isinstance(value, dict) and all(name in value and ok(value[name]) for name, ok in fields.items())


def _each(check: Check) -> Check:
    """A mapping of values that are so."""
    return lambda value: isinstance(value, dict) and all(map(check, value.values()))


def _number(value: Any) -> bool:
    return type(value) in (int, float)


_DATA = _or_none(_has(digest=_text, packed=_or_none(_text)))
_SAID: Mapping[str, Check] = {
    "trainer": _or_none(_has(digest=_text, packed=_or_none(_text), repr=_text)),
    "train": _DATA,
    "validation": _DATA,
    "engine": lambda value: _text(value) and value.partition(":")[0] in ("numpy", "jax"),
    "monitor": _or_none(lambda value: isinstance(value, list) and len(value) == 2 and _monitored(*value)),
    "environment": _each(_text),
    "preprocessing": _or_none(_text),
    "parent": _or_none(_has(path=_text, epoch=_number, digest=_text, changes=_each(_text))),
    "before": lambda value: isinstance(value, list) and all(map(_each(_number), value)),
}


def _monitored(name: Any, mode: Any) -> bool:
    return _text(name) and mode in ("min", "max")
