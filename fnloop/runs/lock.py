"""One writer for a run file: a lock beside it that ends with the process that holds it, however that ends."""

import os
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

from fnloop.core.errors import RunError
from fnloop.core.formatting import short


def lock(path: Path) -> Callable[[], None]:
    """Become the one writer of a run file; the function that is returned ends that, and may be called again.

    Raises: RunError: if another writes to it; OSError: if nothing can be written beside it.
    """
    beside = Path(f"{os.path.realpath(path)}-lock")  # by whatever name the file is called
    file = _open_alone(beside)
    if file is None:
        raise RunError(f"{short(str(path))} is being written by another, and a run can have one writer at a time")

    held = ExitStack()
    held.callback(os.close, file)
    if os.name == "posix":  # elsewhere it goes with its file
        held.callback(beside.unlink, missing_ok=True)
    return held.close


def _open_alone(beside: Path) -> int | None:
    if os.name != "posix":
        with suppress(FileExistsError):
            return os.open(beside, os.O_CREAT | os.O_EXCL | getattr(os, "O_TEMPORARY", 0))
        return None
    import fcntl

    while True:
        file = os.open(beside, os.O_CREAT | os.O_RDWR, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(file, beside):
                return file
        except BlockingIOError:
            os.close(file)
            return None
        except BaseException:
            os.close(file)
            raise
        os.close(file)  # its holder took it away between the two calls: ask for the one that is there now


def _is_at(file: int, path: Path) -> bool:
    """Whether the open file is the one at the path."""
    try:
        return os.path.samestat(os.fstat(file), os.stat(path))
    except FileNotFoundError:
        return False
