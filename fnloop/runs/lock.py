"""One writer for a run file: a lock file next to it, released when the process that holds it ends."""

import os
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

from fnloop.core.errors import RunError
from fnloop.core.formatting import short


def lock(path: Path) -> Callable[[], None]:
    """Become the one writer of a run file, and return the function that releases it; calling that again does nothing.

    Raises:
        RunError: If another writer holds the lock.
        OSError: If the lock file cannot be created.
    """
    lock_path = Path(f"{os.path.realpath(path)}-lock")  # the same for every link to the file
    descriptor = _open_exclusively(lock_path)
    if descriptor is None:
        raise RunError(f"{short(str(path))} is being written by another process or stream, and a run has one writer at a time")

    release = ExitStack()
    release.callback(os.close, descriptor)
    if os.name == "posix":  # on Windows closing the file deletes it
        release.callback(lock_path.unlink, missing_ok=True)
    return release.close


def _open_exclusively(lock_path: Path) -> int | None:
    """Open and lock the file, or return None if another writer holds it."""
    if os.name != "posix":
        with suppress(FileExistsError):
            return os.open(lock_path, os.O_CREAT | os.O_EXCL | getattr(os, "O_TEMPORARY", 0))
        return None
    import fcntl

    while True:
        descriptor = os.open(lock_path, os.O_CREAT | os.O_RDWR, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_open_at(descriptor, lock_path):
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # its holder deleted it between the two calls: try the one at the path now


def _is_open_at(descriptor: int, path: Path) -> bool:
    """Whether an open file is the one at a path."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False
