"""Which process holds a lock file, and whether it is gone."""

import json
import os
import platform
import secrets
from contextlib import suppress
from typing import NamedTuple


class Owner(NamedTuple):
    """The process that holds a lock file.

    Attributes:
        pid: Number of the process.
        host: Name of its machine.
        started: When the process started, as the system counts; by this a later process with the same number differs. Empty
            where the system does not tell.
        stream: A random text, by which two streams of a process differ.
    """

    pid: int
    host: str
    started: str
    stream: str


def this_process() -> bytes:
    """Return the content of a lock file that this process holds."""
    pid = os.getpid()
    return json.dumps(Owner(pid, platform.node(), _start(pid), secrets.token_hex(8))._asdict()).encode()


def describe(content: bytes) -> tuple[str, bool]:
    """Return who holds a lock file, for people, and whether that is a process of this machine.

    Args:
        content: The content of the lock file.

    Examples:
        >>> describe(b"")
        ('another process', True)
        >>> describe(this_process())
        ('another stream of this process', True)
    """
    owner = _parse(content)
    if owner is None:
        return "another process", True
    if owner.host != platform.node():
        return f"process {owner.pid} on {owner.host}", False
    if owner.pid == os.getpid():
        return "another stream of this process", True
    return (f"a child of process {owner.pid}, which has ended" if is_gone(content) else f"process {owner.pid}"), True


def is_gone(content: bytes) -> bool:
    """Whether the process that holds a lock file was one of this machine and has ended.

    Args:
        content: The content of the lock file.
    """
    owner = _parse(content)
    if owner is None or owner.host != platform.node():
        return False
    try:
        os.kill(owner.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass  # it is another user's
    return owner.started not in ("", _start(owner.pid))


def _parse(content: bytes) -> Owner | None:
    """Return the owner that a lock file names, or None if it names none."""
    with suppress(ValueError, TypeError):
        owner = Owner(**json.loads(content))
        if type(owner.pid) is int and owner.pid > 0 and all(type(text) is str for text in owner[1:]):
            return owner
    return None


def _start(pid: int) -> str:
    """Return when a process started, as Linux counts; empty on other systems, and "gone" for a process that has ended."""
    if not os.path.exists("/proc/self/stat"):
        return ""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return "gone"
    return "gone" if fields[0] in "ZX" else fields[19]
