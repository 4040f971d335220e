"""The file that a writer appends to: created with the first rows that are written, and open from the second time on."""

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from fnloop.core.errors import RunError
from fnloop.core.formatting import short
from fnloop.runs.connection import close_writer, open_to_write, transaction
from fnloop.runs.creation import Fill, Template, create
from fnloop.runs.files import publish
from fnloop.runs.manifest import Manifest
from fnloop.runs.overwrite import replace_run
from fnloop.runs.packing import Packed
from fnloop.runs.patience import PatientConnection
from fnloop.runs.rows import root_hash
from fnloop.runs.store import add_manifest


class Sink:
    """A run file that is written in transactions by one thread.

    A new file is complete when it appears at its path. If its first transaction is also its last, it is written without a log.

    Args:
        path: The run file.
        manifest: The manifest of a new run and the values that it names; None to append to the file at the path.
        overwrite: Whether a new file replaces a run at the path.
        template: Where a new file is made if it is small. Default: one of its own.
    """

    def __init__(
        self,
        path: Path,
        manifest: tuple[Manifest, Sequence[Packed]] | None = None,
        overwrite: bool = False,
        template: Template | None = None,
    ) -> None:
        self.path, self._overwrite, self._template = path, overwrite, template or Template()
        self._absolute = Path(os.path.abspath(path))  # also if the process changes its folder
        self._file: os.stat_result | None = None  # that has been written, or opened
        self._connection: PatientConnection | None = None
        self._start: Fill | None = None
        self._split: str | None = None
        self.is_new = manifest is not None
        self.root = ""
        self._start_bytes = 0
        if manifest is None:
            self._open()
        else:
            texts, packed = manifest[0].to_json(), manifest[1]
            self.root = root_hash(texts)
            self._start = lambda connection: add_manifest(connection, texts, packed)
            self._start_bytes = sum(map(len, texts.values())) + sum(value.nbytes for value in packed)

    @property
    def exists(self) -> bool:
        """Whether the file exists, and is written through its log; the first transaction of a new file creates it."""
        return self._start is None

    def write(self, fill: Fill, nbytes: int) -> None:
        """Write in one transaction.

        Args:
            fill: Called with the connection.
            nbytes: About the number of bytes that it writes.

        Raises:
            RunError: If the file cannot be written.
        """
        if self._start is not None:
            self._create(self._start, fill, nbytes)
            return
        if self._connection is None:
            self._open()
        assert self._connection is not None
        with transaction(self._connection):
            fill(self._connection)

    def _open(self) -> None:
        if self._file is None:
            self._file = os.stat(self._absolute)
        elif not self._is_in_place():
            raise RunError("the file was deleted, moved or replaced")
        self._connection = open_to_write(self._absolute)

    def _create(self, start: Fill, fill: Fill, nbytes: int) -> None:
        def fill_new(connection: sqlite3.Connection) -> None:
            start(connection)
            fill(connection)

        replaces = self._overwrite and os.path.lexists(self._absolute)
        try:
            create(self._absolute, fill_new, nbytes + self._start_bytes, self._template, replace_run if replaces else publish)
        except FileExistsError:
            raise RunError(f"path must be a new file, {short(str(self.path))} exists") from None
        self._start, self._file = None, os.stat(self._absolute)

    def remove(self) -> None:
        """Remove the file, if this run created it."""
        if self.is_new and self._start is None:
            self._absolute.unlink(missing_ok=True)

    def rest(self) -> None:
        """Close the file and merge its log, until more is written."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._split = close_writer(connection)

    def close(self) -> str | None:
        """Close the file and merge its log; return a text for a warning if the run is in two files, or not at its path."""
        self.rest()
        if self._split is not None or self._file is None or self._is_in_place():
            return self._split
        return (
            f"{short(str(self.path))} was deleted, moved or replaced while it was recorded: the path does not have this run, "
            "whose epochs were written to the file that was there"
        )

    def _is_in_place(self) -> bool:
        """Whether the path still has the file that was written."""
        try:
            return self._file is not None and os.path.samestat(os.stat(self._absolute), self._file)
        except OSError:
            return False
