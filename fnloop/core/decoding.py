"""Values from the text of `core.encoding`: only data, and only records of classes on an allow-list.

The constructor of a record checks the decoded fields, so the decoder itself is only a walk over the tree.
"""

import re
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from types import MappingProxyType
from typing import Any

import attrs
import numpy as np

from fnloop.core.arrays import Array, read_only
from fnloop.core.encoding import stored_name
from fnloop.core.fields import children_of, is_record
from fnloop.core.formatting import listed, short
from fnloop.core.identity import PACKAGE, class_id, format_version, same_class, split_id
from fnloop.core.records import RECORD_TYPES

DTYPE = re.compile(r"[<>|][biufcmMSUV]\d+(\[\d*\w+\])?")  # NumPy would evaluate other texts


class UnknownRecord(ValueError):
    """A text has a record of a class that is not on the list, or of another form; the file itself may be whole."""


class NewerFormat(UnknownRecord):
    """A file has a newer format than this version reads; the file itself may be whole."""


class NotData(ValueError):
    """A text has a function, which can only be supplied."""


def check_records(records: Any) -> tuple[type, ...]:
    """Check the custom record classes that a caller allows, and return them.

    Raises:
        TypeError: If `records` is not a sequence of classes.
    """
    classes = tuple(records) if isinstance(records, Iterable) and not isinstance(records, type) else (None,)
    if not all(isinstance(cls, type) for cls in classes):
        raise TypeError(f"records must be a sequence of record classes, got {short(records)}")
    return classes


class Decoder:
    """Decodes trees, given what they name by hashes.

    Args:
        array: Returns an array by its hash.
        reference: Returns a record by the hash of its text.
        record_types: Record classes outside the package that may be built.
    """

    def __init__(
        self,
        array: Callable[[str], Array],
        reference: Callable[[str], Any],
        record_types: Iterable[type] = (),
    ) -> None:
        self._array, self._reference = array, reference
        self._types = tuple(record_types)

    def value(self, tree: Any) -> Any:
        """Return the value of a tree of JSON.

        Raises:
            NotData: If the tree has a function.
            UnknownRecord: If it has a record of another class, or of a newer form of a class.
            KeyError: If an array or a record is missing.
            TypeError: If a field has the wrong type.
            ValueError: If a field is invalid.

        Examples:
            >>> decoder = Decoder({"ab": np.zeros(2)}.__getitem__, {}.__getitem__)
            >>> decoder.value({"@mapping": {"lr": 0.1, "mu": {"@array": "ab"}}})
            {'lr': 0.1, 'mu': array([0., 0.])}
        """
        if isinstance(tree, list):
            return tuple(self.value(item) for item in tree)
        if not isinstance(tree, dict):
            return tree
        if "@" in tree:
            return self._record(tree)
        ((form, content),) = tree.items()
        if form not in self._FORMS:
            raise (
                NotData("has a function, which a file cannot hold")
                if form.startswith("@")
                else ValueError(f"unknown form {short(form)}")
            )
        return self._FORMS[form](self, content)

    def _record(self, tree: Mapping[str, Any]) -> Any:
        recorded_id, version = split_id(tree["@"])
        own = RECORD_TYPES.get(recorded_id)
        found = find_classes(recorded_id, self._types) if own is None else [own]
        if not found:
            name = recorded_id.rpartition(".")[2]
            others = [class_id(cls) for cls in self._types if cls.__name__ == name]
            how = "" if recorded_id.startswith(f"{PACKAGE}.") else " (allow a custom one by records=[...])"
            raise UnknownRecord(
                f"has a record {short(recorded_id)}, which is not on the list of known ones{how}"
                + (f"; {listed(others)} is of another module" if others else "")
            )
        if len(found) > 1:
            ids = listed(map(class_id, found))
            raise UnknownRecord(f"has a record {short(recorded_id)}, which may be of any of {len(found)} classes: {ids}")
        cls = found[0]
        fields = {name: item for name, item in tree.items() if name != "@"}
        with _reporting_refusal(recorded_id, is_own=own is not None):
            fields = upcast(cls, version, fields)
        names = _names(cls)
        for name in fields:
            if name not in names:
                raise UnknownRecord(f"has a field {short(name)} of {cls.__name__}, which this version does not know")
        values = {names[name]: self.value(item) for name, item in fields.items()}
        with _reporting_refusal(recorded_id, is_own=own is not None):
            return cls(**values)

    _FORMS: Mapping[str, Callable[["Decoder", Any], Any]] = MappingProxyType(
        {
            "@array": lambda self, name: read_only(self._array(name)),
            "@scalar": lambda self, content: _scalar(*content),
            "@float": lambda self, text: struct.unpack(">d", bytes.fromhex(text))[0],
            "@mapping": lambda self, items: {key: self.value(item) for key, item in items.items()},
            "@ref": lambda self, name: self._reference(name),
        }
    )


