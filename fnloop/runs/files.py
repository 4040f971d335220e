"""Write files atomically, and respect what is at their path."""

import io
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from errno import EACCES, EBUSY, ENAMETOOLONG, EPERM, EROFS
from itertools import chain, count
from pathlib import Path
from typing import Any, BinaryIO

from fnloop.core.formatting import short


def check_file_path(path: Any) -> Path:
    """Check that an argument can be the path of a file, and return it.

    Raises:
        TypeError: If it is not a path.
        OSError: If it is too long.
    """
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"path must be a file's path, got {short(path)}")
    try:
        os.lstat(path)
    except OSError as error:
        if error.errno == ENAMETOOLONG:
            raise OSError(error.errno, f"path must be shorter, got {short(str(path))}") from None
    return Path(path)


def check_target(path: Any) -> Path:
    """Check that a file can be created at a path, and return it.

    Raises:
        TypeError: If it is not a path.
        OSError: If the folder does not exist or the name is too long.
    """
    target = check_file_path(path)
    if not target.name or not target.parent.is_dir():
        raise FileNotFoundError(f"path must be a file in a folder that exists, got {short(str(target))}")
    return target


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Yield a file to write to, which replaces the file at the path at the end, or never if anything fails.

    The content goes to a new file in the same folder, which is flushed and then renamed: at any time the path has the former
    file or the new one, whole. What is at the path is respected:

    - A symbolic link stays, and its target is replaced. A hard link to that file keeps the former content.
    - A file keeps its mode, its extended attributes and, where that is allowed, its owner. A read-only file is refused.
    - A file in a folder that cannot be written is overwritten in place, once the content is complete.
    - A FIFO, a device, or an open file such as `/dev/stdout` is written to.

    Args:
        path: Path of the file.

    Raises:
        OSError: If the path cannot be written.
    """
    with _opened(check_target(path)) as file:
        yield file


def _opened(path: Path) -> AbstractContextManager[BinaryIO]:
    """Choose how to write to a path by what is at it."""
    descriptor, former = _descriptor(path), _stat(path)
    if descriptor is not None or (former is not None and not stat.S_ISREG(former.st_mode)):
        return _buffered(path if descriptor is None else descriptor)
    target = Path(os.path.realpath(path))
    if former is None:
        if not target.parent.is_dir():
            raise FileNotFoundError(
                f"path must link into a folder that exists, {short(str(path))} links to {short(str(target))}"
            )
        return _renamed(target, None)
    if not os.access(target, os.W_OK):
        raise PermissionError(EACCES, os.strerror(EACCES), str(path))
    return _renamed(target, former) if os.access(target.parent, os.W_OK) else _in_place(target)


@contextmanager
def _buffered(path: Path | int) -> Iterator[BinaryIO]:
    """Collect the content, which may need seeking, then send it to a device, a FIFO or an open file."""
    content = io.BytesIO()
    yield content
    with open(path, "wb", closefd=not isinstance(path, int)) as file:
        file.write(content.getbuffer())


@contextmanager
def _renamed(target: Path, former: os.stat_result | None) -> Iterator[BinaryIO]:
    """Write a new file in the same folder, and rename it to the target at the end."""
    partial = partial_path(target)
    mode = 0o666 if former is None else 0o600  # who could not read the former file cannot read the new one
    try:
        with open(partial, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            if former is not None:
                _copy_attributes(partial, target, former)
            yield file
            file.flush()
            os.fsync(file.fileno())
        _rename(partial, target)
    finally:
        partial.unlink(missing_ok=True)
    with suppress(OSError):  # some file systems cannot flush a folder, and the file is complete
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def partial_path(path: Path) -> Path:
    """Return a path in the same folder for a file that is not complete yet; its name is never too long."""
    return path.with_name(f".{path.name[:40]}.{secrets.token_hex(4)}.partial")


def write_new(path: Path, content: bytes) -> None:
    """Write a new file, and wait until the disk has it.

    Raises:
        OSError: If it cannot be written.
    """
    with open(path, "xb", buffering=0, opener=lambda name, flags: os.open(name, flags, 0o644)) as file:
        _write_all(file.fileno(), content)


def publish(partial: Path, path: Path) -> None:
    """Give a complete file in the same folder its name; this never replaces a file.

    Args:
        partial: The file. It keeps its name as well where the file system has hard links.
        path: The new name.

    Raises:
        FileExistsError: If the path exists.
        OSError: If the file cannot be renamed.
    """
    try:
        os.link(partial, path)
    except FileExistsError:
        raise
    except OSError:  # whichever error a file system without hard links gives, or this one is raised again below
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        try:
            os.replace(partial, path)
        except BaseException:
            if not path.stat().st_size:
                path.unlink()
            raise


def _copy_attributes(partial: Path, target: Path, former: os.stat_result) -> None:
    """Give a new file the owner, the mode and the extended attributes of the former one, as far as that is allowed."""
    mode = stat.S_IMODE(former.st_mode)
    if os.name == "posix" and not any(_chown(partial, owner, former.st_gid) for owner in (former.st_uid, -1)):
        mode = mode & 0o707 | (mode & 0o007) << 3  # the group differs, and gets no more rights than everybody
    shutil.copystat(target, partial)
    os.utime(partial)
    os.chmod(partial, mode)


def _chown(path: Path, owner: int, group: int) -> bool:
    """Whether the owner and the group of a file could be changed."""
    try:
        os.chown(path, owner, group)
    except OSError:
        return False
    return True


def _rename(partial: Path, target: Path) -> None:
    try:
        os.replace(partial, target)
    except OSError as error:  # the target is a mount point, or the file of another user in a folder like /tmp
        if error.errno not in (EACCES, EBUSY, EPERM, EROFS) or not target.exists():
            raise
        _overwrite(target, partial.read_bytes())


@contextmanager
def _in_place(target: Path) -> Iterator[BinaryIO]:
    """Collect the content, then overwrite the target with it."""
    content = io.BytesIO()
    yield content
    _overwrite(target, content.getbuffer())


def _overwrite(target: Path, content: bytes | memoryview) -> None:
    """Overwrite a file; if that fails, for example on a full disk, restore its former content."""
    with open(target, "r+b", buffering=0) as file:
        former = file.read()
        try:
            _write_all(file.fileno(), content)
        except BaseException:
            _write_all(file.fileno(), former)
            raise


def _write_all(descriptor: int, content: bytes | memoryview) -> None:
    os.lseek(descriptor, 0, os.SEEK_SET)
    remaining = memoryview(content)
    while remaining:
        remaining = remaining[os.write(descriptor, remaining) :]
    os.ftruncate(descriptor, len(content))
    os.fsync(descriptor)


def _stat(path: Path) -> os.stat_result | None:
    try:
        return os.stat(path)
    except FileNotFoundError:
        return None


def _descriptor(path: Path) -> int | None:
    """Return the descriptor that a path such as `/dev/stdout` or `/dev/fd/3` names, or None.

    The shell opened that file, perhaps to append to it, so it must not be replaced.
    """
    for _ in range(40):  # as many links as Linux follows
        folder = os.path.realpath(path.parent)
        if folder == f"/proc/{os.getpid()}/fd" and path.name.isdecimal():
            return int(path.name)
        if not path.is_symlink():
            return None
        path = Path(folder, os.readlink(path))
    return None


def free_path(path: Path) -> Path:
    """Return the path, or the first of `name-2.end`, `name-3.end`, ... that has neither a file nor the log of a killed run."""
    candidates = chain([path], (path.with_name(f"{path.stem}-{i}{path.suffix}") for i in count(2)))
    return next(path for path in candidates if not any(os.path.lexists(f"{path}{end}") for end in ("", "-wal")))


def write_figure(figure: Any, path: Path) -> None:
    """Write a Matplotlib figure as PNG."""
    with replacing(path) as file:
        figure.savefig(file, dpi=110)


def descriptors() -> int:
    """Return the number of files that the process may have open, which the system limits."""
    try:
        from resource import RLIM_INFINITY, RLIMIT_NOFILE, getrlimit
    except ImportError:  # on Windows
        return 512
    soft, _ = getrlimit(RLIMIT_NOFILE)
    return 1 << 20 if soft == RLIM_INFINITY else soft
