"""One writer for a run file: a lock file next to it, released when the process that holds it ends.

The file is locked by `flock`, and names the process. The lock files of several runs that one process writes are hard links to
one file, which is open once. A file system without `flock` has the file alone: who creates it is the writer, and replaces the
file of a process that is gone.
"""

import os
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from errno import EINVAL, ENAMETOOLONG, ENOLCK, ENOSYS, ENOTSUP, EOPNOTSUPP
from functools import partial
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


class _OpenFile:
    """A lock file that is locked, and open once, whatever the number of its names: one for each run file."""

    def __init__(self, descriptor: int, lock_path: Path) -> None:
        self._descriptor, self._names = descriptor, [lock_path]
        self._mutex = threading.Lock()  # one thread adds a name, and another removes one

    def add(self, lock_path: Path) -> Callable[[], None] | None:
        """Add a name, and return the function that removes it; None if that is not possible."""
        with self._mutex:
            try:
                os.link(self._names[-1], lock_path)
            except (OSError, IndexError):  # there is a lock file, or no hard link, or this one is released
                return None
            if not _is_open_at(self._descriptor, lock_path):
                lock_path.unlink(missing_ok=True)
                return None
            self._names.append(lock_path)
        return partial(self.remove, lock_path)

    def remove(self, lock_path: Path) -> None:
        """Remove a name, and with the last one the lock."""
        with self._mutex:
            self._names.remove(lock_path)
            try:
                lock_path.unlink(missing_ok=True)
            finally:
                if not self._names:
                    _descriptors.discard(self._descriptor)
                    os.close(self._descriptor)


class Locks:
    """The locks of several run files that one process writes: names of one open file, where hard links are possible."""

    def __init__(self) -> None:
        self._file: _OpenFile | None = None

    def add(self, lock_path: Path) -> Callable[[], None] | None:
        """Lock by another name of the open file; return the function that releases the lock, None if that is not possible."""
        return None if self._file is None else self._file.add(lock_path)

    def hold(self, descriptor: int, lock_path: Path) -> Callable[[], None]:
        """Hold an open file that is locked; return the function that releases the lock."""
        _descriptors.add(descriptor)
        self._file = _OpenFile(descriptor, lock_path)
        return partial(self._file.remove, lock_path)


def lock(path: Path, locks: Locks | None = None) -> Callable[[], None]:
    """Become the one writer of a run file, and return the function that releases it; calling that again does nothing.

    Args:
        path: The run file.
        locks: The locks of other files that are written with this one. Default: none.

    Raises:
        RunError: If another writer holds the lock. The message names its process.
        OSError: If the lock file cannot be created.
    """
    lock_path = Path(f"{os.path.realpath(path)}-lock")  # the same for every link to the file
    try:
        locks = locks or Locks()
        release = locks.add(lock_path) or _take(lock_path, locks)
        for _ in range(_CHILD_STARTS):
            if release is not None or not is_gone(_content(lock_path)):
                break
            sleep(0.01)
            release = _take(lock_path, locks)
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


def _take(lock_path: Path, locks: Locks) -> Callable[[], None] | None:
    """Take the lock, and return the function that releases it, or return None if another writer holds it.

    Args:
        lock_path: The lock file.
        locks: What holds the lock.
    """
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
        if os.fstat(descriptor).st_nlink > 1:
            lock_path.unlink(missing_ok=True)  # a killed process has left it, with those of other runs
        elif _is_open_at(descriptor, lock_path):
            _write(descriptor, this_process())
            return locks.hold(descriptor, lock_path)
        os.close(descriptor)  # its holder deleted it between the two calls: try the one at the path now


def _open(lock_path: Path) -> tuple[int, bool]:
    """Open the lock file, and tell whether this call has created it."""
    while True:
        with suppress(FileExistsError):
            return os.open(lock_path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o644), True
        with suppress(FileNotFoundError):
            return os.open(lock_path, os.O_RDWR), False


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
