"""Parts by their names: one lookup for losses, optimizers and all else that a person may name."""

from collections.abc import Mapping
from typing import Any, TypeVar

from fnloop.core.formatting import short
from fnloop.core.signatures import did_you_mean

T = TypeVar("T")


def by_name(kind: str, name: str, known: Mapping[str, T], otherwise: str = "") -> T:
    """What a name means, whatever its case, hyphens, underscores and spaces.

    Args:
        kind: what the name is for, such as "loss".
        known: what each name means; of those that mean the same the error lists the first.
        otherwise: what is allowed instead of a name, for the error.
    Raises: ValueError: for an unknown name, with those that there are.
    """
    plain = {_plain(key): value for key, value in known.items()}
    if _plain(name) in plain:
        return plain[_plain(name)]
    firsts: dict[Any, str] = {}
    for key, value in known.items():
        firsts.setdefault(value, key)
    allowed = ", ".join(map(repr, firsts.values()))
    raise ValueError(f"{kind} must be one of {allowed}{otherwise}, got {short(name)}{did_you_mean(name, known)}")


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter not in "-_ ")
