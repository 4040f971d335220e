"""A walk over objects that may contain one another: each part of a cycle is written once, then named by where it was."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any


class Walk:
    """A walk over objects, which gives each a text that depends on what it contains alone.

    An object that is reached again while a cycle through it is being written is named by the number of objects between, so
    that equal cycles have equal texts wherever they are.

    Examples:
        >>> loop = []
        >>> loop.append(loop)
        >>> walk = Walk()
        >>> def write(value):
        ...     return walk.visit(value, lambda: f"[{', '.join(map(write, value))}]")
        >>> write(loop), write([[], [loop]])
        ('[{"@cycle":0}]', '[[], [[{"@cycle":0}]]]')
    """

    def __init__(self) -> None:
        self._open: dict[int, tuple[int, Any]] = {}  # by id: the position of an object that may be part of a cycle
        self._frames: list[list[int]] = []  # of the objects being written: its position, and the lowest that it reaches
        self._closed: dict[int, tuple[Any, str]] = {}  # by id: an object that is in no cycle with others, and its text

    def visit(self, value: Any, write: Callable[[], str]) -> str:
        """Return the text of an object.

        Args:
            value: The object.
            write: Returns its text, and visits what it contains.
        """
        key = id(value)
        if key in self._closed:
            return self._closed[key][1]
        if key in self._open:
            return self._name(self._open[key][0])
        position = len(self._open)
        self._open[key] = position, value
        self._frames.append([position, position])
        is_alone = False
        try:
            text = write()
            is_alone = len(self._open) == position + 1 and self._frames[-1][1] == position
        finally:
            self._leave()
        if is_alone:
            self._closed[key] = value, text
        return text

    def _name(self, position: int) -> str:
        current = self._frames[-1]
        current[1] = min(current[1], position)
        return f'{{"@cycle":{current[0] - position}}}'

    def _leave(self) -> None:
        """Forget the objects of a cycle when its first one is written: Tarjan's strongly connected components."""
        position, lowest = self._frames.pop()
        if lowest < position:
            self._frames[-1][1] = min(self._frames[-1][1], lowest)
            return
        while len(self._open) > position:
            self._open.popitem()


_CURRENT: ContextVar[Walk | None] = ContextVar("_CURRENT", default=None)


@contextmanager
def current_walk() -> Iterator[Walk]:
    """Use the walk that is under way in this thread, or a new one."""
    walk = _CURRENT.get()
    if walk is not None:
        yield walk
        return
    token = _CURRENT.set(Walk())
    try:
        yield _CURRENT.get()  # type: ignore[misc]
    finally:
        _CURRENT.reset(token)
