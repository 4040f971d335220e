"""Signals: SIGTERM and SIGHUP end the command as Ctrl-C does. The library itself changes no signal handler."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


@contextmanager
def interruptible() -> Iterator[list[int]]:
    """Raise KeyboardInterrupt at the first SIGINT, SIGTERM or SIGHUP; yield the list of the signals that have arrived.

    What the first signal starts, such as writing the best state, continues through a later SIGTERM or SIGHUP: closing a
    session sends both. A second Ctrl-C interrupts it. A signal that the process ignores, as under `nohup`, is
    still ignored.
    """
    arrived: list[int] = []

    def interrupt(number: int, _: Any) -> None:
        arrived.append(number)
        if len(arrived) == 1 or number == signal.SIGINT:
            raise KeyboardInterrupt

    with _handling(interrupt):
        yield arrived


@contextmanager
def deferring_signals() -> Iterator[None]:
    """Run the block to its end; a signal that arrives meanwhile is raised afterwards."""
    arrived: list[int] = []
    try:
        with _handling(lambda number, _: arrived.append(number)):
            yield
    finally:
        for number in arrived[:1]:
            signal.raise_signal(number)


@contextmanager
def _handling(handler: Callable[[int, Any], Any]) -> Iterator[None]:
    """Set the handler of the signals that the process does not ignore, in the main thread only."""
    is_main = threading.current_thread() is threading.main_thread()
    previous = {number: signal.getsignal(number) for number in SIGNALS if is_main}
    handled = {number: action for number, action in previous.items() if action not in (signal.SIG_IGN, None)}
    try:
        for number in handled:
            signal.signal(number, handler)
        yield
    finally:
        for number, action in handled.items():
            signal.signal(number, action)
