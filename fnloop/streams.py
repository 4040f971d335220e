"""Functions of a stream of states: each takes the stream last, and is curried, to stand in a `pipe`."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from fnloop.errors import NoBestError
from fnloop.metrics import improves, look_up, mode_of
from fnloop.state import TrainState
from fnloop.typing import Mode, choice, curry, integer


@curry
def best(metric: str, states: Iterable[TrainState], *, mode: Mode | None = None) -> TrainState:
    """The state with the best value of a metric, the earliest of equals; whatever ended the stream.

    NaN is never best, nor is a state whose parameters are not finite. States without metrics, such as the initial one, are
    passed over.

    Args:
        mode: `"min"` or `"max"`; by default the smallest for a loss, the largest otherwise.
    Raises: NoBestError: if no state can be called best; ValueError: if the run does not produce the metric.
    See Also: last, history
    """
    mode = choice("min", "max")("mode", mode_of(metric) if mode is None else mode)
    found: TrainState | None = None
    for state in states:
        found = keep_best(found, state, metric, mode)
    if found is None:
        raise NoBestError(f"no state is best by {metric!r}: none has metrics, finite parameters and a value but NaN")
    return found


def keep_best(found: TrainState | None, state: TrainState, metric: str, mode: Mode) -> TrainState | None:
    """The better of the best so far and the next state: the step of which `best` is the fold."""
    if not state.metrics:
        return found
    value = look_up(state.metrics, metric)
    better = not math.isnan(value) if found is None else improves(value, found.metrics[metric], mode)
    return state if better and _finite(state) else found


def _finite(state: TrainState) -> bool:
    return bool(np.isfinite(state.params.vector).all())


def last(states: Iterable[TrainState]) -> TrainState:
    """The last state of a stream.

    Raises: ValueError: if the stream is empty.
    """
    state = None
    for state in states:  # noqa: B007
        pass
    if state is None:
        raise ValueError("states must hold at least one state, got an empty stream")
    return state


@curry
def tap(function: Callable[[TrainState], Any], states: Iterable[TrainState]) -> Iterator[TrainState]:
    """Call a function with each state as it passes, for its effect; the stream stays the same.

    See Also: every
    """
    if not callable(function):
        raise TypeError(f"function must take a state, got {function!r}")

    def tapped() -> Iterator[TrainState]:
        for state in states:
            function(state)
            yield state

    return tapped()


@curry
def every(n: int, states: Iterable[TrainState]) -> Iterator[TrainState]:
    """The first state of the stream and each n-th behind it.

    Examples:
        >>> list(every(3, range(8)))
        [0, 3, 6]
    """
    return _every(integer(1)("n", n), states)


def _every(n: int, states: Iterable[TrainState]) -> Iterator[TrainState]:
    for i, state in enumerate(states):
        if i % n == 0:
            yield state


def history(states: Iterable[TrainState]) -> dict[str, list[float]]:
    """Every metric of a stream: its name to its values, one an epoch; `lr` is the learning rate as it was used.

    See Also: best
    """
    rows: dict[str, list[float]] = {}
    for state in states:
        append(rows, state.metrics)
    return rows


def append(rows: dict[str, list[float]], metrics: Mapping[str, float]) -> None:
    """Add an epoch's metrics to a history."""
    for name, value in metrics.items():
        rows.setdefault(name, []).append(value)
