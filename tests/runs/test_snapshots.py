"""When a snapshot is due: every n-th state, or as a replay between two needs and the budget allows; and which are thinned."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from fnloop.runs.snapshots import FREE_BYTES, LATEST_SECONDS, REPLAY_SECONDS, TIME_BUDGET, SnapshotSchedule, to_thin


def snapshots_of(every, epochs, seconds, snapshot_seconds, nbytes, batch=1):
    """Return the positions of the snapshots in a run of equal epochs, which are written in batches of epochs."""
    now, positions, due = [0.0], [], 0
    schedule = SnapshotSchedule(every, lambda: now[0])
    for position in range(1, epochs + 1):
        schedule.add_epoch(seconds)
        if schedule.is_due(position, nbytes):
            positions.append(position)
            schedule.add(nbytes)
            due += 1
        if position % batch == 0:
            with schedule.measuring():
                now[0] += due * snapshot_seconds
            schedule.note_written()
            due = 0
    return positions


def test_every_nth_state():
    """Whatever it costs."""
    assert snapshots_of(3, 10, 0.0, 100.0, 1 << 40) == [3, 6, 9]


@given(st.floats(1e-4, 10.0), st.floats(0.0, 1.0))
def test_free_snapshots_bound_the_replay(seconds, snapshot_seconds):
    """Small states get a snapshot whenever the replay would take longer, and never more often."""
    positions = snapshots_of(None, 2000, seconds, snapshot_seconds, FREE_BYTES // 2000)
    gaps = [b - a for a, b in zip([0, *positions], positions, strict=False)]
    assert all(REPLAY_SECONDS * (1 - 1e-9) <= gap * seconds < REPLAY_SECONDS + seconds * (1 + 1e-9) for gap in gaps)


@given(st.floats(0.01, 10.0), st.floats(1e-3, 1.0), st.integers(1, 100))
def test_large_snapshots_stay_within_the_budget(seconds, snapshot_seconds, batch):
    """However many are written together; apart from the latest state, which gets one in any case after a minute."""
    positions = snapshots_of(None, 2000, seconds, snapshot_seconds, FREE_BYTES + 1, batch)
    allowed = TIME_BUDGET * 2000 * seconds / snapshot_seconds + 2000 * seconds / LATEST_SECONDS
    assert len(positions) <= allowed + 1


@given(st.floats(0.1, 90.0), st.floats(1e-3, 1.0))
def test_the_replay_is_bounded_by_the_budget_and_by_a_minute(seconds, snapshot_seconds):
    """A snapshot is due once it is needed and affordable; the budget of the second pays for the first, too."""
    positions = snapshots_of(None, 2000, seconds, snapshot_seconds, FREE_BYTES + 1)
    gaps = [b - a for a, b in zip([0, *positions], [*positions, 2000], strict=True)]
    bound = min(LATEST_SECONDS, max(REPLAY_SECONDS, 2 * snapshot_seconds / TIME_BUDGET)) + seconds
    assert max(gaps) * seconds <= bound * (1 + 1e-9)


@given(st.integers(1, 30), st.integers(31, 300))
def test_thinning_as_a_run_goes_on_leaves_short_replays_at_its_end(most, epochs):
    """Under a limit, the gaps between snapshots grow with their age."""
    left = [0]
    for position in range(1, epochs):
        while len(left) > most and (dropped := to_thin(left, {0, left[-1]})):
            left = [old for old in left if old not in dropped]
        left.append(position)
    gaps = [b - a for a, b in pairwise(left)]
    assert len(left) <= max(most, 2) + 1
    assert sorted(gaps[1:], reverse=True) == gaps[1:]


@given(st.sets(st.integers(0, 300), min_size=1), st.data())
def test_thinning_removes_old_snapshots_and_no_kept_one(positions, data):
    """It ends when only kept ones are left, and removes at least one before."""
    kept = data.draw(st.sets(st.sampled_from(sorted(positions))))
    left = sorted(positions)
    while dropped := to_thin(left, kept):
        assert not dropped & kept
        optional = [position for position in left if position not in kept]
        assert max(dropped) <= optional[(len(optional) - 1) // 2]
        left = [position for position in left if position not in dropped]
    assert set(left) == kept
