"""When a snapshot is due: every n-th state, or within the time budget."""

import pytest

from fnloop.runs import snapshots
from fnloop.runs.snapshots import SNAPSHOT_BUDGET, TIME_BUDGET, SnapshotSchedule


@pytest.fixture
def clock(monkeypatch):
    """A clock for the processor time of the thread, which the test sets."""
    now = [0.0]
    monkeypatch.setattr(snapshots, "thread_time", lambda: now[0])
    return now


def snapshots_of(schedule, clock, epochs, seconds, row_seconds, snapshot_seconds):
    """Return the positions of the snapshots in a run of equal epochs."""
    positions = []
    for position in range(1, epochs + 1):
        clock[0] += row_seconds
        schedule.add_epoch(seconds)
        if schedule.is_due(position):
            positions.append(position)
            with schedule.measuring(snapshots=1):
                clock[0] += snapshot_seconds
    return positions


def test_every_nth_state(clock):
    """Whatever it costs."""
    assert snapshots_of(SnapshotSchedule(3), clock, 10, 0.0, 1.0, 100.0) == [3, 6, 9]


@pytest.mark.parametrize("row_seconds", [0.0, 0.001, 0.1])
def test_snapshots_stay_within_their_budget(clock, row_seconds):
    """They get what rows leave of the time budget, and at least their own share; the first tells what one costs."""
    positions = snapshots_of(SnapshotSchedule(None), clock, 10_000, 1.0, row_seconds, 0.5)
    share = max(TIME_BUDGET - row_seconds, SNAPSHOT_BUDGET)
    assert 0.9 * share * 10_000 <= 0.5 * len(positions) <= share * 10_000
