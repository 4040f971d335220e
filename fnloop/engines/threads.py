"""The number of BLAS threads: one setting of the whole process, held for a computation and restored after it.

The last bits of a matrix product depend on the number of threads that share it. So a fold sets the number, and folds that ask
for different numbers take turns, in the order in which they asked.
"""

import os
import threading
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")

_POLL = 0.05  # seconds after which a waiting thread looks again, should it have missed its turn

_lock = threading.RLock()  # of all that follows; its `with` is C code, which no signal interrupts
_turn = threading.Condition(_lock)
_held: dict[int, int] = {}  # the Python threads that compute now, each with its number, which is the same for all
_queue: list[object] = []  # the waiting ones, first come first
_before: int | None = None  # the process's own setting, to be restored when no thread computes


class Blas(NamedTuple):
    """NumPy's BLAS: what threadpoolctl knows of it, and the functions that read and set its number of threads."""

    info: dict[str, Any]
    get: Callable[[], int]
    set: Callable[[int], Any]


@cache
def find_blas() -> Blas | None:
    """NumPy's BLAS, or None where threadpoolctl knows none; others, such as SciPy's, may be loaded beside it."""
    from threadpoolctl import ThreadpoolController

    found = ThreadpoolController().select(user_api="blas").lib_controllers
    library = max(found, key=lambda each: "numpy" in each.filepath.lower(), default=None)
    return library and Blas(library.info(), *(_openblas(library) or (library.get_num_threads, library.set_num_threads)))


def _openblas(library: Any) -> tuple[Any, Any] | None:
    """The library's own functions. Since threadpoolctl 3.7 its method has an effect in one Python thread only."""
    for prefix in ("", "scipy_"):
        for suffix in ("", "64_", "_64"):
            names = [f"{prefix}openblas_{verb}_num_threads{suffix}" for verb in ("get", "set")]
            if library.internal_api == "openblas" and all(hasattr(library.dynlib, name) for name in names):
                get, set_ = (getattr(library.dynlib, name) for name in names)
                return get, set_
    return None


def with_threads(count: int | None, function: Callable[..., T], *arguments: Any) -> T:
    """What the function returns, computed with so many BLAS threads; None leaves the process's setting as it is.

    However the function ends, the setting is then what it was. A call from within another one may ask for another number.
    Python threads that ask for the same number compute side by side, others wait for their turn.

    Examples:
        >>> with_threads(1, lambda: find_blas().get())
        1
    """
    blas, me, errors = find_blas(), threading.get_ident(), []
    outer = _held.get(me)
    if blas is None or count is None or count == outer:
        return function(*arguments)
    try:
        _hold(blas, me, count)
        return function(*arguments)
    finally:
        while True:
            try:
                _hold(blas, me, outer)
                break
            except BaseException as error:  # a signal that came meanwhile: the setting is restored first
                errors.append(error)
        if errors:
            raise errors[0]


def _hold(blas: Blas, me: int, count: int | None) -> None:
    """Let a Python thread compute with that number from now on, or not any more; interrupted, it can be called again."""
    with _lock:
        _held.pop(me, None)
        if count is not None:
            if _queue or _others(count):
                _wait(count)
            _held[me] = count
        _settle(blas)
        if _queue:
            _turn.notify_all()


def _others(count: int) -> bool:
    return any(number != count for number in _held.values())


def _wait(count: int) -> None:
    """Wait for all who came before, and for those who compute with another number."""
    place = object()
    try:
        _queue.append(place)
        _turn.notify_all()  # the caller does not compute any more
        while _queue[0] is not place or _others(count):
            _turn.wait(_POLL)
    finally:
        if place in _queue:
            _queue.remove(place)


def _settle(blas: Blas) -> None:
    """Set the number that those who compute ask for, or restore the process's own."""
    global _before
    if _held:
        if _before is None:
            _before = blas.get()
        blas.set(next(iter(_held.values())))
    elif _before is not None:
        blas.set(_before)
        _before = None


def _after_fork() -> None:
    """In the child there is only the thread that forked."""
    global _turn
    me, blas = threading.get_ident(), find_blas() if _held else None
    for other in [thread for thread in _held if thread != me]:
        del _held[other]
    _queue.clear()
    _turn = threading.Condition(_lock)
    if blas is not None:
        _settle(blas)
    _lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_after_fork)
