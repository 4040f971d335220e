"""Replace a run file by a new one: only a run of fnloop, and never one that is being written."""

import os
import shutil
from pathlib import Path

from fnloop.core.errors import RunError
from fnloop.core.formatting import short
from fnloop.runs.connection import close_writer, open_to_write, reading
from fnloop.runs.lock import lock


def refuse_irreplaceable(path: Path) -> None:
    """Refuse a path where there is anything but a run file that nobody writes.

    Raises:
        RunError: If there is something else, or another writes to the run.
    """
    _check_run(path)
    lock(path)()


def take_place(partial: Path, path: Path) -> None:
    """Rename a complete file to the path of a run file; the caller holds the path's lock.

    First what a killed run left in its log goes into its own file: beside the new one it would be taken for the new one's.
    So at any time the path holds the former run, whole, or the new one.

    Raises:
        RunError: If there is another file, or a run that is being read just now, or that cannot be written.
    """
    _check_run(path)
    close_writer(open_to_write(path))
    if os.path.lexists(f"{path}-wal"):
        raise RunError(f"{short(str(path))} is being read, and can be overwritten when that is over")
    shutil.copymode(path, partial)
    os.replace(partial, path)


def _check_run(path: Path) -> None:
    if not path.is_file():
        raise RunError(f"path must be of a new file or of a run to overwrite, and {short(str(path))} is no regular file")
    try:
        with reading(path):
            """Its marks and its tables are those of a run."""
    except RunError as error:
        raise RunError(f"only a run can be overwritten: {error}") from error
