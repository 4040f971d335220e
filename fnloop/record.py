"""Frozen records: what every state, batch and hyperparameter is made of.

A record is an attrs class that cannot be changed, whose arrays cannot be changed either, and whose equality is that of bits.
"""

import hashlib
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import KW_ONLY
from functools import partial
from inspect import Parameter, Signature
from itertools import zip_longest
from types import MappingProxyType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, dataclass_transform, get_args, get_origin

import attrs
import numpy as np

from fnloop.calling import NONE, Code, checked
from fnloop.short import repr_of, short
from fnloop.typing import Array

T = TypeVar("T")
Hashed = tuple[Any, bytes]  # a value, held so that its identity stays its own, and its hash
Hashes = Mapping[int, Hashed]
_FIELDS: dict[type, tuple[str, ...]] = {}
KINDS: dict[str, type] = {}  # the package's own records by name: all that a file may ask for


@dataclass_transform(frozen_default=True, field_specifiers=(attrs.field,))
def record(cls: type[T]) -> type[T]:
    """Make a class a frozen record: fields are checked by their types, arrays frozen, equality is `same_bits`.

    Fields after a line `_: KW_ONLY` are given by name, as in a dataclass. The error of a wrong call names the arguments that
    there are; for others the class may have `hints`. Copies of a record are the record itself, and a pickled one comes back
    frozen.
    """
    for name, method in _METHODS.items():
        setattr(cls, name, method)
    if "__repr__" not in vars(cls):
        cls.__repr__ = repr_of  # type: ignore[method-assign]
    made: Any = attrs.frozen(cls, eq=False, field_transformer=_checked)
    made.__setattr__ = _refuse_change
    made.__init__ = checked(made.__init__, made.__name__, _signature(made), getattr(made, "hints", NONE))
    if cls.__module__.partition(".")[0] == "fnloop":
        KINDS[cls.__name__] = made
    return made  # type: ignore[no-any-return]


def evolve(record: T, **changes: Any) -> T:
    """The record with some fields changed; the others are those that it has."""
    cls = type(record)
    for name in field_names(cls):
        if name not in changes:
            changes[name] = getattr(record, name)
    return cls(**changes)


def freeze(array: Array) -> Array:
    """The array itself if nothing can write to it, else a read-only copy in C order."""
    if is_frozen(array):
        return array
    if array.dtype.hasobject:
        raise TypeError(f"arrays of objects cannot be frozen, got dtype {array.dtype}; allowed are numbers and booleans")
    return owned(np.array(array, order="C"))


def owned(array: Array) -> Array:
    """A read-only view of an array that the caller made and hands over: freezing without a copy."""
    array.flags.writeable = False
    return array.view()


def is_frozen(array: Array) -> bool:
    """Whether neither the array nor what it views can be written, and its order is C's."""
    flags = array.flags
    if flags.writeable or not flags.c_contiguous or array.dtype.hasobject:
        return False
    while isinstance(array.base, np.ndarray):  # a read-only view still changes through what it views
        array = array.base
    return not array.flags.writeable


def field_names(cls: type) -> tuple[str, ...]:
    """The fields that make a record what it is; a field with `init=False` is derived from them."""
    if cls not in _FIELDS:
        _FIELDS[cls] = tuple(field.name for field in attrs.fields(cls) if field.init)
    return _FIELDS[cls]


def is_record(value: Any) -> bool:
    """Whether a value is of a class of attrs."""
    return hasattr(type(value), "__attrs_attrs__")


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf of a record with its dotted path, depth first; each inner node gives a leaf with its type."""
    if is_record(value):
        yield path, type(value).__name__
        for name in field_names(type(value)):
            yield from leaves(getattr(value, name), f"{path}.{name}" if path else name)
    elif isinstance(value, Mapping):
        yield path, "mapping"
        for key, item in value.items():
            yield from leaves(item, f"{path}[{key!r}]")
    elif isinstance(value, tuple | list):
        yield path, f"sequence of {len(value)}"
        for index, item in enumerate(value):
            yield from leaves(item, f"{path}[{index}]")
    else:
        yield path, value


def bits(leaf: Any) -> tuple[str, bytes]:
    """A leaf's type and bytes: 0.0 differs from -0.0, 1 from 1.0 and from True, and NaN equals itself."""
    if isinstance(leaf, np.ndarray | np.generic):
        return f"array {leaf.dtype.str} {leaf.shape}", leaf.tobytes()
    if isinstance(leaf, float):
        return "float", struct.pack(">d", leaf)
    if isinstance(leaf, str | bool | int | type(None)):
        return type(leaf).__name__, str(leaf).encode()
    if callable(leaf):
        return "function", _place(leaf).encode()
    raise TypeError(f"a record may hold numbers, strings, arrays, mappings, sequences and records, got {short(leaf)}")


def _place(function: Any) -> str:
    """Where a function is defined; for one with arguments bound, also what they are."""
    if isinstance(function, partial):
        bound = *map(repr, function.args), *(f"{name}={value!r}" for name, value in sorted(function.keywords.items()))
        return f"{_place(function.func)}({', '.join(bound)})"
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    return f"{function.__module__}.{name}"


