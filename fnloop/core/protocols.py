"""Protocols at run time: which members a value lacks, found without evaluating any property.

`isinstance` with a `runtime_checkable` Protocol gives the same answer, but in Python 3.11 it evaluates every property of the
value, which may be slow or raise.
"""

from functools import lru_cache
from inspect import get_annotations
from typing import Any, Protocol


@lru_cache(maxsize=64)
def members_of(protocol: type) -> tuple[str, ...]:
    """Return the names of a protocol's members, in the order of their definition.

    Examples:
        >>> class Schedule(Protocol):
        ...     mode: str
        ...     def step(self, state): ...
        >>> members_of(Schedule)
        ('mode', 'step')
    """
    bases = [base for base in reversed(protocol.__mro__) if getattr(base, "_is_protocol", False) and base is not Protocol]
    names = (name for base in bases for name in (*get_annotations(base), *vars(base)))
    return tuple(dict.fromkeys(name for name in names if not name.startswith("_") or name == "__call__"))


def missing_members(value: Any, protocol: type) -> tuple[str, ...]:
    """Return the names of the protocol's members that a value lacks; an instance of a subclass lacks none."""
    if protocol in type(value).__mro__:
        return ()
    kind: type = type(value)
    return tuple(name for name in _not_in_class(kind, protocol) if not hasattr(value, name))


def fulfils(value: Any, protocol: type) -> bool:
    """Return whether a value is an instance, not a class, that has all members of a protocol.

    Examples:
        >>> class Schedule(Protocol):
        ...     def step(self, state): ...
        >>> class Constant:
        ...     def step(self, state):
        ...         return state
        >>> fulfils(Constant(), Schedule), fulfils(Constant, Schedule), fulfils("constant", Schedule)
        (True, False, False)
    """
    return not isinstance(value, type) and not missing_members(value, protocol)


@lru_cache(maxsize=256)
def _not_in_class(kind: type, protocol: type) -> tuple[str, ...]:
    """Return the names of the protocol's members that no class of a value defines; a property of a class is not evaluated."""
    return tuple(name for name in members_of(protocol) if not any(name in vars(base) for base in kind.__mro__))
