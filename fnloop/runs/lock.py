"""One writer for a run file: a lock file next to it, released when the process that holds it ends.

The file is locked by `flock`, and names the process. A file system without `flock` has the file alone: who creates it is the
writer, and replaces the file of a process that is gone.
"""

import os
from collections.abc import Callable
from contextlib import ExitStack, suppress
from errno import EINVAL, ENAMETOOLONG, ENOLCK, ENOSYS, ENOTSUP, EOPNOTSUPP
from hashlib import sha256
from pathlib import Path
from time import sleep, time

from fnloop.core.errors import RunError
from fnloop.core.formatting import short
from fnloop.runs.owner import describe, is_gone, this_process

_NO_FLOCK = {ENOLCK, ENOTSUP, EOPNOTSUPP, ENOSYS, EINVAL}
_OLD = 10.0  # seconds after which a process that has created a file, and not written it, will not do so
_CHILD_STARTS = 100  # hundredths of a second in which a process that was forked just before its parent ended closes the file

_descriptors = set[int]()  # of the lock files that this process holds


def lock(path: Path) -> Callable[[], None]:
    """Become the one writer of a run file, and return the function that releases it; calling that again does nothing.

    Raises:
        RunError: If another writer holds the lock. The message names its process.
        OSError: If the lock file cannot be created.
    """
    lock_path = Path(f"{os.path.realpath(path)}-lock")  # the same for every link to the file
    try:
        release = _take(lock_path)
        for _ in range(_CHILD_STARTS):
            if release is not None or not is_gone(_content(lock_path)):
                break
            sleep(0.01)
            release = _take(lock_path)
    except OSError as error:
        if error.errno == ENAMETOOLONG:
            raise OSError(error.errno, f"path must be shorter, got {short(str(path))}") from None
        raise
    if release is None:
        holder, is_here = describe(_content(lock_path))
        remedy = "" if is_here else f"; if that process has ended, delete {short(str(lock_path))}"
        raise RunError(f"{short(str(path))} is being written by {holder}, and a run has one writer at a time{remedy}")
    process, stack = os.getpid(), ExitStack()
    stack.callback(release)
    return lambda: stack.close() if os.getpid() == process else None  # a forked process holds no lock


def find_writer(path: Path) -> str | None:
    """Return which process is writing a run file, for people, or None if none is."""
    lock_path = Path(f"{os.path.realpath(path)}-lock")
    content = _content(lock_path)
    return None if not lock_path.exists() or is_gone(content) else describe(content)[0]


def _take(lock_path: Path) -> Callable[[], None] | None:
    """Take the lock, and return the function that releases it, or return None if another writer holds it."""
    if os.name != "posix":
        with suppress(FileExistsError):
            descriptor = os.open(lock_path, os.O_CREAT | os.O_EXCL | os.O_RDWR | getattr(os, "O_TEMPORARY", 0))
            _write(descriptor, this_process())
            return lambda: os.close(descriptor)  # which deletes the file
        return None
    import fcntl

    while True:
        descriptor, is_new = _open(lock_path)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            if isinstance(error, BlockingIOError | PermissionError):
                return None
            if error.errno in _NO_FLOCK:
                return _take_by_name(lock_path, is_new)
            raise
        if _is_open_at(descriptor, lock_path):
            _descriptors.add(descriptor)
            _write(descriptor, this_process())
            return lambda: _unlock(descriptor, lock_path)
        os.close(descriptor)  # its holder deleted it between the two calls: try the one at the path now


def _open(lock_path: Path) -> tuple[int, bool]:
    """Open the lock file, and tell whether this call has created it."""
    while True:
        with suppress(FileExistsError):
            return os.open(lock_path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o644), True
        with suppress(FileNotFoundError):
            return os.open(lock_path, os.O_RDWR), False


def _unlock(descriptor: int, lock_path: Path) -> None:
    _descriptors.discard(descriptor)
    try:
        lock_path.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def _is_open_at(descriptor: int, path: Path) -> bool:
    """Whether an open file is the one at a path."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def _write(descriptor: int, owner: bytes) -> None:
    """Note the owner in a file that is locked; on a full disk it is not known."""
    with suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, owner)


def _content(path: Path) -> bytes:
    """Return the content of a lock file; empty if it cannot be read."""
    with suppress(OSError):
        return path.read_bytes()
    return b""


def _take_by_name(lock_path: Path, is_new: bool) -> Callable[[], None] | None:
    """Take the lock on a file system without `flock`: the lock file names the writer.

    Args:
        lock_path: The lock file, which exists.
        is_new: Whether this process has just created it.
    """
    owner, held = this_process(), _content(lock_path)
    if is_new:
        try:
            lock_path.write_bytes(owner)
        except BaseException:
            lock_path.unlink(missing_ok=True)
            raise
    elif not (is_gone(held) if held else _is_old(lock_path)) or not _replace_owner(lock_path, held, owner):
        return None

    def release() -> None:
        if _content(lock_path) == owner:
            lock_path.unlink(missing_ok=True)

    return release


def _replace_owner(lock_path: Path, held: bytes, owner: bytes) -> bool:
    """Replace the lock file of a process that is gone; of several processes that try, one succeeds."""
    claim = lock_path.with_name(f"{lock_path.name[:200]}-{sha256(held).hexdigest()[:8]}")
    if _is_old(claim):
        claim.unlink(missing_ok=True)
    try:
        with open(claim, "xb") as file:
            file.write(owner)
    except FileExistsError:
        return False
    try:
        if _content(lock_path) != held:
            return False
        os.replace(claim, lock_path)
    finally:
        claim.unlink(missing_ok=True)
    return True


def _is_old(path: Path) -> bool:
    """Whether there is a file that was written some time ago."""
    try:
        return time() - path.stat().st_mtime > _OLD
    except FileNotFoundError:
        return False


def _close_in_child() -> None:
    """Close the lock files that a forked process inherits, so that it does not hold locks after its parent has ended."""
    for descriptor in _descriptors:
        with suppress(OSError):
            os.close(descriptor)
    _descriptors.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_in_child)
