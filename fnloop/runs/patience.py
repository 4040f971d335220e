"""Connections that wait for other connections, and that no fork interrupts."""

import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from time import monotonic, monotonic_ns, sleep
from typing import Any, TypeVar

PATIENCE = 60.0  # seconds in which a statement is tried again while other connections hold the locks
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL}  # and their extended codes
_FORK_WAITS = 5.0  # seconds that a fork waits for a transaction
T = TypeVar("T")


def code_of(error: BaseException) -> int:
    """Return the extended code of an error of SQLite; 0 for another error, such as one of Python's about its texts."""
    return getattr(error, "sqlite_errorcode", 0)


def is_busy(error: sqlite3.Error) -> bool:
    """Whether an error says that another connection holds a lock, so that the statement can be tried again."""
    return code_of(error) & 0xFF in _BUSY


def patiently(action: Callable[[], T], seconds: float = PATIENCE) -> T:
    """Return the result of an action, which is tried again while SQLite is busy.

    Args:
        action: What to do; if it raises, it has changed nothing.
        seconds: How long it is tried.

    Raises:
        sqlite3.Error: Another error than that it is busy, or that after the given time.
    """
    deadline, pause = monotonic() + seconds, 0.0005
    while True:
        try:
            return action()
        except sqlite3.OperationalError as error:
            if not is_busy(error) or monotonic() > deadline:
                raise
        sleep(pause * (0.5 + monotonic_ns() % 1000 / 1000))  # not in step with another process
        pause = min(2 * pause, 0.05)


class PatientConnection(sqlite3.Connection):
    """A connection to write, in autocommit mode: its statements wait for other connections.

    A process may fork while a thread writes. The child must find neither a lock of SQLite held by a thread that it does not
    have, nor a connection whose locks, which are the parent's, SQLite takes for its own. So a fork waits for the end of a
    transaction, and the child closes its copies of these connections.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._gate, self._is_held = threading.RLock(), False
        self.path = ""  # of the file
        self.patience = PATIENCE  # seconds in which a statement is tried again
        super().__init__(*args, **kwargs)
        _connections[id(self)] = self

    def execute(self, statement: str, parameters: Any = (), /) -> sqlite3.Cursor:
        """Execute a statement, and try again while SQLite is busy."""
        with self._gate:
            started = self.in_transaction
            try:
                return super().execute(statement, parameters)
            except sqlite3.OperationalError as error:
                if not is_busy(error) or started != self.in_transaction:  # SQLite has rolled back the transaction
                    raise
                return patiently(partial(super().execute, statement, parameters), self.patience)
            finally:
                self._hold(self.in_transaction)

    def executemany(self, statement: str, parameters: Iterable[Any], /) -> sqlite3.Cursor:
        """Execute a statement for each of the parameters, within a transaction, which has the locks."""
        with self._gate:
            return super().executemany(statement, parameters)

    def close(self) -> None:
        """Close the connection."""
        with self._gate:
            super().close()
            self._hold(False)
            _connections.pop(id(self), None)

    def _hold(self, is_held: bool) -> None:
        """Keep forks waiting from the first statement of a transaction to its last."""
        if is_held != self._is_held:
            self._is_held = is_held
            with suppress(RuntimeError):  # another thread ends the transaction
                self._gate.acquire() if is_held else self._gate.release()

    def wait(self, seconds: float) -> bool:
        """Wait for the end of a transaction, before a fork; return whether it has ended.

        Args:
            seconds: How long to wait.
        """
        return self._gate.acquire(timeout=seconds)

    def go_on(self) -> None:
        """Let other threads use the connection again."""
        with suppress(RuntimeError):  # the transaction has not ended in time
            self._gate.release()

    def close_in_child(self) -> None:
        """Close the copy of the connection that a forked process has."""
        if not self._is_held:  # as when the thread itself forks within a transaction
            with suppress(sqlite3.Error):
                super().close()


_connections = dict[int, PatientConnection]()  # those that are open
_opening = threading.RLock()  # held while a thread opens or replaces a file
_fork = threading.local()  # what the thread that forks waits for: .connections, and of these .ready


@contextmanager
def without_forks() -> Iterator[None]:
    """Keep forks waiting while a thread opens files, for which SQLite has locks that a child could not release."""
    with _opening:
        yield


def _before_fork() -> None:
    deadline = monotonic() + _FORK_WAITS
    _opening.acquire(timeout=_FORK_WAITS)
    _fork.connections, _fork.ready = list(_connections.values()), []
    for connection in _fork.connections:
        if connection.wait(max(0.0, deadline - monotonic())):
            _fork.ready.append(connection)


def _after_fork() -> None:
    for connection in _fork.connections:  # an interrupt may have come between waiting and noting it
        connection.go_on()
    with suppress(RuntimeError):
        _opening.release()


def _after_fork_in_child() -> None:
    for connection in _fork.ready:
        connection.close_in_child()
    _after_fork()
    _connections.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork_in_child)
