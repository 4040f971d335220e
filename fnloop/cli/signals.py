"""How a command ends from outside: SIGTERM and SIGHUP do what Ctrl-C does. The library changes no signal's handler."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

ENDS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


@contextmanager
def interruptible() -> Iterator[list[int]]:
    """Raise KeyboardInterrupt at the first signal that asks the process to end; yield the list of those that came.

    What the first one began, such as writing the best state, goes on through a later SIGTERM or SIGHUP: one comes after the
    other where a session is closed. A second Ctrl-C interrupts that, too. A signal that the process ignores, as under
    `nohup`, stays ignored.
    """
    came: list[int] = []

    def end(number: int, _: Any) -> None:
        came.append(number)
        if len(came) == 1 or number == signal.SIGINT:
            raise KeyboardInterrupt

    with _handling(end):
        yield came


@contextmanager
def undisturbed() -> Iterator[None]:
    """Finish what is inside: a signal that comes meanwhile is handled at its end."""
    came: list[int] = []
    try:
        with _handling(lambda number, _: came.append(number)):
            yield
    finally:
        for number in came[:1]:
            signal.raise_signal(number)


@contextmanager
def _handling(handler: Callable[[int, Any], Any]) -> Iterator[None]:
    """Handle the signals that the process does not ignore, where it is the main thread that asks."""
    main = threading.current_thread() is threading.main_thread()
    former = {number: signal.getsignal(number) for number in ENDS if main}
    handled = {number: action for number, action in former.items() if action not in (signal.SIG_IGN, None)}
    try:
        for number in handled:
            signal.signal(number, handler)
        yield
    finally:
        for number, action in handled.items():
            signal.signal(number, action)
