"""Functions that choose states from a stream: the best, the k best, the last, every n-th."""

import math
from collections.abc import Iterable, Iterator
from heapq import nsmallest

import numpy as np

from fnloop.core.checks import Mode, integer
from fnloop.core.errors import NoBestError
from fnloop.core.formatting import short
from fnloop.core.signatures import curry
from fnloop.metrics import check_mode, improves, look_up
from fnloop.streams.history import with_new_metrics
from fnloop.training.state import TrainState


@curry
def best(metric: str, states: Iterable[TrainState], *, mode: Mode | None = None) -> TrainState:
    """Return the state with the best value of a metric; of equal values, the earliest.

    States without metrics, such as the initial one, are skipped. A state whose value is NaN, or whose parameters are not
    finite, is never the best.

    Args:
        metric: Name of the metric, such as `"val_loss"`.
        states: The stream; it is read to its end.
        mode: `"min"` or `"max"`; by default that of the metric.

    Raises:
        NoBestError: If no state qualifies.
        ValueError: If the run does not produce the metric, or `mode` is None and the metric does not define it.

    See Also:
        `top`, `last`, `history`
    """
    mode = check_mode(mode, metric)
    found: TrainState | None = None
    for state in states:
        found = update_best(found, state, metric, mode)
    if found is None:
        raise NoBestError(f"no best state by {short(metric)}: none has metrics, finite parameters and a value that is not NaN")
    return found


def update_best(found: TrainState | None, state: TrainState, metric: str, mode: Mode) -> TrainState | None:
    """Return the better of the best state so far and the next one; `best` is the fold of this function.

    Args:
        found: The best state so far, or None.
        state: The next state.
        metric: Name of the metric.
        mode: `"min"` or `"max"`.

    Raises:
        ValueError: If the state has metrics, but not this one.
    """
    if not state.metrics:
        return found
    value = look_up(state.metrics, metric)
    better = not math.isnan(value) if found is None else improves(value, found.metrics[metric], mode)
    return state if better and has_finite_parameters(state) else found


def has_finite_parameters(state: TrainState) -> bool:
    """Return whether all parameters of a state are finite; a state without cannot be the best."""
    return bool(np.isfinite(state.params.vector).all())


@curry
def top(k: int, metric: str, states: Iterable[TrainState], *, mode: Mode | None = None) -> list[TrainState]:
    """Return the k states with the best values of a metric, best first; of equal values, the earlier first.

    At most k states are kept in memory. The list is shorter if fewer states qualify; `best` says which states do not.

    Args:
        k: Number of states, at least 1.
        metric: Name of the metric, such as `"val_loss"`.
        states: The stream; it is read to its end.
        mode: `"min"` or `"max"`; by default that of the metric.

    Raises:
        TypeError: If `k` is not an integer.
        ValueError: If `k` is below 1, the run does not produce the metric, or `mode` is None and the metric does not
            define it.

    See Also:
        `best`
    """
    k, mode = integer(1)("k", k), check_mode(mode, metric)
    sign = 1 if mode == "min" else -1
    scored = ((sign * look_up(state.metrics, metric), state) for state in with_new_metrics(states))
    valid = (pair for pair in scored if not math.isnan(pair[0]) and has_finite_parameters(pair[1]))
    return [state for _, state in nsmallest(k, valid, key=lambda pair: pair[0])]


def last(states: Iterable[TrainState]) -> TrainState:
    """Return the last state of a stream.

    Args:
        states: The stream; it is read to its end.

    Raises:
        ValueError: If the stream is empty.

    Examples:
        >>> last(iter("abc"))
        'c'

    See Also:
        `best`
    """
    state = None
    for state in states:  # noqa: B007
        pass
    if state is None:
        raise ValueError("states must have at least one state, got an empty stream")
    return state


@curry
def every(n: int, states: Iterable[TrainState]) -> Iterator[TrainState]:
    """Yield the first state of a stream and every n-th state after it.

    Args:
        n: Distance between two states, at least 1.
        states: The stream.

    Raises:
        TypeError: If `n` is not an integer.
        ValueError: If `n` is below 1.

    Examples:
        >>> list(every(3, range(8)))
        [0, 3, 6]

    See Also:
        `tap`
    """
    return _every(integer(1)("n", n), states)


def _every(n: int, states: Iterable[TrainState]) -> Iterator[TrainState]:
    for i, state in enumerate(states):
        if i % n == 0:
            yield state
