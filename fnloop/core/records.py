"""Frozen records: states, batches, and the hyperparameters of every part.

A record is an attrs class whose fields and arrays cannot be changed, and whose equality is that of bits.
"""

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY
from inspect import Parameter, Signature
from types import MappingProxyType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, dataclass_transform, get_args, get_origin

import attrs
import numpy as np

from fnloop.core.arrays import Array, freeze, is_frozen
from fnloop.core.digest import digest, same_bits
from fnloop.core.fields import field_names
from fnloop.core.formatting import repr_of, short
from fnloop.core.identity import PACKAGE, class_id, split_id
from fnloop.core.signatures import NO_HINTS, CodeRepr, with_call_errors

T = TypeVar("T")
RECORD_TYPES: dict[str, type] = {}  # the package's records by id: the only classes that a file can load


@dataclass_transform(frozen_default=True, field_specifiers=(attrs.field,))
def frozen(cls: type[T]) -> type[T]:
    """Decorate a class to make it a frozen record: fields are checked by their types, arrays are frozen.

    Use it for a custom layer, loss, metric, scheduler or optimizer. Records are compared by `same_bits`. Fields after a line
    `_: KW_ONLY` are keyword-only, as in a dataclass. A copy of a record is the record itself, and unpickling returns a frozen
    record. A wrong call raises an error with the arguments that exist; `argument_hints`, a class attribute, may hold what to
    write instead of arguments that do not exist.

    Args:
        cls: A class with annotated fields. A field of type `Annotated[type, check]` holds what `check(name, value)` returns.

    Examples:
        >>> def positive(name, value):
        ...     if not value > 0:
        ...         raise ValueError(f"{name} must be positive, got {value}")
        ...     return float(value)
        >>> @frozen
        ... class Interval:
        ...     width: Annotated[float, positive]
        >>> Interval(2)
        Interval(width=2.0)
        >>> Interval(2) == Interval(2.0)
        True
    """
    for name, method in _METHODS.items():
        setattr(cls, name, method)
    if "__repr__" not in vars(cls):
        cls.__repr__ = repr_of  # type: ignore[method-assign]
    made: Any = attrs.frozen(cls, eq=False, field_transformer=_checked)
    made.__setattr__ = _refuse_change
    made.__init__ = with_call_errors(made.__init__, made.__name__, _signature(made), getattr(made, "argument_hints", NO_HINTS))
    name, _ = split_id(class_id(made))
    if name.startswith(f"{PACKAGE}."):
        RECORD_TYPES[name] = made
    return made  # type: ignore[no-any-return]


def evolve(record: T, **changes: Any) -> T:
    """Return a copy of a record with some fields changed."""
    cls = type(record)
    for name in field_names(cls):
        if name not in changes:
            changes[name] = getattr(record, name)
    return cls(**changes)


def evolve_unchecked(record: T, **changes: Any) -> T:
    """Return a copy of a record with some fields changed to values that its checks do not allow, such as traced numbers."""
    cls = type(record)
    copy = object.__new__(cls)
    for name in field_names(cls):
        object.__setattr__(copy, name, changes[name] if name in changes else getattr(record, name))
    return copy


def _checked(cls: type, fields: list["attrs.Attribute[Any]"]) -> list["attrs.Attribute[Any]"]:
    """Give each field the converter of its type, and make fields after `_: KW_ONLY` keyword-only."""
    keyword_only, converted = False, []
    for field in fields:
        if field.type is KW_ONLY:
            keyword_only = True
        else:
            converter = field.converter or _converter(field.name, field.type)
            converted.append(field.evolve(converter=converter, kw_only=field.kw_only or keyword_only))
    return converted


def _signature(cls: type) -> Signature:
    """Return the signature of a record's constructor for `help`: types without their checks, defaults as code."""
    fields = [field for field in attrs.fields(cls) if field.init]
    parameters = [
        Parameter(
            field.alias or field.name,
            Parameter.KEYWORD_ONLY if field.kw_only else Parameter.POSITIONAL_OR_KEYWORD,
            default=_default(field),
            annotation=Parameter.empty if field.type is None else CodeRepr(_type(field.type)),
        )
        for field in sorted(fields, key=lambda field: field.kw_only)
    ]
    return Signature([Parameter("self", Parameter.POSITIONAL_OR_KEYWORD), *parameters], return_annotation=None)


def _default(field: "attrs.Attribute[Any]") -> Any:
    if field.default is attrs.NOTHING:
        return Parameter.empty
    factory: Any = field.default
    if not isinstance(factory, attrs.Factory):  # type: ignore[arg-type]
        return factory
    return CodeRepr(field.metadata.get("default", "...")) if factory.takes_self else factory.factory()


def _type(kind: Any) -> str:
    """Return a type as source code, without modules and checks."""
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _type(parts[0])
    if origin in (Union, UnionType):
        return " | ".join(map(_type, parts))
    if origin is Callable or isinstance(kind, str | TypeVar) or (origin is None and not isinstance(kind, type)):
        return "Callable" if origin is Callable else str(kind).removeprefix("typing.")
    if origin is Literal:
        return f"Literal[{', '.join(map(repr, parts))}]"
    name = {type(None): "None", np.ndarray: "Array"}.get(origin or kind, getattr(origin or kind, "__name__", str(kind)))
    shown = ", ".join("..." if part is ... else _type(part) for part in parts)
    return f"{name}[{shown}]" if parts and name != "Array" else name


def _converter(name: str, kind: Any) -> Callable[[Any], Any] | None:
    if get_origin(kind) is Annotated:
        _, check, *_rest = get_args(kind)
        return lambda value: check(name, value)
    if kind == Array | None:
        return lambda value: None if value is None else _array(name, value)
    if kind == Array:
        return lambda value: _array(name, value)
    if kind == tuple[Array, ...]:
        return lambda value: tuple(_array(name, item) for item in value)
    if get_origin(kind) is Mapping or kind is Mapping:
        return lambda value: value if isinstance(value, MappingProxyType) else MappingProxyType(dict(value))
    return None


def _array(name: str, value: Any) -> Array:
    if type(value) is np.ndarray and is_frozen(value):
        return value
    if not isinstance(value, np.ndarray | np.generic):
        raise TypeError(f"{name} must be a NumPy array, got {short(value)}")
    try:
        return freeze(np.asarray(value) if isinstance(value, np.generic) else value)
    except TypeError as error:
        raise TypeError(f"{name}: {error}") from None


def _refuse_change(self: Any, name: str, value: Any) -> None:
    kind = type(self).__name__
    other = "replace(" if hasattr(self, "replace") else f"attrs.evolve({kind.lower()}, "
    error = attrs.exceptions.FrozenInstanceError()
    error.args = (f"{kind} is frozen: {name} cannot be set; {other}{name}=...) returns a copy with that value",)
    raise error


def _rebuild(cls: type[T], values: dict[str, Any]) -> T:
    return cls(**values)


def _reduce(self: Any) -> tuple[Any, ...]:
    values = {name: getattr(self, name) for name in field_names(type(self))}
    return _rebuild, (type(self), {k: dict(v) if isinstance(v, MappingProxyType) else v for k, v in values.items()})


_METHODS = {
    "__eq__": lambda self, other: same_bits(self, other) if type(other) is type(self) else NotImplemented,
    "__hash__": lambda self: hash(digest(self)),
    "__copy__": lambda self: self,
    "__deepcopy__": lambda self, memo: self,
    "__reduce__": _reduce,
}
