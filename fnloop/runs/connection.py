"""Connections to a run file: to write it, and to read it without trusting its content."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from errno import EACCES
from functools import partial
from pathlib import Path
from time import monotonic, sleep
from urllib.parse import quote

from fnloop.core.decoding import NotData
from fnloop.core.errors import FnloopError, RunError
from fnloop.core.formatting import listed, short
from fnloop.core.version import __version__
from fnloop.runs.damage import CONTENT_ERRORS, explain
from fnloop.runs.packing import MAX_JSON_LENGTH
from fnloop.runs.patience import PatientConnection, code_of, is_busy, patiently, without_forks
from fnloop.runs.schema import check_schema, distrust_schema, own_triggers

_DAMAGE = (sqlite3.Error, *CONTENT_ERRORS)
_NO_ROOM = {sqlite3.SQLITE_IOERR_SHMOPEN, sqlite3.SQLITE_IOERR_SHMSIZE, sqlite3.SQLITE_IOERR_SHMMAP, sqlite3.SQLITE_FULL}

# SQLite sets and clears the marks of WAL mode with one write to the first sector of the file. With a rollback journal, a
# writer killed during that write would leave a file that readers, who must not write, cannot open.
NO_JOURNAL = "PRAGMA journal_mode=MEMORY"

# Errors where a log cannot be shared. On a full disk, a rollback journal has them again.
_NO_LOG = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_READONLY}
_STARTING = 1.0  # seconds that a reader waits for a writer that opens a file
_CLOSING = 3.0  # seconds that a writer waits for readers at the end
_MAX_VALUE = 4 * MAX_JSON_LENGTH  # bytes of a value or a row, more than any that is written


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
    if not os.access(path, os.R_OK):  # opening and closing the file here would release this process's locks of it
        raise PermissionError(EACCES, os.strerror(EACCES), str(path))
    with reporting_damage(path), closing(_connect(path)) as connection:
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
    try:
        yield
    except (FnloopError, NotData):
        raise
    except _DAMAGE as error:
        if code_of(error) in _NO_ROOM:
            reason = "its index in memory, a file with the ending -shm, cannot be made: is the disk full?"
            raise RunError(f"{short(str(path))} cannot be read: {reason}") from error
        raise RunError(f"{short(str(path))} {explain(error, 'run', version)}") from error


def _connect(path: Path) -> sqlite3.Connection:
    """Return a connection to a checked file, in a transaction that reads what is committed now."""
    deadline = monotonic() + _STARTING
    while True:
        file = os.stat(path)
        try:
            connection = patiently(partial(_open, path))
        except _DAMAGE as error:
            cannot_open = code_of(error) & 0xFF == sqlite3.SQLITE_CANTOPEN
            if cannot_open and monotonic() < deadline:
                sleep(0.01)  # a writer may be finding out that it cannot have a log here
            elif os.path.samestat(file, os.stat(path)):
                raise
            continue  # or another run has replaced the file, whose log is that of the new one
        if os.path.samestat(file, os.stat(path)):
            return connection
        connection.close()


def _open(path: Path) -> sqlite3.Connection:
    try:
        return _checked(path, "mode=ro")
    except sqlite3.OperationalError as error:
        if is_busy(error):
            raise
        if code_of(error) == sqlite3.SQLITE_READONLY_ROLLBACK and os.access(path, os.W_OK):
            return _checked(path, "mode=rw")  # a killed writer has left a rollback journal, which is undone by this
        if _size(f"{path}-wal") or os.access(path.parent, os.W_OK):
            raise
        return _checked(path, "mode=ro&immutable=1")  # in a read-only folder no process writes the file


def _size(path: Path | str) -> int:
    """Return the size of a file; 0 if there is none."""
    try:
        return os.path.getsize(path)
    except FileNotFoundError:
        return 0


def literal(path: Path) -> str:
    """Return the path in a form that SQLite takes literally: not `:memory:`, and no host after two slashes."""
    return f"/{os.path.abspath(path).lstrip('/')}" if os.name == "posix" else os.path.abspath(path)


def _checked(path: Path, mode: str) -> sqlite3.Connection:
    """Return a connection to a file whose marks and tables are those of a run file, in a transaction."""
    connection = sqlite3.connect(f"file:{quote(os.fsencode(literal(path)))}?{mode}", uri=True, isolation_level=None)
    try:
        size = _size(path) + _size(f"{path}-wal")
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, min(max(size, 1 << 16), _MAX_VALUE))
        for pragma in ("cell_size_check=ON", "mmap_size=0", "query_only=ON"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("BEGIN")
        distrust_schema(connection)
        check_schema(connection)
    except BaseException:
        connection.close()
        raise
    return connection


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
        cause = "another connection reads or writes it, " if is_busy(error) else ""
        raise RunError(f"{short(str(path))} cannot be written: {cause}{error}") from error


def open_to_write(path: Path) -> PatientConnection:
    """Open the connection of the one writer of a file, which others can read meanwhile.

    Raises:
        RunError: If the file cannot be written, or has triggers that would change what is written.
    """
    with without_forks(), reporting_write_errors(path):
        try:
            return _opened(path, _log_ahead)
        except sqlite3.OperationalError as error:
            if code_of(error) & 0xFF not in _NO_LOG or not os.access(path, os.W_OK):
                raise
            return _opened(path, _roll_back)


def _opened(path: Path, set_journal: Callable[[sqlite3.Connection], None]) -> PatientConnection:
    connection = connect_to_write(literal(path))
    connection.path = str(path)
    try:
        set_journal(connection)
        distrust_schema(connection)
        triggers = own_triggers(connection)
        if triggers:
            raise RunError(f"{short(str(path))} cannot be written while its tables have triggers: {listed(triggers)}")
        connection.execute("BEGIN IMMEDIATE")  # finds what hinders writing
        connection.execute("ROLLBACK")
    except BaseException:
        connection.close()
        raise
    return connection


def _log_ahead(connection: sqlite3.Connection) -> None:
    """Use a write-ahead log, which readers do not wait for."""
    if connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):  # that a killed writer has left
        connection.execute(NO_JOURNAL)
        if connection.execute("PRAGMA journal_mode=WAL").fetchone() != ("wal",):
            _roll_back(connection)
            return
    connection.execute("PRAGMA synchronous=NORMAL")


def _roll_back(connection: sqlite3.Connection) -> None:
    """Use a rollback journal, as on a file system where processes cannot share a log."""
    connection.execute("PRAGMA locking_mode=EXCLUSIVE")  # with which an earlier log needs no shared memory
    connection.execute("PRAGMA journal_mode=DELETE")
    connection.execute("PRAGMA locking_mode=NORMAL")


def connect_to_write(name: str) -> PatientConnection:
    """Return a connection that writes the file of a name; of `:memory:`, one in memory."""
    connection = sqlite3.connect(name, isolation_level=None, check_same_thread=False, timeout=1.0, factory=PatientConnection)
    connection.path = name
    connection.execute("PRAGMA foreign_keys=OFF")
    return connection


def close_writer(connection: PatientConnection) -> str | None:
    """Close a writer's connection, and merge its log into the run file.

    A reader that has been in one transaction since before the last epochs keeps them in the log; this waits a few seconds for
    its end.

    Returns:
        A text for a warning if the run is now in two files, which belong together; else None.
    """
    path = connection.path
    try:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        reason = _merge(connection)
    except sqlite3.Error as error:
        reason = str(error)
    finally:
        connection.close()
    if reason is None or not _size(f"{path}-wal"):
        return None
    return (
        f"the last epochs of {short(path)} are in {short(f'{path}-wal')}, because {reason}: both files belong together; "
        "fl.open_run(path).copy_to(other) makes one file of them"
    )


def _merge(connection: PatientConnection) -> str | None:
    """Merge the log into the file and delete it; return why the file lacks the last epochs, or None if it is whole."""
    connection.patience, deadline, is_read = _CLOSING, monotonic() + _CLOSING, True
    while is_read and monotonic() < deadline:
        is_read = bool(connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0])
    try:
        connection.execute(NO_JOURNAL)
    except sqlite3.OperationalError as error:
        if not is_busy(error):
            raise
        return "another connection reads an earlier epoch" if is_read else None
    return None
