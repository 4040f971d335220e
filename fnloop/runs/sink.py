"""The file that a writer appends to: created with the first rows that are written, and then open until the end."""

import os
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from fnloop.core.errors import RunError
from fnloop.core.formatting import short
from fnloop.runs.connection import close_writer, create, open_to_write, transaction
from fnloop.runs.files import publish
from fnloop.runs.manifest import Manifest
from fnloop.runs.overwrite import replace_run
from fnloop.runs.packing import Packed
from fnloop.runs.patience import PatientConnection
from fnloop.runs.rows import root_hash
from fnloop.runs.store import add_manifest

Fill = Callable[[sqlite3.Connection], None]


class Sink:
    """A run file that is written in transactions by one thread.

    A new file is complete when it appears at its path. If its first transaction is also its last, it is written without a log.

    Args:
        path: The run file.
        manifest: The manifest of a new run and the values that it names; None to append to the file at the path.
        overwrite: Whether a new file replaces a run at the path.
    """

    def __init__(self, path: Path, manifest: tuple[Manifest, Sequence[Packed]] | None = None, overwrite: bool = False) -> None:
        self.path, self._overwrite = path, overwrite
        self._absolute = os.path.abspath(path)
        self._file: os.stat_result | None = None  # that is open
        self._connection: PatientConnection | None = None
        self._start: Fill | None = None
        self.is_new = manifest is not None
        self.root = ""
        if manifest is None:
            self._open()
        else:
            texts, packed = manifest[0].to_json(), manifest[1]
            self.root = root_hash(texts)
            self._start = lambda connection: add_manifest(connection, texts, packed)

    @property
    def is_open(self) -> bool:
        """Whether the file exists, and is written through its log; the first transaction of a new file creates it."""
        return self._connection is not None

    def write(self, fill: Fill, is_last: bool = False) -> None:
        """Write in one transaction.

        Args:
            fill: Called with the connection.
            is_last: Whether nothing is written after it.

        Raises:
            RunError: If the file cannot be written.
        """
        if self._connection is not None:
            with transaction(self._connection):
                fill(self._connection)
            return
        self._create(fill)
        if not is_last:
            self._open()

    def _open(self) -> None:
        self._file = os.stat(self.path)
        self._connection = open_to_write(self.path)

    def _create(self, fill: Fill) -> None:
        start = self._start
        assert start is not None, "a sink without a connection is that of a new file"

        def fill_new(connection: sqlite3.Connection) -> None:
            start(connection)
            fill(connection)

        replaces = self._overwrite and os.path.lexists(self.path)
        try:
            create(self.path, fill_new, replace_run if replaces else publish)
        except FileExistsError:
            raise RunError(f"path must be a new file, {short(str(self.path))} exists") from None
        self._start = None

    def remove(self) -> None:
        """Remove the file, if this run created it."""
        if self.is_new and self._start is None:
            self.path.unlink(missing_ok=True)

    def close(self) -> str | None:
        """Close the file and merge its log; return a text for a warning if the run is in two files, or not at its path."""
        connection, self._connection = self._connection, None
        return None if connection is None else close_writer(connection) or self._moved()

    def _moved(self) -> str | None:
        """Return a text for a warning if the path no longer has the file that was written."""
        with suppress(OSError):
            if self._file is not None and os.path.samestat(os.stat(self._absolute), self._file):
                return None
        return (
            f"{short(str(self.path))} was deleted, moved or replaced while it was recorded: the path does not have this run, "
            "whose epochs were written to the file that was there"
        )
