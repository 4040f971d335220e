"""Start a run: create its file with the manifest and the first state, and return the writer for the states that follow."""

import os
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fnloop.core.arrays import Array
from fnloop.core.errors import RunError
from fnloop.core.formatting import short
from fnloop.runs.connection import create
from fnloop.runs.files import check_file_path, publish
from fnloop.runs.lock import lock
from fnloop.runs.manifest import Manifest
from fnloop.runs.overwrite import replace_run
from fnloop.runs.packing import pack_state
from fnloop.runs.rows import Row, make_row, root_hash
from fnloop.runs.store import add_row, add_snapshot
from fnloop.runs.writer import Writer


def start_run(
    path: Path,
    manifest: Manifest,
    arrays: Mapping[str, Array],
    state: Any,
    snapshot_every: int | None = None,
    overwrite: bool = False,
) -> Writer:
    """Create a run file with its first state, and return its writer.

    Args:
        path: Path of the run file.
        manifest: The manifest of the run.
        arrays: The arrays of the manifest, by their hashes.
        state: The first state.
        snapshot_every: As in `Writer`.
        overwrite: Whether to replace a run file at the path.

    Raises:
        RunError: If the path is taken and may not be replaced, or the file cannot be written.
        OSError: If the file cannot be created.
    """
    release = lock(path)
    try:
        replaces = overwrite and os.path.lexists(path)
        if not replaces:
            check_unused(path)
        texts = manifest.to_json()
        row, (content, state_arrays) = first_row(state).with_chain(root_hash(texts)), pack_state(state)

        def fill(connection: sqlite3.Connection) -> None:
            connection.executemany("INSERT INTO run VALUES (?, ?)", texts.items())
            connection.execute("INSERT INTO head VALUES (-1, ?)", [root_hash(texts)])
            add_row(connection, row)
            add_snapshot(connection, 0, content, {**arrays, **state_arrays})

        create(path, fill, replace_run if replaces else publish)
        return Writer(
            path,
            row,
            state,
            (),
            monitor=manifest.monitor,
            best=(None, None),
            snapshot_every=snapshot_every,
            release=release,
        )
    except BaseException as error:
        release()
        if isinstance(error, FileExistsError):
            check_unused(path)
        raise


def first_row(state: Any) -> Row:
    """Return the row of the first state, without metrics: a first state that has some comes from another run."""
    row, _ = make_row(0, state, 0.0, 0, {})
    return row._replace(metrics={})


def check_target(path: Any) -> Path:
    """Check that a file can be created at a path, and return it.

    Raises:
        TypeError: If it is not a path.
        OSError: If the folder does not exist or the name is too long.
    """
    target = check_file_path(path)
    if not target.name or not target.parent.is_dir():
        raise FileNotFoundError(f"path must be a file in a folder that exists, got {short(str(path))}")
    return target


def check_unused(path: Path, alternative: str = "") -> None:
    """Check that there is no file at a path, and no log that a killed run left.

    Args:
        path: Path of a new run file.
        alternative: Text for the error message: how to replace the file.

    Raises:
        RunError: If there is one.
    """
    if os.path.lexists(path):
        raise RunError(
            f"path must be a new file, {short(str(path))} exists; fl.open_run(path).resume() continues it{alternative}"
        )
    log = f"{path}-wal"
    if os.path.lexists(log):
        raise RunError(
            f"path must be a new file, but {short(log)} has the last epochs of a killed run, recorded in {short(str(path))}: "
            "restore that file or delete this one"
        )
