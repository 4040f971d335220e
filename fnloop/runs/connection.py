"""Connections to a run file: to create it, to write it, and to read it without trusting its content."""

import os
import sqlite3
import struct
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from fnloop.core.decoding import NotData, UnknownRecord
from fnloop.core.errors import FnloopError, RunError
from fnloop.core.formatting import short
from fnloop.core.version import __version__
from fnloop.runs.files import partial_path, publish
from fnloop.runs.manifest import FORMAT_VERSION
from fnloop.runs.packing import Damage
from fnloop.runs.store import APPLICATION_ID, TABLES

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

# SQLite sets and clears the marks of WAL mode with one write to the first sector of the file. With a rollback journal, a
# writer killed during that write would leave a file that readers, who must not write, cannot open.
_NO_JOURNAL = "PRAGMA journal_mode=MEMORY"


def create(path: Path, fill: Callable[[sqlite3.Connection], None], publish: Callable[[Path, Path], None] = publish) -> None:
    """Create a run file; the path has the whole file or none.

    Args:
        path: Path of the run file.
        fill: Called with a connection to a temporary file, which has the marks and the empty tables of a run file. What it
            writes is committed in one transaction.
        publish: Called with the complete temporary file and the path, to give it its name. The default never replaces a
            file.

    Raises:
        FileExistsError: If the path exists and `publish` is the default.
        OSError: If the file cannot be written.
        sqlite3.Error: If SQLite cannot write it.
    """
    partial = partial_path(path)
    try:
        with closing(sqlite3.connect(_literal(partial), isolation_level=None)) as connection:
            connection.execute(_NO_JOURNAL)  # a crash leaves a temporary file, and needs no journal
            connection.execute("BEGIN")  # one transaction, so that the disk is waited for once
            connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version={FORMAT_VERSION}")
            for table in TABLES:
                connection.execute(table)
            fill(connection)
            connection.execute("COMMIT")
        publish(partial, path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Yield a connection that reads what is committed, also while another process writes.

    Raises:
        OSError: If the file does not exist or cannot be read.
        RunError: If it is not a regular file, or as in `reporting_damage`.
    """
    if not path.exists():
        raise FileNotFoundError(f"no such file: {short(str(path))}")
    if not path.is_file():
        raise RunError(f"a run must be a regular file, which {short(str(path))} is not")
    path.open("rb").close()  # a missing permission is not damage
    with reporting_damage(path), closing(_connect(path)) as connection:
        connection.execute("BEGIN")
        yield connection


@contextmanager
def reporting_damage(path: Path, version: str = __version__) -> Iterator[None]:
    """Turn errors from unexpected content into a `RunError` with the path.

    Args:
        path: The run file.
        version: The version of the package that wrote the file, once that is known and what is read matches its hash.

    Raises:
        RunError: If the file is not a run file, is damaged, holds records of unknown classes, or is of another version that
            this one cannot read.
    """
    other = "" if version == __version__ else f"was written by fnloop {short(version)}, and this is {__version__}"
    try:
        yield
    except (FnloopError, NotData):
        raise
    except UnknownRecord as error:
        raise RunError(f"{short(str(path))} {error}{f'; it {other}' if other else ''}") from error
    except _DAMAGE as error:
        reason = error or type(error).__name__
        if other and not isinstance(error, Damage):
            raise RunError(f"{short(str(path))} {other}, which cannot read it: {reason}") from error
        raise RunError(f"{short(str(path))} is not a run of fnloop, or is damaged: {reason}") from error


def _connect(path: Path) -> sqlite3.Connection:
    try:
        return _checked(path, "mode=ro")
    except sqlite3.OperationalError:
        if os.path.exists(f"{path}-wal") or os.access(path.parent, os.W_OK):
            raise
        return _checked(path, "mode=ro&immutable=1")  # in a read-only folder no process writes the file


def _literal(path: Path) -> str:
    """Return the path in a form that SQLite takes literally: not `:memory:`, and no host after two slashes."""
    return f"/{os.path.abspath(path).lstrip('/')}" if os.name == "posix" else os.path.abspath(path)


def _checked(path: Path, mode: str) -> sqlite3.Connection:
    """Return a connection to a file whose marks and tables are those of a run file."""
    connection = sqlite3.connect(f"file:{quote(_literal(path))}?{mode}", uri=True, isolation_level=None)
    try:
        size = sum(os.path.getsize(part) for part in (path, f"{path}-wal") if os.path.exists(part))
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, max(size, 1 << 16))
        for pragma in ("trusted_schema=OFF", "cell_size_check=ON", "mmap_size=0", "query_only=ON"):
            connection.execute(f"PRAGMA {pragma}")
        check_schema(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def check_schema(connection: sqlite3.Connection) -> None:
    """Check that a file has the marks, a known version and the tables of a run file.

    Raises:
        ValueError: If it does not.
        sqlite3.Error: If it is not an SQLite file.
    """
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise ValueError("it does not have the application id of one")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > FORMAT_VERSION:
        raise ValueError(f"it was written by a newer version of fnloop (schema {version}, known is {FORMAT_VERSION})")
    found = {sql for (sql,) in connection.execute("SELECT sql FROM sqlite_master")}
    if not found.issuperset(TABLES):
        raise ValueError("its tables are not those of a run")


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Write in one transaction."""
    connection.execute("BEGIN IMMEDIATE")
    yield
    connection.execute("COMMIT")


@contextmanager
def reporting_write_errors(path: Path) -> Iterator[None]:
    """Turn errors of SQLite into a `RunError` with the path.

    Raises:
        RunError: If SQLite cannot write the file.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise RunError(f"{short(str(path))} cannot be written: {error}") from error


def open_to_write(path: Path) -> sqlite3.Connection:
    """Open the connection of the one writer of a file, which others can read meanwhile.

    Raises:
        RunError: If the file cannot be written.
    """
    with reporting_write_errors(path):
        connection = sqlite3.connect(_literal(path), isolation_level=None, check_same_thread=False)
        try:
            connection.execute(_NO_JOURNAL)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
        except BaseException:
            connection.close()
            raise
    return connection


def close_writer(connection: sqlite3.Connection) -> None:
    """Close a writer's connection and merge its log into the run file, unless a reader still uses the log."""
    with suppress(sqlite3.Error):
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        connection.execute(_NO_JOURNAL)
    connection.close()
