"""Replace a run file by a new one: never another file, and never a run that is being written."""

import os
import shutil
from pathlib import Path
from time import monotonic

from fnloop.core.errors import RunError
from fnloop.core.formatting import short
from fnloop.runs.connection import close_writer, open_to_write, reading
from fnloop.runs.lock import lock
from fnloop.runs.patience import PATIENCE


def check_replaceable(path: Path) -> None:
    """Check that there is a run file at a path which is not being written.

    Raises:
        RunError: If there is another file, or the run is being written.
    """
    _check_run(path)
    lock(path)()


def replace_run(partial: Path, path: Path) -> None:
    """Rename a complete temporary file to the path of a run file; the caller holds the lock.

    The log of the former run is merged first, because SQLite would read it as the log of the new file. At any
    time the path has the former run or the new one, whole.

    Args:
        partial: The temporary file, in the same folder.
        path: The run file to replace.

    Raises:
        RunError: If the path has another file, or a run that is being read or cannot be written.
    """
    _check_run(path)
    deadline = monotonic() + PATIENCE
    while os.path.lexists(f"{path}-wal"):
        close_writer(open_to_write(path))
        if monotonic() > deadline:
            raise RunError(f"{short(str(path))} is being read, and cannot be overwritten meanwhile")
    shutil.copymode(path, partial)
    os.replace(partial, path)


def _check_run(path: Path) -> None:
    if not path.is_file():
        raise RunError(f"path must be a new file or a run to overwrite, and {short(str(path))} is not a regular file")
    try:
        with reading(path):
            pass  # opening checks the marks and the tables
    except RunError as error:
        raise RunError(f"only a run can be overwritten: {error}") from error
