"""Equality by bits, and the hash of a value."""

import struct
from contextlib import suppress
from itertools import zip_longest
from typing import Any

import numpy as np

from fnloop.core.encoding import Encoder, sha256_of, written_fields
from fnloop.core.fields import is_record, leaves
from fnloop.core.formatting import short
from fnloop.core.identity import PACKAGE, callable_text, class_id, split_id


def bits(leaf: Any) -> tuple[str, bytes]:
    """Return a leaf's type and bytes: 0.0 differs from -0.0, 1 from 1.0 and from True, and NaN equals itself."""
    if isinstance(leaf, np.ndarray | np.generic):
        kind = "array" if isinstance(leaf, np.ndarray) else "scalar"
        return f"{kind} {leaf.dtype.str} {leaf.shape}", leaf.tobytes()
    if isinstance(leaf, float):
        return "float", struct.pack(">d", leaf)
    if isinstance(leaf, str | bool | int | type(None)):
        return type(leaf).__name__, str(leaf).encode(errors="surrogatepass")
    if callable(leaf):
        return "function", _identity(leaf).encode()
    raise TypeError(f"a record may hold numbers, strings, arrays, mappings, sequences and records, got {short(leaf)}")


def _identity(function: Any) -> str:
    """Return what a function is as text; one that cannot be identified, since it holds a lock or similar, is only itself."""
    try:
        return callable_text(function, Encoder().text)
    except TypeError:
        return f"{class_id(type(function))} at {id(function)}"


def same_bits(a: Any, b: Any) -> bool:
    """Return whether two values are equal in every type, shape, dtype and bit. This is the equality of states.

    Functions are equal if their code, constants, closures and defaults are.

    Args:
        a: A record, mapping, sequence, array or other leaf.
        b: The value to compare with.

    Examples:
        >>> same_bits(0.0, -0.0), same_bits(float("nan"), float("nan"))
        (False, True)
    """
    return a is b or all(
        p == q and (x is y or bits(x) == bits(y))
        for (p, x), (q, y) in zip_longest(leaves(a), leaves(b), fillvalue=("", _MISSING))
    )


def digest(value: Any) -> str:
    """Return the SHA-256 of a value, a hex string that is equal for equal bits: the hash of the text that files hold.

    It is the same in every process, on every machine and, for values without functions, in every version of Python.

    Args:
        value: A record, mapping, sequence, array or other leaf.

    Raises:
        TypeError: If it contains something that has no text, such as a mapping whose keys are not text.

    Examples:
        >>> digest(0.0) == digest(-0.0)
        False
    """
    return sha256_of(Encoder().text(value))


def stable_repr(value: Any) -> str:
    """Return a text that is the same in every process: the fields that are not at their defaults.

    A record that holds arrays or functions is shown by its digest, and one of a class outside the package as custom.

    Examples:
        >>> from fnloop.losses import Huber
        >>> stable_repr(Huber()), stable_repr(Huber(2.0))
        ('Huber()', 'Huber(delta=2.0)')
    """
    cls = type(value)
    if not is_record(value):
        return cls.__name__
    of_package, (name, _) = f"{PACKAGE}.", split_id(class_id(cls))
    name = name.removeprefix(of_package) if name.startswith(of_package) else f"custom {cls.__name__}"
    if any(callable(leaf) or isinstance(leaf, np.ndarray) for _, leaf in leaves(value)):
        with suppress(TypeError):  # a function that cannot be identified is known by the name of its record
            return f"{name}({digest(value)[:12]})"
        return name
    named = (f"{field}={stable_repr(part) if is_record(part) else repr(part)}" for field, part in written_fields(value))
    return f"{name}({', '.join(named)})"


_MISSING = "\0missing"
