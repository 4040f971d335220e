"""Create run files: the path has the whole file or none. Small ones are made in memory, which takes a third of the time."""

import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from fnloop.runs.connection import NO_JOURNAL, connect_to_write, literal
from fnloop.runs.files import partial_path, write_new
from fnloop.runs.manifest import FORMAT_VERSION
from fnloop.runs.patience import PatientConnection, without_forks
from fnloop.runs.store import APPLICATION_ID, TABLES

Fill = Callable[[sqlite3.Connection], None]
MAX_BYTES = 1 << 22  # of a file that is made in memory
_VIEWS = "SELECT name, sql FROM sqlite_master WHERE type = 'view'"


class Template:
    """An empty run file in memory, in which one new file after another is made.

    SQLite compiles its statements and tables once for all of them, and its views for all that have those of the one before.
    """

    def __init__(self) -> None:
        self._connection: PatientConnection | None = None
        self._views: dict[str, str] = {}

    def make(self, fill: Fill) -> bytes:
        """Return the content of a new file.

        Args:
            fill: As in `create`.

        Raises:
            sqlite3.Error: If SQLite cannot write it.
        """
        connection = self._connection = self._connection or self._open()
        connection.execute("BEGIN")
        try:
            fill(connection)
            content = connection.serialize()
            views = connection.execute(_VIEWS).fetchall()
        finally:
            connection.execute("ROLLBACK")
        for name, statement in views:
            if self._views.get(name) != statement:
                connection.execute(f"DROP VIEW IF EXISTS {name}")
                connection.execute(statement)
        self._views = dict(views)
        return content

    def _open(self) -> PatientConnection:
        with without_forks():
            connection = connect_to_write(":memory:")
        connection.execute("BEGIN")
        _add_tables(connection)
        connection.execute("COMMIT")
        return connection

    def close(self) -> None:
        """Free the memory."""
        connection, self._connection, self._views = self._connection, None, {}
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()


def create(path: Path, fill: Fill, nbytes: int, template: Template, publish: Callable[[Path, Path], None]) -> None:
    """Create a run file; the path has the whole file or none.

    Args:
        path: Path of the run file.
        fill: Called with a connection to an empty run file, which has the marks and the tables of one. What it writes is
            committed in one transaction.
        nbytes: About the number of bytes that it writes.
        template: Where the file is made if it is small.
        publish: Called with the complete temporary file and the path, to give it its name.

    Raises:
        FileExistsError: If the path exists and `publish` does not replace it.
        OSError: If the file cannot be written.
        sqlite3.Error: If SQLite cannot write it.
    """
    new = partial_path(path)
    try:
        if nbytes <= MAX_BYTES and hasattr(sqlite3.Connection, "serialize"):
            write_new(new, template.make(fill))
        else:
            _write(new, fill)
        with without_forks():
            publish(new, path)
    finally:
        new.unlink(missing_ok=True)


def _write(path: Path, fill: Fill) -> None:
    with without_forks(), closing(connect_to_write(literal(path))) as connection:
        connection.execute(NO_JOURNAL)  # a crash leaves a temporary file, and needs no journal
        connection.execute("BEGIN")  # one transaction, so that the disk is waited for once
        _add_tables(connection)
        fill(connection)
        connection.execute("COMMIT")


def _add_tables(connection: sqlite3.Connection) -> None:
    connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version={FORMAT_VERSION}")
    for table in TABLES:
        connection.execute(table)
