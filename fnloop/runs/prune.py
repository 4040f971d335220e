"""Fewer whole states in a run file: each other one is computed again when it is asked for."""

import re
import sqlite3

from fnloop.core.checks import Mode
from fnloop.metrics import known_mode
from fnloop.runs.connection import close_writer, open_to_write, reporting_write_errors
from fnloop.runs.lock import lock
from fnloop.runs.reader import Reader
from fnloop.runs.store import read_snapshots


def prune(reader: Reader, keep: int) -> int:
    """Keep so many, spread over the run, and always the first, the last and each best; how many were taken away."""
    release = lock(reader.path)
    try:
        always = _always(reader)
        connection = open_to_write(reader.path)
        try:
            with reporting_write_errors(reader.path):
                return _prune(connection, keep, always)
        finally:
            close_writer(connection)
    finally:
        release()


def _always(reader: Reader) -> set[int]:
    """The positions that are never pruned."""
    rows, monitor = reader.rows(), reader.manifest.monitor
    names = dict.fromkeys(name for row in rows for name in row.metrics if name != "lr")
    asked: list[tuple[str, Mode]] = [monitor] if monitor else []
    for name in names:
        known = known_mode(name)
        asked += [(name, mode) for mode in ("min", "max") if known in (None, mode)]  # if it is not known, keep either
    best = [reader.best_position(name, mode) for name, mode in asked]
    return {0, len(rows) - 1, *(position for position in best if position is not None)}


def _prune(connection: sqlite3.Connection, keep: int, always: set[int]) -> int:
    there = read_snapshots(connection)
    others = [position for position in there if position not in always]
    room = min(len(others), max(0, keep - (len(there) - len(others))))
    spread = {others[i * len(others) // room] for i in range(room)}
    gone = [position for position in others if position not in spread]
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany("DELETE FROM snapshots WHERE position = ?", [(position,) for position in gone])
    texts = connection.execute("SELECT content FROM snapshots UNION ALL SELECT value FROM run")
    named = {name for (text,) in texts for name in re.findall("[0-9a-f]{64}", text)}
    left = [row for row in connection.execute("SELECT hash FROM arrays") if row[0] not in named]
    connection.executemany("DELETE FROM arrays WHERE hash = ?", left)
    connection.execute("COMMIT")
    connection.execute("VACUUM")
    return len(gone)
