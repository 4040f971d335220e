"""Recognise a run file by its marks and its tables; what users add to it is left alone."""

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from functools import cache

from fnloop.core.formatting import listed
from fnloop.runs.damage import check_format
from fnloop.runs.manifest import FORMAT_VERSION
from fnloop.runs.store import APPLICATION_ID, TABLES

Columns = list[tuple[str, str, int, str | None, int, int]]  # name, type, whether not null, default, place in the key, hidden


def check_schema(connection: sqlite3.Connection) -> None:
    """Check that a file is a run file of a known version.

    It has ordinary tables with the columns of a run's. Other tables, views, indices and triggers are the user's own. The
    marks of the file are those of a run, or none, as after `.dump` and restoring; then the table `run` has the version.

    Raises:
        NewerFormat: If it is of a newer format.
        ValueError: If it is not a run file.
        sqlite3.Error: If it is not an SQLite file.
    """
    mark, version = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version"))
    if mark not in (APPLICATION_ID, 0):
        raise ValueError("it does not have the application id of one")
    expected = _expected_tables()
    entry = _format_entry(connection) if _tables(connection, ["run"])["run"] == expected["run"] else None
    if not mark and entry is None:
        raise ValueError("it has neither the application id nor the format of one")
    if entry is not None and version not in (0, entry):
        raise ValueError(f"its marks are those of format {version}, and its table run those of format {entry}")
    check_format(entry or version, FORMAT_VERSION)
    different = [name for name, columns in _tables(connection, expected).items() if columns != expected[name]]
    if different:
        raise ValueError(f"its tables are not those of a run: {listed(different)}")


def distrust_schema(connection: sqlite3.Connection) -> None:
    """Let no function with an effect be called by what a file defines.

    Some versions of SQLite count those of JSON among them; a user's index of a metric, which has one, is trusted then.
    """
    connection.execute("PRAGMA trusted_schema=OFF")
    for table in _expected_tables():
        try:
            connection.execute(f"EXPLAIN INSERT INTO {table} DEFAULT VALUES")  # compiles the expressions of its indices
        except sqlite3.DatabaseError as error:  # others come again
            if "unsafe use of json_" in str(error):
                connection.execute("PRAGMA trusted_schema=ON")


def own_triggers(connection: sqlite3.Connection) -> list[str]:
    """Return the names of triggers on the tables of a run, which would change what is recorded."""
    triggers = connection.execute("SELECT name, tbl_name FROM sqlite_master WHERE type = 'trigger' ORDER BY name")
    return [name for name, table in triggers if str(table).lower() in _expected_tables()]


def _format_entry(connection: sqlite3.Connection) -> int | None:
    """Return the version of the format that the table `run` names, or None."""
    found = connection.execute("SELECT value FROM run WHERE name = 'format'").fetchone()
    return int(found[0]) if found is not None and len(str(found[0])) < 10 else None


@cache
def _expected_tables() -> dict[str, Columns]:
    """Return the columns of each table of a run, by name."""
    with closing(sqlite3.connect(":memory:")) as connection:
        for table in TABLES:
            connection.execute(table)
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return _tables(connection, names)


def _tables(connection: sqlite3.Connection, names: Iterable[str]) -> dict[str, Columns]:
    """Return the columns of ordinary tables; none for one that is missing, or is a view or a virtual table."""
    found = {name: Columns() for name in names}
    # An ordinary table has a page; a view and a virtual table have none.
    for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND rootpage > 0").fetchall():
        if str(name).lower() in found:
            columns = connection.execute(f"PRAGMA table_xinfo({name.lower()})").fetchall()
            found[name.lower()] = [tuple(column[1:]) for column in columns]
    return found
