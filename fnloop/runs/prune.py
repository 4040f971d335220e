"""Pruning: fewer snapshots in a run file, whose states are computed again when they are asked for."""

import sqlite3

from fnloop.core.errors import RecordingWarning
from fnloop.core.warnings import warn
from fnloop.metrics import known_mode
from fnloop.runs.connection import close_writer, open_to_write, reporting_write_errors, transaction
from fnloop.runs.lock import lock
from fnloop.runs.positions import Criterion, best_rows
from fnloop.runs.reader import Reader
from fnloop.runs.store import drop_snapshots, read_snapshots


def prune(reader: Reader, keep: int) -> int:
    """Remove snapshots, and return how many.

    Args:
        reader: The run.
        keep: The number of snapshots to keep, spread over the run. The first, the last and the best are always kept.

    Raises:
        RunError: If another process is recording to the file, or it cannot be written.
    """
    release = lock(reader.path)
    try:
        required = _required(reader)
        connection = open_to_write(reader.path)
        try:
            with reporting_write_errors(reader.path):
                return _prune(connection, keep, required)
        finally:
            split = close_writer(connection)
            if split is not None:
                warn(split, RecordingWarning)
    finally:
        release()


def _required(reader: Reader) -> set[int]:
    """Return the positions that are always kept: the first, the last, and the best by each metric."""
    rows, monitor = reader.rows(), reader.manifest.monitor
    criteria: list[Criterion] = [monitor] if monitor else []
    for name in reader.metric_names():
        if name != "lr":
            known = known_mode(name)
            criteria += [(name, mode) for mode in ("min", "max") if known in (None, mode)]  # both if the mode is unknown
    return {0, len(rows) - 1, *(row.position for row in best_rows(rows, criteria).values())}


def _prune(connection: sqlite3.Connection, keep: int, required: set[int]) -> int:
    snapshots = read_snapshots(connection)
    optional = [position for position in snapshots if position not in required]
    count = min(len(optional), max(0, keep - (len(snapshots) - len(optional))))
    kept = {optional[i * len(optional) // count] for i in range(count)}
    removed = [position for position in optional if position not in kept]
    with transaction(connection):
        drop_snapshots(connection, removed)
    connection.execute("VACUUM")
    return len(removed)
