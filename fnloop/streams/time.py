"""Time: the seconds that each state took, and streams that end when a time budget is spent."""

from collections.abc import Callable, Iterable, Iterator
from time import perf_counter

from fnloop.core.checks import real
from fnloop.core.signatures import curry
from fnloop.streams.stopping import until
from fnloop.training.state import TrainState

Clock = Callable[[], float]


def timed(states: Iterable[TrainState]) -> Iterator[tuple[TrainState, float]]:
    """Yield each state with the seconds that the stream took to produce it.

    Args:
        states: The stream.
    """
    iterator, start = iter(states), perf_counter()
    for state in iterator:
        yield state, perf_counter() - start
        start = perf_counter()


@curry
def until_seconds(seconds: float, states: Iterable[TrainState], *, clock: Clock = perf_counter) -> Iterator[TrainState]:
    """Yield states up to and including the first that arrives after a time budget is spent.

    The clock starts when the first state is requested.

    Args:
        seconds: The budget in seconds, above 0.
        states: The stream.
        clock: A function that returns the time in seconds.

    Raises:
        TypeError: If `seconds` is not a number.
        ValueError: If `seconds` is not finite or not above 0.

    Examples:
        >>> ticks = iter([0.0, 4.0, 8.0, 12.0])
        >>> list(until_seconds(10, "abcdef", clock=lambda: next(ticks)))
        ['a', 'b', 'c']

    See Also:
        `until`
    """
    return _until_seconds(real("(0, inf)")("seconds", seconds), states, clock)


def _until_seconds(seconds: float, states: Iterable[TrainState], clock: Clock) -> Iterator[TrainState]:
    yield from until(deadline(seconds, clock), states)


def deadline(seconds: float, clock: Clock = perf_counter) -> Callable[[TrainState], bool]:
    """Return the predicate "the time is up"; the clock starts now.

    Args:
        seconds: The time until the deadline, in seconds.
        clock: A function that returns the time in seconds.
    """
    end = clock() + seconds
    return lambda state: clock() >= end
