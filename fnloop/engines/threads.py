"""The number of BLAS threads: a setting of the whole process, set during a computation and restored after it.

The last bits of a matrix product depend on the number of threads that share it. So every computation sets the number, and
computations that need different numbers take turns, first come, first served.
"""

import os
import threading
from collections.abc import Callable
from functools import cache
from time import monotonic
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")

_LONGEST_WAIT_TO_FORK = 300.0  # seconds
_POLL = 0.05  # seconds after which a waiting thread checks again, in case it missed a notification

_lock = threading.RLock()  # protects the state below; its `with` is C code, which no signal interrupts
_changed = threading.Condition(_lock)
_active: dict[int, int] = {}  # the Python threads that compute now, and the number of BLAS threads, the same for all of them
_waiting: list[object] = []  # a ticket of each waiting thread, first come, first served
_forking: set[int] = set()  # the Python threads that are about to fork the process; they compute nothing meanwhile
_original: int | None = None  # the process's own setting, to restore when no thread computes


class Blas(NamedTuple):
    """NumPy's BLAS.

    Args:
        info: Its description by threadpoolctl.
        get: Returns its number of threads.
        set: Sets its number of threads.
    """

    info: dict[str, Any]
    get: Callable[[], int]
    set: Callable[[int], Any]


@cache  # finding the libraries of the process takes milliseconds, and NumPy's stays the same
def find_blas() -> Blas | None:
    """Return NumPy's BLAS, not that of SciPy or others; None if threadpoolctl finds no BLAS."""
    from threadpoolctl import ThreadpoolController

    libraries = ThreadpoolController().select(user_api="blas").lib_controllers
    library = max(libraries, key=lambda library: "numpy" in library.filepath.lower(), default=None)
    if library is None:
        return None
    get, set_ = _openblas_functions(library) or (library.get_num_threads, library.set_num_threads)
    return Blas(library.info(), get, set_)


def _openblas_functions(library: Any) -> tuple[Any, Any] | None:
    """Return OpenBLAS's own functions. Since threadpoolctl 3.7 its method affects the calling Python thread only."""
    for prefix in ("", "scipy_"):
        for suffix in ("", "64_", "_64"):
            names = [f"{prefix}openblas_{verb}_num_threads{suffix}" for verb in ("get", "set")]
            if library.internal_api == "openblas" and all(hasattr(library.dynlib, name) for name in names):
                get, set_ = (getattr(library.dynlib, name) for name in names)
                return get, set_
    return None


def with_threads(count: int | None, function: Callable[..., T], *arguments: Any) -> T:
    """Call a function with a number of BLAS threads, and restore the setting however the function ends.

    A call within a call may set another number. Python threads that need the same number compute at the same time; others wait
    for their turn.

    Args:
        count: The number of BLAS threads; None leaves the setting unchanged.
        function: The function.
        arguments: Its arguments.

    Returns:
        The function's result.

    Examples:
        >>> with_threads(1, lambda: find_blas().get())
        1
    """
    blas, me, errors = find_blas(), threading.get_ident(), []
    outer = _active.get(me)
    if blas is None or count is None or count == outer:
        return function(*arguments)
    try:
        _request(blas, me, count)
        return function(*arguments)
    finally:
        while True:
            try:
                _request(blas, me, outer)
                break
            except BaseException as error:  # a signal during the request: restore the setting first
                errors.append(error)
        if errors:
            raise errors[0]


def own_threads() -> int | None:
    """Return the number of BLAS threads with which this Python thread computes, whatever others have set meanwhile.

    It is the number of the call of `with_threads` that it is in, else the process's own setting; None without a BLAS.

    Examples:
        >>> with_threads(1, own_threads)
        1
    """
    blas = find_blas()
    with _lock:
        mine = _active.get(threading.get_ident(), _original)
        return blas.get() if mine is None and blas is not None else mine


def _request(blas: Blas, me: int, count: int | None) -> None:
    """Let a Python thread compute with a number of BLAS threads, or end its computation; can be repeated if interrupted."""
    with _lock:
        _active.pop(me, None)
        if count is not None:
            if _waiting or _is_other_active(count):
                _wait(count)
            _active[me] = count
        _apply(blas)
        if _waiting:
            _changed.notify_all()


def _is_other_active(count: int) -> bool:
    """Return whether a thread computes with another number."""
    return any(number != count for number in _active.values())


def _wait(count: int) -> None:
    """Wait for all threads that came before, and for those that compute with another number."""
    _wait_until(lambda: not _is_other_active(count))


def _wait_until(is_free: Callable[[], bool]) -> None:
    """Wait for all threads that came before, and for a condition."""
    ticket = object()
    try:
        _waiting.append(ticket)
        _changed.notify_all()  # the caller does not compute any more
        while _waiting[0] is not ticket or not is_free():
            _changed.wait(_POLL)
    finally:
        if ticket in _waiting:
            _waiting.remove(ticket)


def _apply(blas: Blas) -> None:
    """Set the number that the active threads need, or restore the process's own setting."""
    global _original
    if _active:
        if _original is None:
            _original = blas.get()
        blas.set(next(iter(_active.values())))
    elif _original is not None:
        blas.set(_original)
        _original = None


def _prepare_fork() -> None:
    """Wait until no other Python thread computes with several BLAS threads, and keep them from it until the fork is done.

    OpenBLAS ends its threads when a process forks, with the work that they have. The Python thread whose work it is would wait
    for it forever, and so might the new process. The wait is long enough for most epochs, but has an end, as the other thread
    may wait for this one.
    """
    me, end = threading.get_ident(), monotonic() + _LONGEST_WAIT_TO_FORK
    _lock.acquire()
    _forking.add(me)
    if not _may_fork(me):
        _wait_until(lambda: _may_fork(me) or monotonic() > end)


def _may_fork(me: int) -> bool:
    """Return whether no other thread computes with several BLAS threads; those that are about to fork do not compute."""
    return all(number == 1 or thread == me or thread in _forking for thread, number in _active.items())


def _end_fork() -> None:
    """Let the other Python threads continue."""
    _forking.discard(threading.get_ident())
    if _waiting:
        _changed.notify_all()
    _lock.release()


def _reset_after_fork() -> None:
    """Forget the other threads: a child process has only the thread that forked."""
    global _changed
    me, blas = threading.get_ident(), find_blas() if _active else None
    for other in [thread for thread in _active if thread != me]:
        del _active[other]
    _waiting.clear()
    _forking.clear()
    _changed = threading.Condition(_lock)
    if blas is not None:
        _apply(blas)
    _lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_prepare_fork, after_in_parent=_end_fork, after_in_child=_reset_after_fork)
