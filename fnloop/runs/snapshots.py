"""Which states of a run get a snapshot: every n-th, or as many as a replay between two needs and a budget allows."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from time import thread_time

REPLAY_SECONDS = 0.15  # of training between two snapshots, if the budget allows: a state is recovered in about this time
# Processor time of the writer's thread for snapshots, as a share of the training time. Training slows down by two to three
# times as much, because the threads share caches and cores.
TIME_BUDGET = 0.005
FREE_BYTES = 1 << 20  # of snapshots that need no budget
LATEST_SECONDS = 60.0  # of training after which the latest state gets a snapshot in any case


class SnapshotSchedule:
    """Decides when a snapshot is due; used by one thread, whose processor time it measures.

    Args:
        every: Number of states from one snapshot to the next; None for as many as needed and affordable.
        clock: Returns the processor time of the thread.
    """

    def __init__(self, every: int | None, clock: Callable[[], float] = thread_time) -> None:
        self._every, self._clock = every, clock
        self._training_seconds = 0.0
        self._replay_seconds = 0.0  # training since the last snapshot
        self._spent = 0.0  # processor time that went into snapshots
        self._written = self._due = 0  # snapshots
        self._bytes = 0  # of both

    def add_epoch(self, seconds: float) -> None:
        """Add the training time of an epoch."""
        self._training_seconds += seconds
        self._replay_seconds += seconds

    def is_due(self, position: int, nbytes: int) -> bool:
        """Whether the state at a position, of some bytes, gets a snapshot."""
        if self._every is not None:
            return position % self._every == 0
        if self._replay_seconds >= LATEST_SECONDS:
            return True
        return self._replay_seconds >= REPLAY_SECONDS and self.is_affordable(nbytes)

    def is_affordable(self, nbytes: int) -> bool:
        """Whether the budget allows another snapshot. All that are due are expected to cost as much as the mean so far."""
        if self._bytes + nbytes <= FREE_BYTES:
            return True
        if not self._written:
            return not self._due  # the first tells what one costs
        mean = self._spent / self._written
        return self._spent + (self._due + 1) * mean <= TIME_BUDGET * self._training_seconds

    def add(self, nbytes: int, is_latest: bool = True) -> None:
        """Add a snapshot of some bytes that is going to be written; of the latest state, or of an earlier one."""
        self._due += 1
        self._bytes += nbytes
        if is_latest:
            self._replay_seconds = 0.0

    @contextmanager
    def measuring(self) -> Iterator[None]:
        """Count the processor time of a block as that of snapshots."""
        started = self._clock()
        yield
        self._spent += self._clock() - started

    def note_written(self) -> None:
        """Note that all snapshots that were due are written."""
        self._written, self._due = self._written + self._due, 0


def to_thin(positions: Sequence[int], kept: Collection[int]) -> set[int]:
    """Return the snapshots to remove so that the oldest are thinned: every second one of the older half.

    Args:
        positions: The positions of all snapshots, ascending.
        kept: Positions that are never removed.

    Examples:
        >>> sorted(to_thin(range(10), {0, 9}))
        [1, 3]
    """
    optional = [position for position in positions if position not in kept]
    return set(optional[: -(-len(optional) // 2) : 2])
