"""The metrics of a stream as numbers: every metric epoch by epoch, and moving averages."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from fnloop.core.checks import integer
from fnloop.core.digest import same_bits
from fnloop.core.signatures import curry
from fnloop.metrics import look_up
from fnloop.training.state import TrainState


def history(states: Iterable[TrainState]) -> dict[str, list[float]]:
    """Return every metric of a stream: its name and its values, one for each epoch; `lr` is the learning rate that was used.

    Args:
        states: The stream; it is read to its end.

    Examples:
        >>> history([])
        {}

    See Also:
        `best`, `moving_average`
    """
    values: dict[str, list[float]] = {}
    for state in with_new_metrics(states):
        append_metrics(values, state.metrics)
    return values


def append_metrics(values: dict[str, list[float]], metrics: Mapping[str, float]) -> None:
    """Append an epoch's metrics to a history, in place.

    Args:
        values: The history: metric names to lists.
        metrics: The metrics of one epoch.

    Examples:
        >>> values = {"loss": [0.5]}
        >>> append_metrics(values, {"loss": 0.25})
        >>> values
        {'loss': [0.5, 0.25]}
    """
    for name, value in metrics.items():
        values.setdefault(name, []).append(value)


def with_new_metrics(states: Iterable[TrainState]) -> Iterator[TrainState]:
    """Yield the states that end an epoch.

    States without metrics are skipped, and so is a state that repeats the metrics of the one before it: a run that stops
    because the first step of an epoch is not finite ends with one.

    Args:
        states: The stream.
    """
    previous: Any = None
    for state in states:
        current = state.epoch, state.metrics
        if state.metrics and not same_bits(current, previous):
            yield state
        previous = current


@curry
def moving_average(window: int, metric: str, states: Iterable[TrainState]) -> Iterator[float]:
    """Yield, for each epoch, the mean of a metric over the last `window` epochs, or over all so far if they are fewer.

    Args:
        window: Number of epochs, at least 1.
        metric: Name of the metric, such as `"val_loss"`.
        states: The stream.

    Raises:
        TypeError: If `window` is not an integer.
        ValueError: If `window` is below 1, or, while the stream is read, if the run does not produce the metric.

    See Also:
        `history`
    """
    return _moving_average(integer(1)("window", window), metric, states)


def _moving_average(window: int, metric: str, states: Iterable[TrainState]) -> Iterator[float]:
    values: deque[float] = deque(maxlen=window)
    for state in with_new_metrics(states):
        values.append(look_up(state.metrics, metric))
        yield sum(values) / len(values)  # a running sum would drift, and one NaN would never leave it
