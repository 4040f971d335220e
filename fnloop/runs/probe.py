"""The value of a function for states of a run, computed in parallel from the snapshots on."""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any, Generic, NamedTuple, TypeVar

from fnloop.core.checks import integer
from fnloop.core.formatting import short
from fnloop.engines.threads import with_threads
from fnloop.runs.parallel import MAX_TASKS, Map, map_tasks
from fnloop.runs.positions import position_of
from fnloop.runs.replay import Replay

Result = TypeVar("Result")


class _Task(NamedTuple, Generic[Result]):
    replay: Replay
    function: Callable[[Any], Result]
    positions: Sequence[int]


def probe(replay: Replay, function: Callable[[Any], Result], epochs: Iterable[int] | None, map: Map) -> list[Result]:
    """Return the value of a function for the state of each epoch.

    Args:
        replay: The run.
        function: A function of a state.
        epochs: The epochs, in the order of the results; None for every state of the run.
        map: What computes segments in parallel, as in `fl.sweep`.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If the run has no state of an epoch.
    """
    if not callable(function):
        raise TypeError(f"function must take a state, got {short(function)}")
    if not isinstance(epochs, Iterable | None):
        raise TypeError(f"epochs must be a sequence of epochs or None, got {short(epochs)}")
    if epochs is None:
        positions = [row.position for row in replay.reader.rows()]
    else:
        positions = [position_of(replay.reader, integer(0)("epochs", epoch)) for epoch in epochs]
    distinct = sorted(set(positions))
    values = map_tasks(map, _probe_states, _tasks(replay, function, distinct))
    value_at = dict(zip(distinct, (value for part in values for value in part), strict=True))
    return [value_at[position] for position in positions]


def _tasks(replay: Replay, function: Callable[[Any], Result], positions: Sequence[int]) -> list[_Task[Result]]:
    """Group ascending positions into tasks; each task starts in a new segment, so that no segment is computed twice."""
    snapshots, size = replay.reader.snapshots(), -(-len(positions) // MAX_TASKS)
    groups: list[list[int]] = [[]]
    for previous, position in pairwise([-1, *positions]):
        new_segment = bisect_right(snapshots, previous) < bisect_right(snapshots, position)
        if len(groups[-1]) >= size and new_segment:
            groups.append([])
        groups[-1].append(position)
    return [_Task(replay, function, group) for group in groups if group]


def _probe_states(task: _Task[Result]) -> list[Result]:
    replay, function, positions = task
    return [with_threads(replay.threads_at(position), function, replay.at(position)) for position in positions]
