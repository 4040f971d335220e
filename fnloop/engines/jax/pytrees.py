"""Frozen records as JAX pytrees, so that `jax.tree.map`, `jax.jit` and `jax.vmap` take them."""

from collections.abc import Container, Mapping
from types import MappingProxyType
from typing import Any, Literal, TypeVar

import jax

from fnloop.core.fields import field_names, is_record

T = TypeVar("T")

_REGISTERED: set[type] = set()  # JAX takes a class once, and has no function that tells whether it has a class


def register(cls: type[T], static: Container[str] = ()) -> None:
    """Make a frozen record a pytree.

    Its children are numbers, arrays, the values of mappings, and other records, which become pytrees when they are first met.
    Text, flags and None are part of the tree's structure. A record that JAX rebuilds holds whatever a transformation put in
    place of the leaves: its fields are not checked.

    Args:
        cls: The record class. It is left unchanged if it is a pytree already.
        static: Names of fields that are part of the structure whatever they hold, such as an architecture.
    """
    if cls in _REGISTERED:
        return
    _REGISTERED.add(cls)
    names = field_names(cls)

    def flatten(record: T) -> tuple[list[Any], tuple[Any, ...]]:
        children, structure = [], []
        for name in names:
            value = getattr(record, name)
            kind = "static" if name in static else _kind_of(value)
            children.append(_children(kind, value))
            structure.append((kind, value if kind == "static" else tuple(value) if kind == "mapping" else None))
        return children, tuple(structure)

    def unflatten(structure: tuple[Any, ...], children: Any) -> T:
        record = object.__new__(cls)
        for name, (kind, kept), child in zip(names, structure, children, strict=True):
            if kind == "mapping":
                value = MappingProxyType(dict(zip(kept, child, strict=True)))
            else:
                value = kept if kind == "static" else child
            object.__setattr__(record, name, value)
        return record

    jax.tree_util.register_pytree_node(cls, flatten, unflatten)


Kind = Literal["static", "mapping", "children"]


def _kind_of(value: Any) -> Kind:
    if isinstance(value, Mapping):
        return "mapping"
    if isinstance(value, tuple):
        return "static" if any(isinstance(item, str) for item in value) else "children"
    return "children" if is_record(value) or hasattr(value, "dtype") or type(value) in (int, float) else "static"


def _children(kind: Kind, value: Any) -> Any:
    """Return what JAX continues with, and make the records in it pytrees."""
    if kind == "static":
        return None
    items = tuple(value.values()) if kind == "mapping" else value
    for item in items if isinstance(items, tuple) else (items,):
        if is_record(item):
            register(type(item))
    return items
