"""Which states of a run get a snapshot: every n-th, or as many as a share of the training time allows."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import thread_time

# The processor time of the writer's thread for everything it writes may be this share of the training time, and its time for
# snapshots at least the smaller share, whatever rows cost. Training slows down by two to three times as much, because the
# threads share caches and cores.
TIME_BUDGET, SNAPSHOT_BUDGET = 0.004, 0.0015


class SnapshotSchedule:
    """Decides when a snapshot is due; used by one thread, whose processor time it measures.

    Args:
        every: Number of states from one snapshot to the next; None for as many as the time budget allows.
    """

    def __init__(self, every: int | None) -> None:
        self._every = every
        self._training_seconds = 0.0
        self._snapshot_seconds = 0.0  # processor time that went into snapshots
        self._snapshots = 0

    def add_epoch(self, seconds: float) -> None:
        """Add the training time of an epoch to the total that the budget is a share of."""
        self._training_seconds += seconds

    def is_due(self, position: int) -> bool:
        """Whether the state at a position gets a snapshot; the next one is expected to cost as much as the mean so far."""
        if self._every is not None:
            return position % self._every == 0
        next_snapshot = self._snapshot_seconds / max(1, self._snapshots)
        other_seconds = thread_time() - self._snapshot_seconds
        allowed = max(TIME_BUDGET * self._training_seconds - other_seconds, SNAPSHOT_BUDGET * self._training_seconds)
        return self._snapshot_seconds + next_snapshot <= allowed

    @contextmanager
    def measuring(self, snapshots: int) -> Iterator[None]:
        """Count the processor time of a block as that of snapshots.

        Args:
            snapshots: Number of snapshots that the block writes; 0 if it only commits them.
        """
        started = thread_time()
        yield
        self._snapshots += snapshots
        self._snapshot_seconds += thread_time() - started