def same_bits(a: Any, b: Any) -> bool:
    """Whether two values are the same in every type, shape, dtype and bit: the one equality of states.

    Examples:
        >>> same_bits(0.0, -0.0), same_bits(float("nan"), float("nan"))
        (False, True)
    """
    return a is b or all(
        p == q and (x is y or bits(x) == bits(y))
        for (p, x), (q, y) in zip_longest(leaves(a), leaves(b), fillvalue=("", _MISSING))
    )


def digest(value: Any) -> str:
    """The SHA-256 of a record as a hex string: equal for equal bits, different for any change of any field.

    It is a tree of hashes, each record's made of its fields': what did not change need not be hashed again.
    """
    return hash_of(value).hex()


def identity(value: Any) -> str:
    """A record in words that are the same in every process: its fields, or its digest if it holds arrays or functions.

    Examples:
        >>> from fnloop.losses import Huber
        >>> identity(Huber())
        'Huber(delta=1.0)'
    """
    if not is_record(value):
        return type(value).__name__
    if any(callable(leaf) or isinstance(leaf, np.ndarray) for _, leaf in leaves(value)):
        return f"{type(value).__name__}({digest(value)[:12]})"
    fields = ((name, getattr(value, name)) for name in field_names(type(value)))
    named = (f"{name}={identity(field) if is_record(field) else repr(field)}" for name, field in fields)
    return f"{type(value).__name__}({', '.join(named)})"


def hash_of(value: Any, before: Hashes = MappingProxyType({}), now: dict[int, Hashed] | None = None) -> bytes:
    """The SHA-256 of a value.

    Args:
        before: arrays and records that were hashed before, by identity, with their hashes; they are not hashed again.
        now: takes those of this value.
    """
    hashed = before.get(id(value))
    if hashed is None:
        hashed = value, hashlib.sha256(_content(value, before, now)).digest()
    if now is not None and (isinstance(value, np.ndarray) or is_record(value)):
        now[id(value)] = hashed
    return hashed[1]


def _content(value: Any, before: Hashes, now: dict[int, Hashed] | None) -> bytes:
    """What is hashed of a value: of an array its hash, of a leaf its bytes, of all else the contents of its parts by name."""
    if isinstance(value, np.ndarray | np.generic):
        array = np.asarray(value)
        raw: Any = array if array.flags.c_contiguous else array.tobytes()
        return f"array {array.dtype.str} {array.shape}\0".encode() + hashlib.sha256(raw).digest()
    parts = parts_of(value)
    if parts is None:
        kind, content = bits(value)
        return f"{kind} {len(content)}\0".encode() + content
    header = type(value).__name__ if is_record(value) else "mapping" if isinstance(value, Mapping) else "sequence"
    contents = (
        _content(part, before, now) if isinstance(part, _LEAVES) else b"#" + hash_of(part, before, now) for _, part in parts
    )
    named = (name.encode() + b"\0" + content for (name, _), content in zip(parts, contents, strict=True))
    return f"{header} {len(parts)}\0".encode() + b"".join(named)


def parts_of(value: Any) -> list[tuple[str, Any]] | None:
    """What a record, mapping or sequence is made of, by name; None for a leaf."""
    if is_record(value):
        return [(name, getattr(value, name)) for name in field_names(type(value))]
    if isinstance(value, Mapping):
        return [(repr(key), item) for key, item in value.items()]
    return [(str(i), item) for i, item in enumerate(value)] if isinstance(value, tuple | list) else None


_LEAVES = float, int, str, type(None)  # too small to have hashes of their own
_MISSING = "\0nothing stands here"


def _checked(cls: type, fields: list["attrs.Attribute[Any]"]) -> list["attrs.Attribute[Any]"]:
    """Give each field the converter that its type asks for, and let those after `_: KW_ONLY` be given by name alone."""
    by_name, made = False, []
    for field in fields:
        if field.type is KW_ONLY:
            by_name = True
        else:
            converter = field.converter or _converter(field.name, field.type)
            made.append(field.evolve(converter=converter, kw_only=field.kw_only or by_name))
    return made


def _signature(cls: type) -> Signature:
    """The signature of a record's constructor as a person reads it: types without their checks, defaults as code."""
    fields = [field for field in attrs.fields(cls) if field.init]
    parameters = [
        Parameter(
            field.alias or field.name,
            Parameter.KEYWORD_ONLY if field.kw_only else Parameter.POSITIONAL_OR_KEYWORD,
            default=_default(field),
            annotation=Parameter.empty if field.type is None else Code(_type(field.type)),
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
    return Code(field.metadata.get("default", "...")) if factory.takes_self else factory.factory()


def _type(kind: Any) -> str:
    """A type as a person writes it: without modules, and without its check."""
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
    error.args = (f"{kind} is frozen: {name} cannot be set; {other}{name}=...) is another {kind} with that value",)
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