@contextmanager
def _reporting_refusal(recorded_id: str, is_own: bool) -> Iterator[None]:
    """Turn an error of a custom class, which may have changed since the file was written, into an `UnknownRecord`.

    Args:
        recorded_id: The id of the class.
        is_own: Whether it is a class of the package, whose error is unchanged.
    """
    try:
        yield
    except UnknownRecord:
        raise
    except Exception as error:
        if is_own:
            raise
        raise UnknownRecord(
            f"has a record {short(recorded_id)} that its class refuses: {str(error) or repr(error)}"
        ) from error


def upcast(cls: type, version: int, fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a record as the current form of its class has them.

    A class whose form changed in a way that a default cannot express has `format_version`, one above the former, and a static
    method `upcast(version, fields)`, which takes the trees of the fields of an older version and returns those of the current.

    Args:
        cls: The class.
        version: The version of the fields.
        fields: The trees of the fields by their names in files.

    Raises:
        UnknownRecord: If the version is newer than the class, or the class cannot read it.
    """
    current = format_version(cls)
    if version == current:
        return fields
    if version > current or not hasattr(cls, "upcast"):
        raise UnknownRecord(f"has a {cls.__name__} of form {version}, this version knows form {current}")
    return dict(cls.upcast(version, fields))


@cache
def _names(cls: type) -> dict[str, str]:
    """Return the names of the arguments of a record's constructor, by the names of its fields in files."""
    return {stored_name(field): field.name for field in attrs.fields(cls) if field.init}


def _scalar(dtype: str, content: str) -> Any:
    if not DTYPE.fullmatch(dtype):
        raise ValueError(f"a scalar has the dtype {short(dtype)}")
    return np.ndarray((), np.dtype(dtype), bytearray.fromhex(content) or bytearray(1))[()]  # an empty text has no bytes


def find_classes(recorded_id: str, classes: Iterable[type]) -> list[type]:
    """Return the classes that a recorded id may name: those with this id, else those that may have moved.

    Args:
        recorded_id: The id of a class outside the package, without its version.
        classes: The classes that may be built.
    """
    different = tuple(dict.fromkeys(classes))
    exact = [cls for cls in different if split_id(class_id(cls))[0] == recorded_id]
    return exact or [cls for cls in different if same_class(recorded_id, cls)]


def record_classes(value: Any) -> Iterator[type]:
    """Yield the class of each record in a value."""
    parts = [value]
    while parts:
        part = parts.pop()
        if is_record(part):
            yield type(part)
        parts += [child for _, child in reversed(children_of(part) or ())]


def aliases_of(tree: Any, classes: Iterable[type]) -> dict[type, str]:
    """Return the recorded ids of classes that have another id now, such as those of a script that ran as `__main__`.

    Args:
        tree: A tree of JSON that was recorded.
        classes: Classes outside the package.
    """
    classes, aliases = tuple(classes), dict[type, str]()
    for recorded in _ids(tree):
        name, version = split_id(recorded)
        found = [] if name in RECORD_TYPES else find_classes(name, classes)
        if len(found) == 1 and class_id(found[0]) != recorded and version == format_version(found[0]):
            aliases[found[0]] = recorded
    return aliases


def has_older_forms(tree: Any, classes: Iterable[type] = ()) -> bool:
    """Return whether a tree has a record whose class has a newer form now, so that it is upcast when it is decoded.

    Args:
        tree: A tree of JSON that was recorded.
        classes: Classes outside the package.
    """
    classes = tuple(classes)
    for recorded in _ids(tree):
        name, version = split_id(recorded)
        found = [RECORD_TYPES[name]] if name in RECORD_TYPES else find_classes(name, classes)
        if any(version < format_version(cls) for cls in found):
            return True
    return False


def _ids(tree: Any) -> Iterator[str]:
    """Yield the id of each record in a tree."""
    if isinstance(tree, dict):
        if isinstance(tree.get("@"), str):
            yield tree["@"]
        tree = list(tree.values())
    if isinstance(tree, list):
        for item in tree:
            yield from _ids(item)
