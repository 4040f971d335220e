"""Text that the docstrings of two classes share."""

import re
from collections.abc import Callable
from textwrap import dedent, indent
from typing import TypeVar

Class = TypeVar("Class", bound=type)


def insert(**texts: str) -> Callable[[Class], Class]:
    """Return a class decorator that replaces each line `{name}` of the docstring by a text, indented as that line.

    Args:
        texts: The texts by their names.

    Examples:
        >>> @insert(parameters="a: A number.")
        ... class Pair:
        ...     '''Two numbers.
        ...
        ...     Args:
        ...         {parameters}
        ...         b: Another one.
        ...     '''
        >>> print(Pair.__doc__.splitlines()[-3].strip())
        a: A number.
    """

    def decorate(cls: Class) -> Class:
        for name, text in texts.items():
            cls.__doc__ = cls.__doc__ and re.sub(rf"^( *)\{{{name}\}}$", _indented(text), cls.__doc__, flags=re.M)
        return cls

    return decorate


def _indented(text: str) -> Callable[[re.Match[str]], str]:
    """Return the function of a match that returns the text, indented as the match."""
    return lambda match: indent(dedent(text).strip(), match[1])
