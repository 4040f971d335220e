"""What holds of every function of a stream of states."""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, repeat
from typing import Any

from hypothesis import strategies as st

from fnloop.core.digest import digest
from fnloop.testing.law import Law, check_part, fail, require, require_same
from fnloop.testing.strategies import metric_histories, run_of
from fnloop.training.state import TrainState

LAZY = Law("lazy", "a stream must be read only as far as is asked for, and once")
PURITY = Law("purity", "the same stream must give the same bits again, and its states must stay as they were")
REFERENCE = Law("selector = reading of the whole", "the selector must give what the reference gives for the list of states")
ERRORS = Law("clear errors", "any stream, an empty one too, must give a result or a ValueError that says why not")
ENDLESS = 1000  # states read behind a run's end are taken for no end

Selector = Callable[[Iterable[TrainState]], Any]


def check_selector(
    selector: Selector,
    reference: Callable[[list[TrainState]], Any] | None = None,
    *,
    metric: str = "val_loss",
    max_examples: int | None = None,
) -> None:
    """Check that a function of a stream keeps the laws: clear errors, purity, lazy, and equality with a plain reading.

    It is tried on runs with any history of the metric: ties, NaN and infinities, the initial state without metrics first.

    Args:
        selector: of an iterable of states; what it returns is a state, a value, or an iterator of such.
        reference: what it should give, from the list of all states. Where the reference raises a ValueError, so should it.
        metric: the one metric that the states have.
        max_examples: tried for each law; by default as many as Hypothesis's profile says.
    Raises: LawError: with the law's name and the smallest counter-example: the metric's history.

    Examples:
        >>> from fnloop.streams.select import last
        >>> check_selector(last, lambda states: states[-1], max_examples=20)

    See Also: fnloop.testing.runs
    """
    check_part("selector", selector, "__call__")
    histories = metric_histories(min_size=0, max_size=12)

    def errors(length: int, history: list[float]) -> None:
        stream = run_of(history, metric)[:length]
        try:
            _result(selector, iter(stream))
        except ValueError as error:
            require(str(error).strip(), raised=error, message="none")

    def purity(history: list[float]) -> None:
        states = run_of(history, metric)
        before = digest(states)
        once, again = _outcome(selector, iter(states)), _outcome(selector, iter(states))
        require(digest(states) == before, digest_before=before[:12], digest_after=digest(states)[:12])
        require_same(once, again, ("once", "again"))

    def lazy(history: list[float]) -> None:
        states = run_of(history, metric)
        read: list[TrainState] = []
        opened = _opened(selector, _noting(states, read))
        if isinstance(opened, Iterator):
            require(not read, states_read_at_the_call=len(read), expected=0)
            if _result(selector, iter(states)):
                next(selector(_endless(states)))

    def equal(history: list[float]) -> None:
        states = run_of(history, metric)
        expected = _outcome(reference, states)  # type: ignore[arg-type]
        require_same(_outcome(selector, iter(states)), expected, ("the selector", "the reference"))

    ERRORS.check(errors, max_examples, length=st.sampled_from([0, 1, 99]), history=histories)
    PURITY.check(purity, max_examples, history=histories)
    LAZY.check(lazy, max_examples, history=histories)
    if reference is not None:
        REFERENCE.check(equal, max_examples, history=histories)


def _result(selector: Selector, states: Any) -> Any:
    """What a selector gives; of an iterator all of it."""
    chosen = selector(states)
    return list(chosen) if isinstance(chosen, Iterator) else chosen


def _opened(selector: Selector, states: Any) -> Any:
    """What it returns, of which nothing has been asked yet; None if it refuses."""
    try:
        return selector(states)
    except ValueError:
        return None


def _outcome(selector: Selector, states: Any) -> Any:
    """What it gives, or that it refuses."""
    try:
        return _shown(_result(selector, states))
    except ValueError:
        return "ValueError"


def _shown(chosen: Any) -> Any:
    """A state as what tells it apart in a message: its epoch, its metrics and its digest."""
    if isinstance(chosen, TrainState):
        return {"epoch": chosen.epoch, "metrics": chosen.metrics, "digest": digest(chosen)[:12]}
    return list(map(_shown, chosen)) if isinstance(chosen, list | tuple) else chosen


def _noting(states: list[TrainState], read: list[TrainState]) -> Iterator[TrainState]:
    for state in states:
        read.append(state)
        yield state


def _endless(states: list[TrainState]) -> Iterator[TrainState]:
    """The states, and the last of them again and again: who reads on and on is found."""
    yield from chain(states, repeat(states[-1], ENDLESS))
    fail({"states read for the first element": len(states) + ENDLESS, "of a stream": "without end"})
