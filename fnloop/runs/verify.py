"""The whole run again, segment by segment between states that are written whole, in any executor's `map`."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from fnloop.core.errors import FnloopError
from fnloop.core.formatting import short
from fnloop.core.records import frozen
from fnloop.engines.threads import with_threads
from fnloop.runs.replay import Replay

SHARES = 16  # tasks that a run is dealt out in, at most: one is a few neighbouring segments


@frozen
class Verification:
    """What came of running a run again.

    `states` are those recorded, `verified` those had again to the bit, `differing` the (epoch, fields) of the others in their
    order, `environment` what differs from where the run was recorded.
    """

    states: int
    verified: int
    differing: tuple[tuple[int, tuple[str, ...]], ...]
    environment: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether every state was had again to the bit."""
        return self.verified == self.states

    def __str__(self) -> str:
        where = f"the environment differs: {'; '.join(self.environment)}" if self.environment else ""
        if self.ok:
            return f"verified, {self.verified} of {self.states}{f', although {where}' if where else ''}"
        epoch, fields = self.differing[0]
        return (
            f"not verified, {self.verified} of {self.states}: the first that differs is epoch {epoch}, "
            f"in {', '.join(fields)}; {where or 'the environment is the same'}"
        )


class Task(NamedTuple):
    """A share of the work: for `verify` the segments, (first, last) each; for `probe` the positions."""

    replay: Replay
    function: Callable[[Any], Any] | None
    items: Sequence[Any]


def verify(replay: Replay, map: Callable[..., Iterable[Any]]) -> Verification:
    """Every segment again, each state compared with what was recorded."""
    _ = replay.advance  # what was to be handed to open_run is missed here, and not found to differ
    states = len(replay.reader.rows())
    whole = [position for position in replay.reader.snapshots() if position < states]
    shares = _mapped(map, _verify_share, _deal(replay, whole, states))
    found = {item[0]: item[1:] for part in shares for item in part}
    differing = tuple(found[position] for position in sorted(found))
    return Verification(states, states - len(found), differing, replay.environment_differences())


def probe(
    replay: Replay, function: Callable[[Any], Any], positions: Sequence[int], map: Callable[..., Iterable[Any]]
) -> list[Any]:
    """What a function gives for the state at each position."""
    wanted = sorted(set(positions))
    shares = _mapped(map, _probe_share, _deal_positions(replay, function, replay.reader.snapshots(), wanted))
    values = dict(zip(wanted, (value for part in shares for value in part), strict=True))
    return [values[position] for position in positions]


def _mapped(map: Any, function: Callable[[Any], Any], tasks: Sequence[Any]) -> list[Any]:
    """What a function gives for each task, by the map that was handed."""
    if not callable(map):
        raise TypeError(f"map must be a function such as an executor's map, got {short(map)}")
    done = list(map(function, tasks))
    if len(done) != len(tasks):
        raise ValueError(f"map must give a result for each of {len(tasks)} tasks, got {len(done)}")
    return done


def _deal(replay: Replay, snapshots: Sequence[int], states: int) -> list[Task]:
    """The segments of a run in shares of about as many epochs."""
    segments = [(first, last) for first, last in zip(snapshots, [*snapshots[1:], states - 1], strict=True)]
    shares: list[list[Any]] = [[] for _ in range(SHARES)]
    for first, last in segments:
        shares[min(SHARES - 1, first * SHARES // states)].append((first, last))
    return [Task(replay, None, share) for share in shares if share]


def _deal_positions(
    replay: Replay, function: Callable[[Any], Any], snapshots: Sequence[int], positions: Sequence[int]
) -> list[Task]:
    """The positions, ascending, in shares that begin with a new segment."""
    shares: list[list[int]] = [[]]
    size, left = -(-len(positions) // SHARES), set(snapshots)
    for before, position in zip([-1, *positions], positions, strict=False):
        if len(shares[-1]) >= size and any(before < p <= position for p in left):
            shares.append([])
        shares[-1].append(position)
    return [Task(replay, function, share) for share in shares if share]


def _probe_share(task: Task) -> list[Any]:
    """The function's values for the states of a share."""
    function: Any = task.function
    threads = task.replay.threads
    return [with_threads(threads, function, task.replay.at(position)) for position in task.items]


def _verify_share(task: Task) -> list[tuple[int, int, tuple[str, ...]]]:
    """The position, epoch and differing fields of the states of a share that are not had again."""
    return [found for first, last in task.items for found in _verify_segment(task.replay, first, last)]


def _verify_segment(replay: Replay, first: int, last: int) -> list[tuple[int, int, tuple[str, ...]]]:
    """A segment from its whole state on, up to the next one's."""
    rows = replay.reader.rows()
    found = []
    try:
        there = replay.reader.snapshots()  # pruned since, it may be whole no more
        state = replay.snapshot(first) if first in there else replay.at(first)
    except FnloopError as error:
        return [(row.position, row.epoch, (f"what it would be had from: {error}",)) for row in rows[first : last + 1]]
    for row in rows[first + 1 : last + 1]:
        state = replay.advance(state)
        fields = replay.reader.differing(state, row)
        if fields:
            found.append((row.position, row.epoch, fields))
    return found
