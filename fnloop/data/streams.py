"""Bytes of a table's file: compressed or not, from a path or from standard input."""

import io
import os
import sys
from pathlib import Path
from typing import BinaryIO

from fnloop.core.formatting import short
from fnloop.core.signatures import did_you_mean
from fnloop.data.builtin_tables import DATASET_NAMES

SAMPLE_BYTES = 1 << 18
COMPRESSED = ".gz", ".bz2", ".xz", ".zip"
KINDS = "a CSV, TSV, Parquet, JSON Lines or .npz file, compressed or not"


def check_path(path: str) -> None:
    """Check that a path is `-` or a file.

    Args:
        path: The path.

    Raises:
        FileNotFoundError: If there is no such file.
        IsADirectoryError: If it is a folder.
    """
    if path == "-":
        return
    if not os.path.exists(path):
        raise FileNotFoundError(
            f"no such file: {short(path)}{did_you_mean(path, DATASET_NAMES)}; "
            f"data are {KINDS}, - for standard input, or one of {', '.join(DATASET_NAMES)}"
        )
    if os.path.isdir(path):
        raise IsADirectoryError(f"data must be {KINDS}, got the folder {short(path)}")


def open_bytes(path: str) -> BinaryIO:
    """Open a file for reading, decompressed by its suffix; `-` is standard input.

    Args:
        path: The path.

    Raises:
        OSError: If it cannot be opened.
        ValueError: If it is a zip archive of several files.
    """
    suffix = Path(path).suffix.lower()
    if path == "-":
        return sys.stdin.buffer
    if suffix == ".gz":
        import gzip

        return gzip.open(path)  # type: ignore[return-value]
    if suffix == ".bz2":
        import bz2

        return bz2.open(path)  # type: ignore[return-value]
    if suffix == ".xz":
        import lzma

        return lzma.open(path)  # type: ignore[return-value]
    if suffix == ".zip":
        from zipfile import ZipFile

        archive = ZipFile(path)
        names = [name for name in archive.namelist() if not name.endswith("/")]
        if len(names) != 1:
            raise ValueError(f"{path}: a zip archive must have one file, got {len(names)}")
        return archive.open(names[0])  # type: ignore[return-value]
    return open(path, "rb")


def file_kind(path: str) -> str:
    """Return the suffix that tells what is in a file, in lower case, without that of its compression.

    Args:
        path: The path.

    Examples:
        >>> file_kind("a/Table.CSV.gz"), file_kind("-")
        ('.csv', '')
    """
    suffixes = [suffix.lower() for suffix in Path(path).suffixes]
    if suffixes and suffixes[-1] in COMPRESSED:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


class Resumed(io.RawIOBase):
    """A stream whose first bytes were read already, and are read once more.

    Args:
        first: These bytes.
        rest: The stream of the others.
    """

    def __init__(self, first: bytes, rest: BinaryIO) -> None:
        self._first, self._rest = first, rest

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        """Read bytes into a buffer and return their number.

        Args:
            buffer: The buffer.
        """
        if self._first:
            data, self._first = self._first[: len(buffer)], self._first[len(buffer) :]
        else:
            data = self._rest.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)
