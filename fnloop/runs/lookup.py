"""States of a run by epoch and step, by the best value of a metric, or as an argument names them."""

from collections.abc import Iterator, Sequence
from heapq import heapify, heappop
from typing import Any

import numpy as np

from fnloop.core.checks import Mode, integer
from fnloop.core.errors import NoBestError
from fnloop.core.fields import is_record
from fnloop.core.formatting import listed, short
from fnloop.metrics import check_mode, known_mode, look_up
from fnloop.runs.positions import epoch_of, position_of
from fnloop.runs.replay import Replay
from fnloop.runs.rows import Row
from fnloop.streams.select import has_finite_parameters


def state_at(replay: Replay, epoch: int | None, step: int | None) -> Any:
    """Return the state with a number of finished epochs and, if a step is given, of steps in total.

    Args:
        replay: The run.
        epoch: The number of finished epochs; None for the epoch in which the step is.
        step: The total number of steps; None for the end of the epoch.

    Raises:
        TypeError: If both are None, or one is not an integer.
        ValueError: If the run has no such state.
    """
    reader = replay.reader
    if epoch is None:
        epoch = epoch_of(reader, integer(0)("step", step))
    position = position_of(reader, integer(0)("epoch", epoch))
    if step is None:
        return replay.at(position)
    rows, step = reader.rows(), integer(0)("step", step)
    first = rows[position].step
    if step == first:
        return replay.at(position)
    if position + 1 < len(rows) and (epoch, step) == (rows[position + 1].epoch, rows[position + 1].step):
        return replay.at(position + 1)  # the run stopped within the epoch, at this step
    last = rows[position + 1].step if position + 1 < len(rows) else first
    if not first <= step <= last:
        raise ValueError(f"step must be one that the run took after epoch {epoch}, {first} to {last}, got {step}")
    return replay.after_batches(position, step - first)


def best_state(replay: Replay, metric: str | None, mode: Mode | None) -> Any:
    """Return the state with the best value of a metric, the one that `fnloop.best` selects from the stream.

    Args:
        replay: The run.
        metric: A metric of the run; None for the monitored one.
        mode: `"min"` or `"max"`; None for the mode that was monitored, or else the metric's own.

    Raises:
        NoBestError: If no epoch has a value that is not NaN and finite parameters.
        TypeError: If `metric` is not a string.
        ValueError: If the run does not have the metric, or `mode` is neither.
    """
    reader = replay.reader
    if not isinstance(metric, str | None):
        raise TypeError(f"metric must be a metric's name, got {short(metric)}")
    monitor, names = reader.manifest.monitor, reader.metric_names()
    if metric is None:
        if monitor is None:
            known = f"its metrics are {listed(names)}" if names else "it has no metrics"
            raise ValueError(f"there is no best state without a metric: this run monitors none, {known}")
        metric = monitor[0]
    elif metric not in names:
        raise ValueError(f"metric must be one of the run's, {listed(names)}, got {short(metric)}")
    if mode is None:
        mode = monitor[1] if monitor is not None and metric == monitor[0] else _mode_of(replay, metric)
    for position in _best_first(reader.rows(), metric, check_mode(mode, metric)):
        state = replay.at(position)
        if getattr(getattr(state, "params", None), "vector", None) is None or has_finite_parameters(state):
            return state
    raise NoBestError(
        f"there is no best state: no epoch of the run has a {short(metric)} that is not NaN, and finite parameters"
    )


def _best_first(rows: Sequence[Row], metric: str, mode: Mode) -> Iterator[int]:
    """Yield the positions of the epochs with a value that is not NaN: the best first, and of equal ones the earliest first."""
    sign = 1 if mode == "min" else -1
    values = [(sign * look_up(row.metrics, metric), row.position) for row in rows if row.metrics]
    heap = [pair for pair in values if pair[0] == pair[0]]
    heapify(heap)
    while heap:
        yield heappop(heap)[1]


def _mode_of(replay: Replay, metric: str) -> Mode | None:
    """Return the mode of a metric; the trainer is read only if the name does not decide it."""
    mode = known_mode(metric)
    if mode is not None or replay.reader.trainer is None:
        return mode
    return replay.reader.trainer.known_mode(metric)


def as_state(replay: Replay, name: str, value: Any) -> Any:
    """Return the state that an argument names: an epoch, an (epoch, step), or the state itself.

    Args:
        replay: The run.
        name: The name of the argument, for the message.
        value: The argument.

    Raises:
        TypeError: If the argument is something else.
        ValueError: If the run has no such state.
    """
    if isinstance(value, tuple) and len(value) == 2:
        return state_at(replay, *value)
    if isinstance(value, int | np.integer):
        return state_at(replay, value, None)  # type: ignore[arg-type]
    if not is_record(value) and replay.has_steps:  # states of a custom step may be of any type
        raise TypeError(f"{name} must be an epoch, an epoch and a step, or a state, got {short(value)}")
    return value
