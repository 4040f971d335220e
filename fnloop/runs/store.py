"""The run file: one SQLite file with each state's row and some states whole, which any SQLite reads.

    run        name, value: what the run was begun with, as JSON: `trainer` (digest, the record itself, its repr), `train`
               and `validation` (digest, number of examples, the data itself), `engine`, `monitor`, `environment`,
               `preprocessing`; and of a fork `parent`, and `before`, the metrics of the epochs that it did not train itself
    states     a row a state of the stream: position (0, 1, ...), epoch, step, seconds, stopped (the reason, or NULL),
               metrics (JSON, {} where no epoch was finished), fields (JSON, the hash of each field), digest, chain
    snapshots  position, content: the state as JSON, its arrays by their hashes
    arrays     hash, dtype, shape, data: the bytes of an array, stored once
    head       position and chain of the last row of `states`
    metrics    a view for people: an epoch a row, a metric a column; `sqlite3 lab.run "select * from metrics"` shows it

A row's chain is the SHA-256 of the row and the chain of the row before; before the first it is that of all in `run`. What is
read is checked against it, and arrays and states against their hashes, so nothing in a file is trusted. A row, what it names
and the head are committed together.
"""

import hashlib
import json
import math
import sqlite3
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from fnloop.core.arrays import Array
from fnloop.core.formatting import short
from fnloop.runs.packing import add_arrays, bounded, unpack

APPLICATION, VERSION = 0x666E6C70, 1  # "fnlp"
TABLES = (
    "CREATE TABLE run (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "CREATE TABLE states (position INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, step INTEGER NOT NULL, seconds REAL NOT NULL, "
    "stopped TEXT, metrics TEXT NOT NULL, fields TEXT NOT NULL, digest TEXT NOT NULL, chain TEXT NOT NULL)",
    "CREATE TABLE snapshots (position INTEGER PRIMARY KEY, content TEXT NOT NULL)",
    "CREATE TABLE arrays (hash TEXT PRIMARY KEY, dtype TEXT NOT NULL, shape TEXT NOT NULL, data BLOB NOT NULL)",
    "CREATE TABLE head (position INTEGER NOT NULL, chain TEXT NOT NULL)",
)


class Row(NamedTuple):
    """What is known of each state of a run; see the module's docstring."""

    position: int
    epoch: int
    step: int
    seconds: float
    stopped: str | None
    metrics_json: str
    fields_json: str
    digest: str
    chain: str = ""

    @property
    def metrics(self) -> dict[str, float]:
        """Those of the epoch, or none where no epoch was finished."""
        return read_numbers(bounded(self.metrics_json))

    @property
    def fields(self) -> dict[str, str]:
        """The beginning of each field's hash."""
        return dict(json.loads(bounded(self.fields_json)))

    def chained(self, before: str) -> "Row":
        """The row with its place in the chain."""
        return self._replace(chain=_sha256([before, *self[:-1]]))

    def check(self) -> "Row":
        """The row, if all in it is of its kind.

        Raises: ValueError: if not.
        """
        kinds = tuple(map(type, self))
        if kinds not in (_KINDS, (*_KINDS[:4], type(None), *_KINDS[5:])) or self.epoch < 0 or self.step < 0:
            raise ValueError(f"row {self.position} of the states is not that of a state: {self[:5]}")
        return self


_KINDS = (int, int, int, float, str, str, str, str, str)


def _sha256(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def root(info: Mapping[str, str]) -> str:
    """The chain before the first row."""
    return _sha256(sorted(info.items()))


def write_numbers(numbers: Mapping[str, float]) -> str:
    """Numbers as JSON, where NaN and the infinities are text."""
    return json.dumps({name: value if math.isfinite(value) else repr(value) for name, value in numbers.items()})


def read_numbers(text: str) -> dict[str, float]:
    """The numbers of such JSON; a NaN comes back without its sign, which a computed one may have."""
    return {name: float(value) for name, value in json.loads(text).items()}


def add_row(connection: sqlite3.Connection, row: Row) -> None:
    """Write a row that is in the chain."""
    connection.execute(f"INSERT INTO states VALUES ({', '.join('?' * len(row))})", row)
    connection.execute("UPDATE head SET position = ?, chain = ?", [row.position, row.chain])


def show_metrics(connection: sqlite3.Connection, names: Collection[str]) -> None:
    """Make the view of these metrics anew."""
    columns = ["epoch"]
    for name in names:
        path, alias = json.dumps(f'$."{name}"')[1:-1].replace("\\", ""), name.replace('"', '""')
        columns.append(f"json_extract(metrics, '{path.replace(chr(39), chr(39) * 2)}') AS \"{alias}\"")
    connection.execute("DROP VIEW IF EXISTS metrics")
    connection.execute(f"{VIEW}{', '.join(columns)}, seconds FROM states WHERE metrics <> '{{}}'")


VIEW = "CREATE VIEW metrics AS SELECT "


def add_snapshot(connection: sqlite3.Connection, position: int, content: str, arrays: Mapping[str, Array]) -> None:
    """Write a packed state; arrays that are there already are not written again."""
    add_arrays(connection, arrays)
    connection.execute("INSERT OR IGNORE INTO snapshots VALUES (?, ?)", [position, content])


def read_info(connection: sqlite3.Connection) -> dict[str, str]:
    """All in `run`.

    Raises: ValueError: if a name comes again, as in pages that point to each other they do without end.
    """
    info: dict[str, str] = {}
    for name, value in connection.execute("SELECT name, value FROM run"):
        if name in info:
            raise ValueError(f"it says {short(name)} twice")
        info[name] = bounded(value)
    return info


def read_rows(connection: sqlite3.Connection, before: str, first: int = 0) -> list[Row]:
    """The rows from a position on, checked against the chain before it, and the head.

    Raises: ValueError: if they are not those that were written.
    """
    rows = list[Row]()
    for columns in connection.execute("SELECT * FROM states WHERE position >= ? ORDER BY position", [first]):
        row = Row(*columns).check()
        if not all(type(value) is str for value in row.fields.values()) or row.metrics is None:
            raise ValueError(f"row {row.position} of the states has other fields than a state")
        if row.position != first + len(rows) or row.chained(before).chain != row.chain:
            raise ValueError(f"row {first + len(rows)} of the states does not match the chain")
        before = row.chain
        rows.append(row)
    if connection.execute("SELECT position, chain FROM head").fetchall() != [(first + len(rows) - 1, before)]:
        raise ValueError("the last row of the states is not the head of the chain")
    return rows


def read_snapshots(connection: sqlite3.Connection) -> list[int]:
    """The positions that have a snapshot: the first one of the run, from which all others can be had, and some behind it.

    Raises: ValueError: if they are not that.
    """
    found: list[int] = []
    for (position,) in connection.execute("SELECT position FROM snapshots ORDER BY position"):
        if position <= found[-1] if found else position != 0:
            raise ValueError("its whole states are not in order from the first one on")
        found.append(position)
    if not found:
        raise ValueError("it has no whole states")
    return found


def read_snapshot(connection: sqlite3.Connection, position: int, kinds: Mapping[str, type]) -> Any:
    """The state that was written at a position."""
    found = connection.execute("SELECT content FROM snapshots WHERE position = ?", [position]).fetchone()
    if found is None:
        raise ValueError(f"the snapshot of state {position} is missing")
    return unpack(connection, found[0], kinds)
