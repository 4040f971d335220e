"""The tables of a run file: one SQLite file, which any SQLite can read.

    run        name, value: the manifest, as JSON: format, trainer, data, engine, monitor (see `Manifest`)
    states     a row for each state of the stream: position (0, 1, ...), epoch, step, seconds, stopped (the reason, or NULL),
               metrics (JSON, {} for a state that finished no epoch), environment (JSON, in each row where it changes),
               fields (a checksum of each field), digest
    blocks     number, rows, digest, chain: the chain of hashes over the rows (see `fnloop.runs.blocks`)
    snapshots  position, content: the texts of some of the states; the SHA-256 of a text is the digest of its row
    arrays     hash, part, dtype, shape, data: the arrays that texts name by their hashes, in parts, each stored once
    records    hash, content: the texts of records that texts name by their hashes, such as a model
    head       position of the last row, chain of the last block, ended (when the recording ended; NULL meanwhile)

Two views are for people. `metrics` has a row for each epoch and a column for each metric, `metric_values` a row for each
epoch and metric: `sqlite3 lab.run "select * from metrics"`. Other tables, views and indices in the file are the user's.

A reader trusts nothing: it checks rows against the chain, and arrays and texts against their hashes.
"""

import re
import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from json.encoder import encode_basestring_ascii as quote
from typing import Any, NamedTuple

from fnloop.core.encoding import sha256_of
from fnloop.core.formatting import short
from fnloop.runs.blocks import Block, check_blocks, rows_digest
from fnloop.runs.packing import Packed, add_packed, check_size
from fnloop.runs.rows import Row, hashed_line, parse_row

