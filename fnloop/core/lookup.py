"""Lookup by name of losses, optimizers and other parts."""

from collections.abc import Mapping
from typing import Any, TypeVar

from fnloop.core.formatting import short
from fnloop.core.signatures import did_you_mean

T = TypeVar("T")


def by_name(kind: str, name: str, known: Mapping[str, T], otherwise: str = "") -> T:
    """Return the value of a name; case, hyphens, underscores and spaces do not matter.

    Args:
        kind: What the name is for, such as "loss".
        name: The name.
        known: The value of each name. Of names with the same value, the error lists the first.
        otherwise: What is allowed instead of a name, for the error. Default: `""`.

    Raises:
        ValueError: If the name is unknown.
    """
    plain = {_normalized(key): value for key, value in known.items()}
    if _normalized(name) in plain:
        return plain[_normalized(name)]
    firsts: dict[Any, str] = {}
    for key, value in known.items():
        firsts.setdefault(value, key)
    allowed = ", ".join(map(repr, firsts.values()))
    raise ValueError(f"{kind} must be one of {allowed}{otherwise}, got {short(name)}{did_you_mean(name, known)}")


def _normalized(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter not in "-_ ")
