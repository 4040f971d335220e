"""The background thread that hashes states and writes them to a run file while training continues.

States are frozen, so they are queued without a copy. The queue is bounded in bytes, and an error in the thread is raised in
the training thread. The training thread takes no lock: a Ctrl-C between taking a lock and noting it would leave both threads
waiting for each other.
"""

import atexit
import os
import threading
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack, nullcontext, suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np

from fnloop.core.checks import Mode
from fnloop.core.digest import Hashes
from fnloop.core.errors import RunError
from fnloop.core.fields import leaves
from fnloop.core.formatting import short
from fnloop.runs.connection import close_writer, open_to_write
from fnloop.runs.packing import pack_state
from fnloop.runs.rows import Row, make_row
from fnloop.runs.snapshots import SnapshotSchedule
from fnloop.runs.store import add_row, add_snapshot, create_metrics_view
from fnloop.streams.select import update_best

MAX_QUEUED_BYTES = 1 << 28  # of states in the queue, which always has place for one
PAUSE = 0.8  # seconds between commits: rows written together cost less than one by one


class Writer:
    """Appends the states that it is given by `put` to a run file, until `close`.

    Args:
        path: The run file, which has at least its first row.
        head: The last row of the file.
        state: The state of that row.
        metric_names: The metrics that the view `metrics` has columns for.
        monitor: The metric that selects the best state, and its mode, or None.
        best: The best state so far and its position, or (None, None).
        snapshot_every: Number of states from one snapshot to the next; None for as many as the time budget allows.
        release: Called in the thread at the end; releases the lock of the file.

    Raises:
        RunError: If the file cannot be written.
    """

    def __init__(
        self,
        path: Path,
        head: Row,
        state: Any,
        metric_names: tuple[str, ...],
        *,
        monitor: tuple[str, Mode] | None,
        best: tuple[Any, int | None],
        snapshot_every: int | None,
        release: Callable[[], None],
    ) -> None:
        self._path, self._head, self._last, self._metric_names = path, head, state, dict.fromkeys(metric_names)
        self._monitor, self._best, self._release = monitor, best, release
        self._hashes: Hashes = {}
        self._state_bytes = sum(leaf.nbytes for _, leaf in leaves(state) if isinstance(leaf, np.ndarray))
        self._schedule = SnapshotSchedule(snapshot_every)
        self._queue: deque[tuple[Any, float]] = deque()
        self._wake: SimpleQueue[None] = SimpleQueue()  # an item tells the thread not to pause
        self._progress: SimpleQueue[None] = SimpleQueue()  # an item tells that the thread has written something
        self._closing = self._finished = False
        self._error: BaseException | None = None
        self._connection = open_to_write(path)
        self._process = os.getpid()
        self._thread = threading.Thread(target=self._run, name="fnloop-record", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def put(self, state: Any, seconds: float) -> None:
        """Queue the next state; wait while the queue is full.

        Args:
            state: The state.
            seconds: Time the epoch took.

        Raises:
            RunError: If an earlier state could not be written.
        """
        while self._error is None and self._queue and self._queued_bytes() + self._state_bytes > MAX_QUEUED_BYTES:
            self._wait()
        self._raise_error()
        self._queue.append((state, seconds))
        if self._queued_bytes() > MAX_QUEUED_BYTES // 2 and self._wake.empty():
            self._wake.put(None)

    def close(self) -> None:
        """Write the queue, and snapshots of the best and the last state.

        Raises:
            RunError: If something could not be written.
        """
        if os.getpid() != self._process:
            return  # a forked process has a copy of the writer, but not its thread
        self._closing = True
        self._wake.put(None)
        if threading.current_thread() is self._thread:
            return  # the garbage collector may close a stream in this thread, which still writes the queue
        while not self._finished:  # after an interrupt, Thread.join would believe that the thread has ended
            self._wait()
        atexit.unregister(self.close)
        self._raise_error()

    def _wait(self) -> None:
        """Wait until the thread has written something; not forever, as another thread may have taken the item."""
        with suppress(Empty):
            self._progress.get(timeout=PAUSE)

    def _queued_bytes(self) -> int:
        return len(self._queue) * self._state_bytes

    def _raise_error(self) -> None:
        if self._error is not None:
            recorded = self._head.position + 1
            raise RunError(
                f"recording to {short(str(self._path))} failed: {self._error}; "
                f"it holds {recorded} state{'s' if recorded > 1 else ''}, up to epoch {self._head.epoch}"
            ) from self._error

    def _run(self) -> None:
        try:
            with ExitStack() as at_end:
                at_end.callback(self._release)
                at_end.callback(close_writer, self._connection)
                self._write_until_closed()
        except BaseException as error:  # also an error that an attribute of a custom state raises
            self._error = error
            self._queue.clear()
        finally:
            self._finished = True
            self._progress.put(None)

    def _write_until_closed(self) -> None:
        while not self._closing or self._queue:
            with suppress(Empty):
                self._wake.get(timeout=PAUSE)
            self._write_queue()
        self._write_last_snapshots()

    def _write_queue(self) -> None:
        """Write all queued states in one transaction; the head moves when it is committed."""
        if not self._queue:
            return
        head, has_snapshots = self._head, False
        self._connection.execute("BEGIN IMMEDIATE")
        for _ in range(len(self._queue)):
            state, seconds = self._queue[0]
            head, has_snapshot = self._write(head, state, seconds)
            has_snapshots |= has_snapshot
            self._queue.popleft()
            if self._progress.empty():
                self._progress.put(None)
        with self._schedule.measuring(snapshots=0) if has_snapshots else nullcontext():
            self._connection.execute("COMMIT")
        self._head = head

    def _write(self, head: Row, state: Any, seconds: float) -> tuple[Row, bool]:
        """Write a state's row, and its snapshot if that is due; return the row, and whether there is a snapshot."""
        row, hashes = make_row(head.position + 1, state, seconds, head.epoch, self._hashes)
        self._state_bytes = sum(value.nbytes for value, _ in hashes.values() if isinstance(value, np.ndarray))
        row = row.with_chain(head.chain)
        if not row.metrics.keys() <= self._metric_names.keys():
            self._metric_names |= dict.fromkeys(row.metrics)
            create_metrics_view(self._connection, tuple(self._metric_names))
        add_row(self._connection, row)
        self._hashes, self._last = hashes, state
        if self._monitor is not None and row.metrics and update_best(self._best[0], state, *self._monitor) is state:
            self._best = state, row.position
        self._schedule.add_epoch(seconds)
        is_due = self._schedule.is_due(row.position)
        if is_due:
            with self._schedule.measuring(snapshots=1):
                add_snapshot(self._connection, row.position, *pack_state(state, hashes))
        return row, is_due

    def _write_last_snapshots(self) -> None:
        """Write snapshots of the last and the best state, unless the file has them."""
        self._connection.execute("BEGIN IMMEDIATE")
        for state, position in ((self._last, self._head.position), self._best):
            if position is not None:
                add_snapshot(self._connection, position, *pack_state(state))
        self._connection.execute("COMMIT")
