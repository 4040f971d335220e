"""Iteration over a stream, where toolz has no function for it."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

T = TypeVar("T")


def take_until(predicate: Callable[[T], Any], items: Iterable[T]) -> Iterator[T]:
    """Yield items up to and including the first for which a predicate holds; the rest is not read.

    Args:
        predicate: Called once with each item, before it is yielded.
        items: The stream.

    Examples:
        >>> list(take_until(lambda n: n > 2, range(8)))
        [0, 1, 2, 3]
    """
    for item in items:
        is_last = predicate(item)
        yield item
        if is_last:
            return
