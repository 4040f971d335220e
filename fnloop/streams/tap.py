"""Effects on the way: call a function with each state of a stream, and pass the state on unchanged."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from fnloop.core.formatting import short
from fnloop.core.signatures import curry
from fnloop.training.state import TrainState


@curry
def tap(function: Callable[[TrainState], Any], states: Iterable[TrainState]) -> Iterator[TrainState]:
    """Call a function with each state as it passes, for its side effect; the stream stays the same.

    Args:
        function: Called with each state; its result is ignored.
        states: The stream.

    Raises:
        TypeError: If `function` is not callable.

    Examples:
        >>> list(tap(print, range(2)))
        0
        1
        [0, 1]

    See Also:
        `every`
    """
    if not callable(function):
        raise TypeError(f"function must take a state, got {short(function)}")
    return _tap(function, states)


def _tap(function: Callable[[TrainState], Any], states: Iterable[TrainState]) -> Iterator[TrainState]:
    for state in states:
        function(state)
        yield state
