"""A `map` over processes, for commands that share their work."""

import multiprocessing
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any

from fnloop.core.checks import integer
from fnloop.core.errors import RunError


@contextmanager
def process_map(processes: int) -> Iterator[Callable[..., Any]]:
    """Yield the `map` of a pool of processes, or Python's own `map` for one process.

    Args:
        processes: The number of processes, at least 1.

    Raises:
        ValueError: If `processes` is less than 1.
        RunError: If a process ends before its work is done.
    """
    if integer(1)("--processes", processes) == 1:
        yield map
        return
    pool = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), _end_silently_on_interrupt)
    try:
        yield pool.map
    except BrokenProcessPool as error:
        raise RunError(f"one of the {processes} processes ended before its work was done") from error
    except KeyboardInterrupt:  # a SIGTERM reaches this process alone
        for process in multiprocessing.active_children():
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _end_silently_on_interrupt() -> None:
    """Let Ctrl-C end a process of the pool without output; the parent process prints the message."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
