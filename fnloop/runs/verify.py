"""Verification: the whole run computed again, each segment from its snapshot, in parallel."""

from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

from fnloop.core.errors import FnloopError
from fnloop.core.records import frozen
from fnloop.runs.parallel import MAX_TASKS, Map, map_tasks
from fnloop.runs.replay import Replay


@frozen
class Verification:
    """The result of `run.verify()`; `str()` of it is one line.

    Args:
        states: The number of recorded states.
        verified: The number of states that were computed again with the recorded bits.
        differing: The other states in their order, each as (epoch, names of the fields that differ).
        environment: What differs here from the environment of the first of those states, or of the run if there are none, one
            string for each difference, the most likely causes first.
    """

    states: int
    verified: int
    differing: tuple[tuple[int, tuple[str, ...]], ...]
    environment: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether every state has the recorded bits."""
        return self.verified == self.states

    def __str__(self) -> str:
        environment = f"the environment differs: {'; '.join(self.environment)}" if self.environment else ""
        if self.ok:
            return f"verified, {self.verified} of {self.states}{f', although {environment}' if environment else ''}"
        epoch, fields = self.differing[0]
        return (
            f"not verified, {self.verified} of {self.states}: the first that differs is epoch {epoch}, "
            f"in {', '.join(fields)}; {environment or 'the environment is the same'}"
        )


class Mismatch(NamedTuple):
    """A state that was not computed again with the recorded bits.

    Attributes:
        position: The index of the state in the stream, from 0.
        epoch: The number of its finished epochs.
        fields: The names of the fields that differ, or a message if the state could not be computed.
    """

    position: int
    epoch: int
    fields: tuple[str, ...]


class _Segment(NamedTuple):
    """The states from a snapshot to the next one, or to the end of the run; both are positions."""

    first: int
    last: int


class _Task(NamedTuple):
    replay: Replay
    segments: Sequence[_Segment]


def verify(replay: Replay, map: Map) -> Verification:
    """Compute every segment of a run again, and compare each state with its record.

    Args:
        replay: The run.
        map: What computes segments in parallel, as in `fl.sweep`.

    Raises:
        RunError: If the file does not hold the trainer or the data, and `open_run` was not given them.
    """
    replay.advance_to(0)  # a missing trainer or step is an error, not a state that differs
    states = len(replay.reader.rows())
    mismatches = chain.from_iterable(map_tasks(map, _verify_segments, _tasks(replay, states)))
    by_position = {mismatch.position: mismatch for mismatch in mismatches}
    differing = tuple((by_position[position].epoch, by_position[position].fields) for position in sorted(by_position))
    causes = [min(by_position)] if by_position else [0, states - 1]
    differences = (replay.environment_differences(position) for position in causes)
    return Verification(states, states - len(by_position), differing, next(filter(None, differences), ()))


def _tasks(replay: Replay, states: int) -> list[_Task]:
    """Group the segments of a run into tasks with about the same number of epochs."""
    snapshots = [position for position in replay.reader.snapshots() if position < states]
    groups: list[list[_Segment]] = [[] for _ in range(MAX_TASKS)]
    for first, last in zip(snapshots, [*snapshots[1:], states - 1], strict=True):
        groups[first * MAX_TASKS // states].append(_Segment(first, last))
    return [_Task(replay, group) for group in groups if group]


def _verify_segments(task: _Task) -> list[Mismatch]:
    return [mismatch for segment in task.segments for mismatch in _verify_segment(task.replay, segment)]


def _verify_segment(replay: Replay, segment: _Segment) -> list[Mismatch]:
    """Return the mismatches of a segment, its snapshot and the next one included."""
    first, last = segment
    rows = replay.reader.rows()
    try:
        reached, state = replay.nearest(first)
        if reached < first:  # the snapshot was pruned since the segments were listed
            state = replay.at(first)
    except FnloopError as error:
        message = f"the snapshot that it is computed from: {error}"
        return [Mismatch(row.position, row.epoch, (message,)) for row in rows[first : last + 1]]
    mismatches = []
    for row in rows[first + 1 : last + 1]:
        state = replay.advance_to(row.position)(state)
        fields = replay.reader.differing(state, row)
        if fields:
            mismatches.append(Mismatch(row.position, row.epoch, fields))
    return mismatches
