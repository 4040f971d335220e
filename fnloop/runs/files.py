"""Files that are whole: written beside their place, flushed, then renamed into it."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, count
from pathlib import Path
from typing import Any, BinaryIO

from fnloop.short import short


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A file to write to, which takes the path's place at the end: at any time the path holds the former file or this one.

    Raises: OSError: if it cannot be written there.
    """
    path = Path(path)
    if not path.name or not path.parent.is_dir():
        raise FileNotFoundError(f"path must be a file in a folder that exists, got {short(str(path))}")
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        with open(partial, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    if os.name == "posix":  # elsewhere a folder cannot be opened to be flushed
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def free(path: Path) -> Path:
    """The path, or the first of `name-2.end`, `name-3.end`, ..., at which there is nothing, nor what a killed run left."""
    others = (path.with_name(f"{path.stem}-{i}{path.suffix}") for i in count(2))
    return next(other for other in chain([path], others) if not any(os.path.lexists(f"{other}{end}") for end in ("", "-wal")))


def write_picture(figure: Any, path: Path) -> None:
    """Write a Matplotlib figure as PNG."""
    with replacing(path) as file:
        figure.savefig(file, dpi=110)
