"""Copy a run, also while it is recorded, to one whole file."""

import os
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path
from urllib.parse import quote

from fnloop.core.errors import RunError
from fnloop.core.formatting import short
from fnloop.runs.connection import literal, reading, reporting_write_errors
from fnloop.runs.files import check_target, partial_path, publish
from fnloop.runs.manifest import FORMAT_VERSION
from fnloop.runs.patience import code_of, patiently
from fnloop.runs.schema import distrust_schema
from fnloop.runs.start import check_unused
from fnloop.runs.store import APPLICATION_ID


def copy_run(path: Path, target: str | os.PathLike[str]) -> Path:
    """Write what is committed to a run file to a new file, and return its path; the path has the whole file or none.

    Args:
        path: The run file.
        target: The new file.

    Raises:
        RunError: If there is a file at the new path, the run cannot be read, or the new file cannot be written.
        OSError: If the new file cannot be created.
    """
    new = check_target(target)
    check_unused(new)
    with reading(path):
        pass  # it is a run file
    partial_copy = partial_path(new)
    try:
        with reporting_write_errors(new):
            patiently(partial(_vacuum, path, partial_copy))
        _flush(partial_copy)
        try:
            publish(partial_copy, new)
        except FileExistsError:
            check_unused(new)
            raise
    finally:
        partial_copy.unlink(missing_ok=True)
    return new


def _vacuum(path: Path, target: Path) -> None:
    """Write a copy with the marks of a run file, which a restored run may lack."""
    target.unlink(missing_ok=True)
    with closing(
        sqlite3.connect(f"file:{quote(os.fsencode(literal(path)))}?mode=ro", uri=True, isolation_level=None)
    ) as connection:
        try:
            distrust_schema(connection)
            connection.execute("VACUUM INTO ?", [literal(target)])
        except sqlite3.DatabaseError as error:
            if code_of(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
                raise RunError(f"{short(str(path))} is damaged: {error}") from error
            raise
    with closing(sqlite3.connect(literal(target), isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=MEMORY")
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version={FORMAT_VERSION}")


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
