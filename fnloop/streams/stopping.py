"""Where a stream ends: by a condition on its states, and where an early-stopping policy would have ended it."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from fnloop.core.checks import Mode, real
from fnloop.core.formatting import short
from fnloop.core.iteration import take_until
from fnloop.core.signatures import curry
from fnloop.metrics import check_mode, look_up
from fnloop.streams.history import with_new_metrics
from fnloop.training.early_stopping import EarlyStopping, EarlyStoppingState
from fnloop.training.state import TrainState


@curry
def until(predicate: Callable[[TrainState], Any], states: Iterable[TrainState]) -> Iterator[TrainState]:
    """Yield states up to and including the first for which a predicate holds.

    Args:
        predicate: Called once with each state, the initial one included.
        states: The stream; it is not read beyond the last state that is yielded.

    Raises:
        TypeError: If `predicate` is not callable.

    Examples:
        >>> list(until(lambda n: n > 2, range(8)))
        [0, 1, 2, 3]

    See Also:
        `reaches`, `until_seconds`
    """
    if not callable(predicate):
        raise TypeError(f"predicate must be a function of a state, got {short(predicate)}")
    return take_until(predicate, states)


def reaches(metric: str, value: float, *, mode: Mode | None = None) -> Callable[[TrainState], bool]:
    """Return the predicate "a state's metric is at least as good as a value", for `until`.

    It is False for a state without metrics, and for NaN.

    Args:
        metric: Name of the metric, such as `"val_accuracy"`.
        value: The threshold; a finite number.
        mode: `"min"` (at most the threshold) or `"max"` (at least); by default that of the metric.

    Raises:
        TypeError: If `value` is not a number.
        ValueError: If `value` is not finite, or `mode` is None and the metric does not define it. The predicate raises it
            if the run does not produce the metric.

    Examples:
        >>> from types import SimpleNamespace
        >>> reaches("val_accuracy", 0.9)(SimpleNamespace(metrics={"val_accuracy": 0.95}))
        True

    See Also:
        `until`
    """
    mode, threshold = check_mode(mode, metric), real("(-inf, inf)")("value", value)

    def is_reached(state: TrainState) -> bool:
        if not state.metrics:
            return False
        current = look_up(state.metrics, metric)
        return bool(current <= threshold if mode == "min" else current >= threshold)

    return is_reached


@curry
def what_if(policy: EarlyStopping, states: Iterable[TrainState] | Mapping[str, Sequence[float]]) -> EarlyStoppingState:
    """Return the state that an early-stopping policy would have reached on a run: its fold over the run's metrics.

    The result for the policy that the run was trained with is the `early_stopping` of its last state. `stopped_epoch` is None
    if the run ended before the policy would have stopped it.

    Args:
        policy: The policy to try.
        states: A stream of states, or a history: metric names to lists with one value for each epoch from the first on. A
            history has no parameters, so the result has none either.

    Raises:
        TypeError: If `policy` is not an `EarlyStopping`.
        ValueError: If the run does not produce the policy's metric, or the policy's mode is unknown.

    Examples:
        >>> what_if(EarlyStopping("val_loss", patience=1), {"val_loss": [0.5, 0.4, 0.6, 0.3]}).stopped_epoch
        3

    See Also:
        `history`
    """
    if not isinstance(policy, EarlyStopping):
        raise TypeError(f"policy must be a fl.EarlyStopping, got {short(policy)}")
    reached = policy.init()
    if isinstance(states, Mapping):
        if not states:  # no epoch was finished
            return reached
        look_up(dict.fromkeys(states, 0.0), policy.metric)
        return policy.fold(states[policy.metric])
    for state in with_new_metrics(states):
        reached = policy.step(reached, state.metrics, state.epoch, state.params.vector, state.buffers)
    return reached
