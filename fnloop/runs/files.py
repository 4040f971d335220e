"""Write files whole, and harm nothing that is at their path already."""

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
    """The path, if a file can have it.

    Raises: TypeError: for what is no path; OSError: if it is too long.
    """
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"path must be a file's path, got {short(path)}")
    try:
        os.lstat(path)
    except OSError as error:
        if error.errno == ENAMETOOLONG:
            raise OSError(error.errno, f"path must be shorter, got {short(str(path))}") from None
    return Path(path)


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Yield a file to write to; its content takes the path's place at the end, or not at all if anything fails.

    The content goes to a new file in the same folder, which is flushed and then renamed: at any time the path holds the former
    file or the new one, whole. What is there already is respected:

    - A symbolic link stays, and the file that it points to is replaced. Another name of that file (a hard link) keeps the
      former content.
    - A file keeps its mode, its extended attributes and, where that is allowed, its owner. A read-only file is refused.
    - A file in a folder that cannot be written is overwritten in place, once the content is complete.
    - What is no regular file, such as a FIFO, a device or `/dev/stdout`, is written through.

    Raises:
        OSError: If the path cannot be written.
    """
    path = Path(path)
    if not path.name or not path.parent.is_dir():
        raise FileNotFoundError(f"path must be a file in a folder that exists, got {short(str(path))}")
    with _opened(path) as file:
        yield file


def _opened(path: Path) -> AbstractContextManager[BinaryIO]:
    """The way to write to a path, by what is there."""
    descriptor, former = _descriptor(path), _stat(path)
    if descriptor is not None or (former is not None and not stat.S_ISREG(former.st_mode)):
        return _through(path if descriptor is None else descriptor)
    target = Path(os.path.realpath(path))
    if former is None:
        if not target.parent.is_dir():
            raise FileNotFoundError(
                f"path must link into a folder that exists, {short(str(path))} links to {short(str(target))}"
            )
        return _beside(target, None)
    if not os.access(target, os.W_OK):
        raise PermissionError(EACCES, os.strerror(EACCES), str(path))
    return _beside(target, former) if os.access(target.parent, os.W_OK) else _in_place(target)


@contextmanager
def _through(path: Path | int) -> Iterator[BinaryIO]:
    """Collect the content, which may need seeking, then send it to a device, a FIFO or an open file."""
    content = io.BytesIO()
    yield content
    with open(path, "wb", closefd=not isinstance(path, int)) as file:
        file.write(content.getbuffer())


@contextmanager
def _beside(target: Path, former: os.stat_result | None) -> Iterator[BinaryIO]:
    """A new file beside the target, which is renamed to it at the end."""
    partial = partial_path(target)
    mode = 0o666 if former is None else 0o600  # nobody reads the new file who could not read the former one
    try:
        with open(partial, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            if former is not None:
                _make_like(partial, target, former)
            yield file
            file.flush()
            os.fsync(file.fileno())
        _rename(partial, target)
    finally:
        partial.unlink(missing_ok=True)
    with suppress(OSError):  # not every folder can be opened to be flushed, and the file is there
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def partial_path(path: Path) -> Path:
    """A name in the same folder for what is not complete yet; no longer than a file's name may be."""
    return path.with_name(f".{path.name[:40]}.{secrets.token_hex(4)}.partial")


def _make_like(partial: Path, target: Path, former: os.stat_result) -> None:
    """Give a new file the owner, the mode and the extended attributes of the former one, as far as that is allowed."""
    mode = stat.S_IMODE(former.st_mode)
    if os.name == "posix" and not any(_chown(partial, owner, former.st_gid) for owner in (former.st_uid, -1)):
        mode = mode & 0o707 | (mode & 0o007) << 3  # its group is another one, which is given no more than all others are
    shutil.copystat(target, partial)
    os.utime(partial)
    os.chmod(partial, mode)


def _chown(path: Path, owner: int, group: int) -> bool:
    try:
        os.chown(path, owner, group)
    except OSError:
        return False
    return True


def _rename(partial: Path, target: Path) -> None:
    try:
        os.replace(partial, target)
    except OSError as error:  # a mount point, or another's file in a folder like /tmp
        if error.errno not in (EACCES, EBUSY, EPERM, EROFS) or not target.exists():
            raise
        _overwrite(target, partial.read_bytes())


@contextmanager
def _in_place(target: Path) -> Iterator[BinaryIO]:
    """Collect the content, then write it over the target's."""
    content = io.BytesIO()
    yield content
    _overwrite(target, content.getbuffer())


def _overwrite(target: Path, content: bytes | memoryview) -> None:
    """Write over a file; if that fails, as on a full disk, its former content is put back."""
    with open(target, "r+b", buffering=0) as file:
        former = file.read()
        try:
            _put(file.fileno(), content)
        except BaseException:
            _put(file.fileno(), former)
            raise


def _put(file: int, content: bytes | memoryview) -> None:
    os.lseek(file, 0, os.SEEK_SET)
    left = memoryview(content)
    while left:
        left = left[os.write(file, left) :]
    os.ftruncate(file, len(content))
    os.fsync(file)


def _stat(path: Path) -> os.stat_result | None:
    try:
        return os.stat(path)
    except FileNotFoundError:
        return None


def _descriptor(path: Path) -> int | None:
    """The number of the open file that a path such as `/dev/stdout` or `/dev/fd/3` names.

    It may be any file that a shell opened, to append to it for example, and is not the process's to replace.
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
    """The path, or the first of `name-2.end`, `name-3.end`, ..., at which there is nothing, nor what a killed run left."""
    others = (path.with_name(f"{path.stem}-{i}{path.suffix}") for i in count(2))
    return next(other for other in chain([path], others) if not any(os.path.lexists(f"{other}{end}") for end in ("", "-wal")))


def write_figure(figure: Any, path: Path) -> None:
    """Write a Matplotlib figure as PNG."""
    with replacing(path) as file:
        figure.savefig(file, dpi=110)
