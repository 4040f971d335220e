"""Functions of a stream of states: each takes the stream last, and is curried, to stand in a `pipe`."""

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from heapq import nsmallest
from typing import Any

import numpy as np

from fnloop.core.checks import Mode, integer, real
from fnloop.core.digest import same_bits
from fnloop.core.errors import NoBestError
from fnloop.core.formatting import short
from fnloop.core.signatures import curry
from fnloop.metrics import check_mode, improves, look_up
from fnloop.training.early_stopping import EarlyStopping, EarlyStoppingState
from fnloop.training.state import TrainState


@curry
def best(metric: str, states: Iterable[TrainState], *, mode: Mode | None = None) -> TrainState:
    """The state with the best value of a metric, the earliest of equals; whatever ended the stream.

    NaN is never best, nor is a state whose parameters are not finite. States without metrics, such as the initial one, are
    passed over.

    Args:
        mode: `"min"` or `"max"`; by default that of the metric.

    Raises:
        NoBestError: If no state can be called best.
        ValueError: If the run does not produce the metric, or `mode` is None and the metric does not say which is better.

    See Also: top, last, history
    """
    mode = check_mode(mode, metric)
    found: TrainState | None = None
    for state in states:
        found = keep_best(found, state, metric, mode)
    if found is None:
        raise NoBestError(f"no state is best by {short(metric)}: none has metrics, finite parameters and a value but NaN")
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


@curry
def top(k: int, metric: str, states: Iterable[TrainState], *, mode: Mode | None = None) -> list[TrainState]:
    """The k states with the best values of a metric, best first and the earlier of equals first; only k are kept in memory.

    What `best` never chooses is not among them, nor a state that only carries on the metrics of the one before; so they may
    be fewer than k, or none.

    Args:
        k: at least 1.
        mode: as in `best`.
    Raises: ValueError: if the run does not produce the metric.
    See Also: best
    """
    k, mode = integer(1)("k", k), check_mode(mode, metric)
    sign = 1 if mode == "min" else -1
    ranked = ((sign * look_up(state.metrics, metric), state) for state in _measured(states))
    known = (pair for pair in ranked if not math.isnan(pair[0]) and _finite(pair[1]))
    return [state for _, state in nsmallest(k, known, key=lambda pair: pair[0])]


def _measured(states: Iterable[TrainState]) -> Iterator[TrainState]:
    """The states that bring metrics: not one before the first epoch's end, nor one that only carries on those before it.

    The latter is the state that a run ends with when the first step of an epoch is not finite.
    """
    before: Any = None
    for state in states:
        here = state.epoch, state.metrics
        if state.metrics and not same_bits(here, before):
            yield state
        before = here


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
        raise TypeError(f"function must take a state, got {short(function)}")

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


@curry
def until(predicate: Callable[[TrainState], Any], states: Iterable[TrainState]) -> Iterator[TrainState]:
    """The states up to and including the first for which the predicate holds. Each is asked as it comes, the initial one too.

    Examples:
        >>> list(until(lambda n: n > 2, range(8)))
        [0, 1, 2, 3]

    See Also: reaches, until_seconds
    """
    if not callable(predicate):
        raise TypeError(f"predicate must be a function of a state, got {short(predicate)}")

    def up_to() -> Iterator[TrainState]:
        for state in states:
            held = predicate(state)
            yield state
            if held:
                return

    return up_to()


def reaches(metric: str, value: float, *, mode: Mode | None = None) -> Callable[[TrainState], bool]:
    """The predicate that a state's metric is at least as good as a value; a state without metrics, and NaN, never are.

    Args:
        mode: `"min"` or `"max"`; by default that of the metric.
    Raises: ValueError: from the predicate, if the run does not produce the metric.
    See Also: until
    """
    mode, value = check_mode(mode, metric), real("(-inf, inf)")("value", value)

    def reached(state: TrainState) -> bool:
        if not state.metrics:
            return False
        now = look_up(state.metrics, metric)
        return now <= value if mode == "min" else now >= value

    return reached


@curry
def moving_average(window: int, metric: str, states: Iterable[TrainState]) -> Iterator[float]:
    """The mean of a metric over the last `window` epochs, or over those there are so far: one value an epoch.

    Args:
        window: epochs, at least 1.
    Raises: ValueError: if the run does not produce the metric.
    See Also: history
    """
    return _moving_average(integer(1)("window", window), metric, states)


def _moving_average(window: int, metric: str, states: Iterable[TrainState]) -> Iterator[float]:
    values: deque[float] = deque(maxlen=window)
    for state in _measured(states):
        values.append(look_up(state.metrics, metric))
        yield sum(values) / len(values)  # anew each time: a sum that is carried along drifts, and one NaN would stay in it


@curry
def what_if(policy: EarlyStopping, states: Iterable[TrainState] | Mapping[str, Sequence[float]]) -> EarlyStoppingState:
    """What a policy of early stopping would have come to on a run, whatever ended that: its fold over the metrics.

    For the run's own policy this is the run's own `early_stopping`. Its `stopped_epoch` is None if the run ended before the
    policy would have stopped it.

    Args:
        states: a stream of states, or a history, whose lists begin with the first epoch and which has no parameters to keep.
    Raises: ValueError: if the run does not produce the policy's metric.
    See Also: history
    """
    if not (hasattr(policy, "init") and hasattr(policy, "step")):
        raise TypeError(f"policy must be a fl.EarlyStopping, got {short(policy)}")
    found = policy.init()
    if isinstance(states, Mapping):
        if not states:  # no epoch was finished
            return found
        look_up(dict.fromkeys(states, 0.0), policy.metric)
        for epoch, value in enumerate(states[policy.metric], start=1):
            found = policy.step(found, {policy.metric: value}, epoch)
        return found
    for state in _measured(states):
        found = policy.step(found, state.metrics, state.epoch, state.params.vector, state.buffers)
    return found


def history(states: Iterable[TrainState]) -> dict[str, list[float]]:
    """Every metric of a stream: its name to its values, one an epoch; `lr` is the learning rate as it was used.

    See Also: best
    """
    rows: dict[str, list[float]] = {}
    for state in _measured(states):
        append(rows, state.metrics)
    return rows


def append(rows: dict[str, list[float]], metrics: Mapping[str, float]) -> None:
    """Add an epoch's metrics to a history."""
    for name, value in metrics.items():
        rows.setdefault(name, []).append(value)
