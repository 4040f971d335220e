"""The laws of functions of a stream of states."""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, repeat
from typing import Any

from hypothesis import strategies as st

from fnloop.core.digest import digest
from fnloop.testing.law import Law, require_callable, violate
from fnloop.testing.requirements import require, require_same
from fnloop.testing.strategies import metric_histories, states_of
from fnloop.training.state import TrainState

LAZY = Law("lazy", "a stream must be read once, and only as far as its result needs")
PURITY = Law("purity", "the same stream must give the same bits each time, and its states must not change")
REFERENCE = Law("selector = reference", "the selector must give what the reference gives for the list of all states")
ERRORS = Law("clear errors", "every stream, even an empty one, must give a result or a ValueError with a message")
ENDLESS = 1000  # a selector that reads this many states after the end of a run does not stop at all

Selector = Callable[[Iterable[TrainState]], Any]


def check_selector(
    selector: Selector,
    reference: Callable[[list[TrainState]], Any] | None = None,
    *,
    metric: str = "val_loss",
    max_examples: int | None = None,
) -> None:
    """Check the laws of a function of a stream: clear errors, purity, lazy, and, with a reference, that it agrees with it.

    The streams are runs with any history of a metric: with ties, NaN and infinities, after an initial state without metrics.

    Args:
        selector: Returns a state, a value, or an iterator of them for an iterable of states.
        reference: Returns the expected result for the list of all states; where it raises a `ValueError`, the selector must,
            too. By default there is no reference.
        metric: Name of the metric that the states have.
        max_examples: How many examples to try for each law; by default the number in the Hypothesis profile.

    Raises:
        LawError: If a law does not hold, with its name and the smallest counterexample, a history of the metric.
        TypeError: If `selector` is not a function.
        ValueError: If `max_examples` is below 1.

    Examples:
        >>> from fnloop.streams.select import last
        >>> check_selector(last, lambda states: states[-1], max_examples=20)

    See Also:
        `fnloop.testing.runs`
    """
    require_callable("selector", selector)
    histories = metric_histories(min_size=0, max_size=12)

    def clear_errors(length: int, history: list[float]) -> None:
        try:
            _result(selector, iter(states_of(history, metric)[:length]))
        except ValueError as error:
            require(str(error).strip(), raised=error, message="none")

    def purity(history: list[float]) -> None:
        states = states_of(history, metric)
        before = digest(states)
        first, second = _outcome(selector, iter(states)), _outcome(selector, iter(states))
        require(digest(states) == before, digest_before=before[:12], digest_after=digest(states)[:12])
        require_same(first, second, ("once", "again"))

    def lazy(history: list[float]) -> None:
        states = states_of(history, metric)
        seen: list[TrainState] = []
        result = _unread_result(selector, _recording(states, seen))
        if isinstance(result, Iterator):
            require(not seen, states_read_at_the_call=len(seen), expected=0)
            if _result(selector, iter(states)):
                next(selector(_endless(states)))

    def agrees(history: list[float]) -> None:
        states = states_of(history, metric)
        expected = _outcome(reference, states)  # type: ignore[arg-type]
        require_same(_outcome(selector, iter(states)), expected, ("the selector", "the reference"))

    ERRORS.check(clear_errors, max_examples, length=st.sampled_from([0, 1, 99]), history=histories)
    PURITY.check(purity, max_examples, history=histories)
    LAZY.check(lazy, max_examples, history=histories)
    if reference is not None:
        REFERENCE.check(agrees, max_examples, history=histories)


def _result(selector: Selector, states: Any) -> Any:
    """The result of a selector; an iterator is read to its end."""
    result = selector(states)
    return list(result) if isinstance(result, Iterator) else result


def _unread_result(selector: Selector, states: Any) -> Any:
    """The result of a selector, of which nothing has been read; None if it raises a ValueError."""
    try:
        return selector(states)
    except ValueError:
        return None


def _outcome(selector: Selector, states: Any) -> Any:
    """The summarized result of a selector, or "ValueError" if it raises one."""
    try:
        return _summary(_result(selector, states))
    except ValueError:
        return "ValueError"


def _summary(result: Any) -> Any:
    """A result in which each state is replaced by its epoch, metrics and digest, which identify it in a message."""
    if isinstance(result, TrainState):
        return {"epoch": result.epoch, "metrics": result.metrics, "digest": digest(result)[:12]}
    return list(map(_summary, result)) if isinstance(result, list | tuple) else result


def _recording(states: list[TrainState], seen: list[TrainState]) -> Iterator[TrainState]:
    """Yield states, and append each to `seen` when it is read."""
    for state in states:
        seen.append(state)
        yield state


def _endless(states: list[TrainState]) -> Iterator[TrainState]:
    """Yield the states, then the last one over and over; reading too many breaks the law."""
    yield from chain(states, repeat(states[-1], ENDLESS))
    violate({"states read for the first element": len(states) + ENDLESS, "of a stream": "without end"})
