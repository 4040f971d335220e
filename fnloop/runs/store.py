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
import os
import secrets
import sqlite3
import struct
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from fnloop.errors import FnloopError, RunError
from fnloop.runs.codec import UnknownRecord
from fnloop.runs.packing import add_arrays, short, unpack
from fnloop.typing import Array

APPLICATION, VERSION = 0x666E6C70, 1  # "fnlp"
TABLES = (
    "CREATE TABLE run (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "CREATE TABLE states (position INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, step INTEGER NOT NULL, seconds REAL NOT NULL, "
    "stopped TEXT, metrics TEXT NOT NULL, fields TEXT NOT NULL, digest TEXT NOT NULL, chain TEXT NOT NULL)",
    "CREATE TABLE snapshots (position INTEGER PRIMARY KEY, content TEXT NOT NULL)",
    "CREATE TABLE arrays (hash TEXT PRIMARY KEY, dtype TEXT NOT NULL, shape TEXT NOT NULL, data BLOB NOT NULL)",
    "CREATE TABLE head (position INTEGER NOT NULL, chain TEXT NOT NULL)",
)
_DAMAGE = (
    sqlite3.Error,
    struct.error,
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    MemoryError,
    ArithmeticError,
    RecursionError,
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
        return {name: float(value) for name, value in json.loads(short(self.metrics_json)).items()}

    @property
    def fields(self) -> dict[str, str]:
        """The beginning of each field's hash."""
        return dict(json.loads(short(self.fields_json)))

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


def create(path: Path, info: Mapping[str, str], arrays: Mapping[str, Array], first: Row, content: str) -> None:
    """Make the file, with the first state in it: it is there whole, or not at all, and never takes another's place.

    Raises: FileExistsError: if there is something at the path; OSError, RunError: if it cannot be written.
    """
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        with writing(path), closing(sqlite3.connect(_plain(partial), isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode=MEMORY")  # until it has its name, nobody misses it
            connection.execute(f"PRAGMA application_id={APPLICATION}")
            connection.execute(f"PRAGMA user_version={VERSION}")
            connection.execute("BEGIN")
            for table in TABLES:
                connection.execute(table)
            connection.executemany("INSERT INTO run VALUES (?, ?)", info.items())
            connection.execute("INSERT INTO head VALUES (-1, ?)", [root(info)])
            add_row(connection, first.chained(root(info)))
            add_snapshot(connection, first.position, content, arrays)
            connection.execute("COMMIT")
        os.link(partial, path)
    finally:
        partial.unlink(missing_ok=True)


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
    connection.execute(f"{_VIEW}{', '.join(columns)}, seconds FROM states WHERE metrics <> '{{}}'")


_VIEW = "CREATE VIEW metrics AS SELECT "


def add_snapshot(connection: sqlite3.Connection, position: int, content: str, arrays: Mapping[str, Array]) -> None:
    """Write a packed state; arrays that are there already are not written again."""
    add_arrays(connection, arrays)
    connection.execute("INSERT OR IGNORE INTO snapshots VALUES (?, ?)", [position, content])


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that reads what is committed, also while another writes, and trusts nothing.

    Raises: FileNotFoundError: if there is no such file; RunError: for all that is found not to be as it was written.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no run file {str(path)!r}")
    with path.open("rb"):  # what may not be read is no damage
        connection = None
    try:
        connection = _connect(path)
        connection.execute("BEGIN")
        yield connection
    except FnloopError:
        raise
    except UnknownRecord as error:
        raise RunError(f"{str(path)!r} {error}") from error
    except _DAMAGE as error:
        raise RunError(f"{str(path)!r} is not a run of fnloop, or is damaged: {error or type(error).__name__}") from error
    finally:
        if connection is not None:
            connection.close()


def _connect(path: Path) -> sqlite3.Connection:
    try:
        return _checked(path, "mode=ro")
    except sqlite3.OperationalError:
        if os.path.exists(f"{path}-wal") or os.access(path.parent, os.W_OK):
            raise
        return _checked(path, "mode=ro&immutable=1")  # in a folder that cannot be written a file that nobody writes


def _plain(path: Path) -> str:
    """The path so that SQLite reads nothing into it, such as `:memory:` or a host behind two slashes."""
    return f"/{os.path.abspath(path).lstrip('/')}" if os.name == "posix" else os.path.abspath(path)


def _checked(path: Path, mode: str) -> sqlite3.Connection:
    """A connection to what is a run file by its marks and its tables."""
    connection = sqlite3.connect(f"file:{quote(_plain(path))}?{mode}", uri=True, isolation_level=None)
    try:
        size = sum(os.path.getsize(part) for part in (path, f"{path}-wal") if os.path.exists(part))
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, max(size, 1 << 16))
        for pragma in ("trusted_schema=OFF", "cell_size_check=ON", "mmap_size=0", "query_only=ON"):
            connection.execute(f"PRAGMA {pragma}")
        check_marks(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def check_marks(connection: sqlite3.Connection) -> None:
    """Refuse what is no run file, is of a newer version, or has other tables.

    Raises: ValueError, sqlite3.Error.
    """
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION:
        raise ValueError("it has not the mark of one")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > VERSION:
        raise ValueError(f"it was written by a newer version of fnloop (schema {version}, known is {VERSION})")
    found = connection.execute("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    views = [sql for kind, name, sql in found if (kind, name) == ("view", "metrics") and sql.startswith(_VIEW)]
    if sorted(sql for *_, sql in found) != sorted([*TABLES, *views]) or len(views) > 1:
        raise ValueError("its tables are not those of a run")


def read_info(connection: sqlite3.Connection) -> dict[str, str]:
    """All in `run`.

    Raises: ValueError: if a name comes again, as in pages that point to each other they do without end.
    """
    info: dict[str, str] = {}
    for name, value in connection.execute("SELECT name, value FROM run"):
        if name in info:
            raise ValueError(f"it says {name!r} twice")
        info[name] = short(value)
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


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """What SQLite cannot write is an error that says where.

    Raises: RunError.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise RunError(f"{str(path)!r} cannot be written: {error}") from error


def open_to_write(path: Path) -> sqlite3.Connection:
    """A connection for the one writer of a file, which readers can read beside.

    Raises: RunError: if it cannot be written.
    """
    with writing(path):
        connection = sqlite3.connect(_plain(path), isolation_level=None, check_same_thread=False)
        try:
            connection.execute(_NO_JOURNAL)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
        except BaseException:
            connection.close()
            raise
    return connection


def close_writer(connection: sqlite3.Connection) -> None:
    """Leave one file, where no reader holds on to the others."""
    with suppress(sqlite3.Error):
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        connection.execute(_NO_JOURNAL)
    connection.close()


# The marks of WAL mode are set and taken away by one write to the file's first sector. With a rollback journal beside it, a
# writer that was killed between the two would leave a file that readers, who must not write, could not open.
_NO_JOURNAL = "PRAGMA journal_mode=MEMORY"
