"""The tables of a run file: one SQLite file, which any SQLite can read.

    run        name, value: the manifest, as JSON: trainer, data, engine, monitor, environment (see `Manifest`)
    states     a row for each state of the stream: position (0, 1, ...), epoch, step, seconds, stopped (the reason, or NULL),
               metrics (JSON, {} for a state that finished no epoch), fields (JSON, the hash of each field), digest, chain
    snapshots  position, content: some of the states in full, as JSON that names its arrays by their hashes
    arrays     hash, dtype, shape, data: the bytes of an array, stored once
    head       position and chain of the last row of `states`
    metrics    a view for people, with a row for each epoch and a column for each metric:
               `sqlite3 lab.run "select * from metrics"`

The chain of a row is the SHA-256 of the row and the chain of the row before; the first row continues from the hash of the
manifest. A reader trusts nothing: it checks rows against the chain, and arrays and states against their hashes. A
row, its snapshot and the head are committed in one transaction.
"""

import json
import sqlite3
from collections.abc import Collection, Mapping
from typing import Any

from fnloop.core.arrays import Array
from fnloop.core.formatting import short
from fnloop.runs.packing import add_arrays, check_size, unpack
from fnloop.runs.rows import Row, chain_hash, parse_row

APPLICATION_ID, FORMAT_VERSION = 0x666E6C70, 1  # "fnlp"
TABLES = (
    "CREATE TABLE run (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "CREATE TABLE states (position INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, step INTEGER NOT NULL, seconds REAL NOT NULL, "
    "stopped TEXT, metrics TEXT NOT NULL, fields TEXT NOT NULL, digest TEXT NOT NULL, chain TEXT NOT NULL)",
    "CREATE TABLE snapshots (position INTEGER PRIMARY KEY, content TEXT NOT NULL)",
    "CREATE TABLE arrays (hash TEXT PRIMARY KEY, dtype TEXT NOT NULL, shape TEXT NOT NULL, data BLOB NOT NULL)",
    "CREATE TABLE head (position INTEGER NOT NULL, chain TEXT NOT NULL)",
)
METRICS_VIEW = "CREATE VIEW metrics AS SELECT "


def add_row(connection: sqlite3.Connection, row: Row) -> None:
    """Write a row with its chain, and move the head to it."""
    columns = row.columns()
    connection.execute(f"INSERT INTO states VALUES ({', '.join('?' * len(columns))})", columns)
    connection.execute("UPDATE head SET position = ?, chain = ?", [row.position, row.chain])


def create_metrics_view(connection: sqlite3.Connection, names: Collection[str]) -> None:
    """Create or replace the view that has a column for each of these metrics."""
    columns = ["epoch"]
    for name in names:
        path, alias = json.dumps(f'$."{name}"')[1:-1].replace("\\", ""), name.replace('"', '""')
        columns.append(f"json_extract(metrics, '{path.replace(chr(39), chr(39) * 2)}') AS \"{alias}\"")
    connection.execute("DROP VIEW IF EXISTS metrics")
    connection.execute(f"{METRICS_VIEW}{', '.join(columns)}, seconds FROM states WHERE metrics <> '{{}}'")


def add_snapshot(connection: sqlite3.Connection, position: int, content: str, arrays: Mapping[str, Array]) -> None:
    """Write a packed state and those of its arrays that the file does not hold yet."""
    add_arrays(connection, arrays)
    connection.execute("INSERT OR IGNORE INTO snapshots VALUES (?, ?)", [position, content])


def read_manifest_json(connection: sqlite3.Connection) -> dict[str, str]:
    """Read the entries of the manifest, as JSON by name.

    Raises:
        ValueError: If a name comes twice, as it does without end in a damaged file whose pages refer to one another.
    """
    texts: dict[str, str] = {}
    for name, value in connection.execute("SELECT name, value FROM run"):
        if name in texts:
            raise ValueError(f"it has two values for {short(name)}")
        texts[name] = check_size(value)
    return texts


def read_rows(connection: sqlite3.Connection, previous: str, first: int = 0) -> list[Row]:
    """Read the rows from a position to the end, and check them against the chain and the head.

    Args:
        connection: The run file.
        previous: The chain of the row before the first.
        first: The position of the first row to read.

    Raises:
        ValueError: If a row does not match.
    """
    rows = list[Row]()
    for columns in connection.execute("SELECT * FROM states WHERE position >= ? ORDER BY position", [first]):
        row = parse_row(columns)
        if row.position != first + len(rows) or chain_hash(previous, columns) != row.chain:
            raise ValueError(f"row {first + len(rows)} of the states does not match the chain")
        previous = row.chain
        rows.append(row)
    if connection.execute("SELECT position, chain FROM head").fetchall() != [(first + len(rows) - 1, previous)]:
        raise ValueError("the last row of the states is not the head of the chain")
    return rows


def read_snapshots(connection: sqlite3.Connection) -> list[int]:
    """Read the positions that have a snapshot, in order: the first state, and some after it.

    Raises:
        ValueError: If there is none, or they are not in order from position 0.
    """
    positions: list[int] = []
    for (position,) in connection.execute("SELECT position FROM snapshots ORDER BY position"):
        if position <= positions[-1] if positions else position != 0:
            raise ValueError("its snapshots are not in order from the first state on")
        positions.append(position)
    if not positions:
        raise ValueError("it has no snapshots")
    return positions


def read_snapshot(connection: sqlite3.Connection, position: int, record_types: Mapping[str, type]) -> Any:
    """Read the state of a snapshot.

    Args:
        connection: The run file.
        position: The position of the snapshot.
        record_types: Record classes that may be built, by name.

    Raises:
        ValueError: If the snapshot is missing or damaged.
    """
    found = connection.execute("SELECT content FROM snapshots WHERE position = ?", [position]).fetchone()
    if found is None:
        raise ValueError(f"the snapshot of state {position} is missing")
    return unpack(connection, found[0], record_types)