APPLICATION_ID = 0x666E6C70  # "fnlp"
TABLES = (
    "CREATE TABLE run (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "CREATE TABLE states (position INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, step INTEGER NOT NULL, seconds REAL NOT NULL, "
    "stopped TEXT, metrics TEXT NOT NULL, environment TEXT, fields BLOB NOT NULL, digest TEXT NOT NULL)",
    "CREATE TABLE blocks (number INTEGER PRIMARY KEY, rows INTEGER NOT NULL, digest TEXT NOT NULL, chain TEXT NOT NULL)",
    "CREATE TABLE snapshots (position INTEGER PRIMARY KEY, content TEXT NOT NULL)",
    "CREATE TABLE arrays (hash TEXT NOT NULL, part INTEGER NOT NULL, dtype TEXT NOT NULL, shape TEXT NOT NULL, "
    "data BLOB NOT NULL, PRIMARY KEY (hash, part))",
    "CREATE TABLE records (hash TEXT PRIMARY KEY, content TEXT NOT NULL)",
    "CREATE TABLE head (position INTEGER NOT NULL, chain TEXT NOT NULL, ended TEXT)",
)
VIEWS = ("metrics", "metric_values")
MAX_COLUMNS = 1900  # of the view `metrics`; SQLite allows 2000


class Head(NamedTuple):
    """The end of a run file.

    Attributes:
        position: The position of the last row.
        chain: The chain of the last block.
        ended: When the recording ended, in ISO format; None while it is recorded, or if it was killed.
    """

    position: int
    chain: str
    ended: str | None


def add_manifest(connection: sqlite3.Connection, texts: Mapping[str, str], packed: Iterable[Packed]) -> None:
    """Write the manifest and what it names into an empty run file.

    Args:
        connection: The run file.
        texts: The entries as JSON, by name.
        packed: The values of the entries, such as trainer and data.
    """
    connection.executemany("INSERT INTO run VALUES (?, ?)", texts.items())
    for value in packed:
        add_packed(connection, value)
    connection.execute("INSERT INTO head VALUES (-1, '', NULL)")


def add_rows(connection: sqlite3.Connection, rows: Iterable[Sequence[Any]], blocks: Iterable[Block], head: Head) -> None:
    """Write rows, the blocks that have them, and the head.

    Args:
        connection: The run file.
        rows: The columns of each row.
        blocks: The blocks that changed.
        head: The new end of the file.
    """
    connection.executemany("INSERT INTO states VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
    connection.executemany("INSERT OR REPLACE INTO blocks VALUES (?, ?, ?, ?)", blocks)
    connection.execute("UPDATE head SET position = ?, chain = ?, ended = ?", head)


def add_snapshot(connection: sqlite3.Connection, position: int, packed: Packed) -> int:
    """Write a packed state, and those of its arrays that the file does not hold yet; return the bytes that were written."""
    added = connection.execute("INSERT OR IGNORE INTO snapshots VALUES (?, ?)", [position, packed.text]).rowcount
    return added * len(packed.text) + add_packed(connection, packed)


def drop_snapshots(connection: sqlite3.Connection, positions: Collection[int]) -> None:
    """Remove snapshots, and the arrays and records that nothing refers to any more."""
    connection.executemany("DELETE FROM snapshots WHERE position = ?", [(position,) for position in positions])
    contents = "SELECT content FROM snapshots UNION ALL SELECT content FROM records UNION ALL SELECT value FROM run"
    referenced = _hashes_in(connection, contents)
    for table in ("arrays", "records"):
        unused = [name for name in connection.execute(f"SELECT DISTINCT hash FROM {table}") if name[0] not in referenced]
        connection.executemany(f"DELETE FROM {table} WHERE hash = ?", unused)


def snapshot_bytes(connection: sqlite3.Connection) -> int:
    """Return the size of the snapshots and of the arrays that only they refer to."""
    of_run = _hashes_in(connection, "SELECT value FROM run")
    sizes = connection.execute("SELECT hash, sum(length(data)) FROM arrays GROUP BY hash")
    texts = connection.execute("SELECT position, length(content) FROM snapshots")
    return sum(size for name, size in (*texts, *sizes) if name not in of_run)


def _hashes_in(connection: sqlite3.Connection, query: str) -> set[str]:
    """Return all hashes in the texts of a query."""
    return {name for (text,) in connection.execute(query) for name in re.findall("[0-9a-f]{64}", text)}


def create_views(connection: sqlite3.Connection, names: Collection[str]) -> None:
    """Create or replace the views, for metrics of these names.

    The view `metrics` has the first 1,900 metrics as columns; `metric_values` has all. NaN is NULL.
    """
    columns = ["epoch", *(f"{_value_of(name)} AS {_identifier(name)}" for name in names if _is_unicode(name))][:MAX_COLUMNS]
    statements = (
        f"CREATE VIEW metrics AS SELECT {', '.join(columns)}, seconds FROM states WHERE metrics <> '{{}}'",
        "CREATE VIEW metric_values AS SELECT states.epoch AS epoch, json_each.key AS metric, json_each.value AS value "
        "FROM states, json_each(states.metrics)",
    )
    views = dict(connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'view'"))
    for name, statement in zip(VIEWS, statements, strict=True):
        if views.get(name) != statement:
            connection.execute(f"DROP VIEW IF EXISTS {name}")
            connection.execute(statement)


def _value_of(name: str) -> str:
    """Return the SQL expression of a metric's value; a path cannot express every name."""
    if quote(name) == f'"{name}"':
        return f"json_extract(metrics, {_string(f'$.{quote(name)}')})"
    return f"(SELECT value FROM json_each(metrics) WHERE key = {_string(name)})"


def _string(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _is_unicode(name: str) -> bool:
    """Return whether a name can be in SQL, which NUL and lone surrogates cannot."""
    return "\0" not in name and not any("\ud800" <= character <= "\udfff" for character in name)


def read_manifest(connection: sqlite3.Connection) -> dict[str, str]:
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


def read_head(connection: sqlite3.Connection) -> Head:
    """Read the end of the file.

    Raises:
        ValueError: If there is not exactly one.
    """
    found = connection.execute("SELECT position, chain, ended FROM head LIMIT 2").fetchall()
    if len(found) != 1:
        raise ValueError("it does not have one head")
    return Head(*found[0])


def read_blocks(connection: sqlite3.Connection, previous: str, number: int = 0) -> list[Block]:
    """Read the blocks from a number to the end, and check them against the chain and the head.

    Args:
        connection: The run file.
        previous: The chain of the block before the first.
        number: The number of the first block to read.

    Raises:
        ValueError: If a block does not match.
    """
    query = "SELECT number, rows, digest, chain FROM blocks WHERE number >= ? ORDER BY number"
    blocks = list(map(Block._make, connection.execute(query, [number])))
    check_blocks(blocks, previous)
    head = read_head(connection)
    if not blocks or blocks[0].number != number or (blocks[-1].end - 1, blocks[-1].chain) != head[:2]:
        raise ValueError("the last row of the states is not the head of the chain")
    ends = connection.execute("SELECT (SELECT min(position) FROM states), (SELECT max(position) FROM states)").fetchone()
    if ends != (0, head.position):
        raise ValueError(f"its states have rows from {ends[0]} to {ends[1]}, and the chain those from 0 to {head.position}")
    return blocks


def read_rows(connection: sqlite3.Connection, blocks: Sequence[Block]) -> list[Row]:
    """Read the rows of consecutive blocks, and check them.

    Args:
        connection: The run file.
        blocks: The blocks; rows that were added to the last one later are not read.

    Raises:
        ValueError: If the rows do not match a block.
    """
    query = "SELECT * FROM states WHERE position >= ? AND position < ? ORDER BY position"
    columns = connection.execute(query, [blocks[0].first, blocks[-1].end]).fetchall()
    rows = list[Row]()
    for block in blocks:
        of_block = columns[len(rows) : len(rows) + block.rows]
        if rows_digest(map(hashed_line, of_block)) != block.digest:
            raise ValueError(f"rows {block.first} to {block.end - 1} of the states do not match the chain")
        rows += map(parse_row, of_block)
    if [row.position for row in rows] != list(range(blocks[0].first, blocks[-1].end)):
        raise ValueError("the rows of the states are not in order")
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


def read_snapshot(connection: sqlite3.Connection, row: Row) -> str:
    """Read the text of a snapshot.

    Args:
        connection: The run file.
        row: The row of the state.

    Raises:
        ValueError: If it is missing, or does not match the digest of the row.
    """
    found = connection.execute("SELECT content FROM snapshots WHERE position = ?", [row.position]).fetchone()
    if found is None:
        raise ValueError(f"the snapshot of state {row.position} is missing")
    if sha256_of(check_size(found[0])) != row.digest:
        raise ValueError(f"the snapshot of state {row.position} does not match its digest")
    return str(found[0])
