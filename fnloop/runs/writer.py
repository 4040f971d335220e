"""The background thread that hashes states and writes them to a run file, while training goes on.

States are frozen, so they are handed over as they are. What waits is bounded in bytes; what goes wrong is raised where the
training is. The training holds no lock: a Ctrl-C that came between taking one and noting it would leave the two threads
waiting for each other.
"""

import atexit
import json
import os
import threading
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from time import thread_time
from typing import Any

import numpy as np

from fnloop.core.checks import Mode
from fnloop.core.digest import Hashes, hash_of
from fnloop.core.errors import RunError
from fnloop.core.fields import children_of, leaves
from fnloop.core.formatting import short
from fnloop.core.parameters import Params
from fnloop.core.records import evolve
from fnloop.runs.connection import close_writer, open_to_write
from fnloop.runs.packing import pack, pack_checked
from fnloop.runs.store import Row, add_row, add_snapshot, show_metrics, write_numbers
from fnloop.streams.select import update_best
from fnloop.training.state import TrainState

# Of the time of training so much of the processor's may go into all that is written, and into snapshots whatever the rows
# take. What training loses is two to three times that: caches and the threads of BLAS are its own no more.
BUDGET, LEAST = 0.004, 0.0015
LIMIT = 1 << 28  # bytes of states that may wait; one may always
PAUSE = 0.8  # seconds between commits: what waits is written together, which costs a row less than one by one
SHOWN = 16  # hexadecimal digits of a field's hash


class Writer:
    """Writes the states that are `put` behind the last row of a file, until `close`.

    Args:
        head: the last row, and `state` the state that it is of.
        names: the metrics that the view shows.
        monitor: the metric by which the best state is kept, and its mode, or None.
        best: the best state so far, and its position.
        snapshot_every: states from one snapshot to the next; None: as many as the budget has room for.
        release: is called at the end, in the thread.
    """

    def __init__(
        self,
        path: Path,
        head: Row,
        state: Any,
        names: tuple[str, ...],
        *,
        monitor: tuple[str, Mode] | None,
        best: tuple[Any, int | None],
        snapshot_every: int | None,
        release: Callable[[], None],
    ) -> None:
        self._path, self._head, self._last, self._names = path, head, state, dict.fromkeys(names)
        self._monitor, self._best, self._every, self._release = monitor, best, snapshot_every, release
        self._hashes: Hashes = {}
        self._elapsed, self._size = 0.0, sum(leaf.nbytes for _, leaf in leaves(state) if isinstance(leaf, np.ndarray))
        self._snapshots, self._spent = 0, 0.0  # their number, and the thread's processor time that went into them
        self._waiting: deque[tuple[Any, float]] = deque()
        self._wake: SimpleQueue[None] = SimpleQueue()  # has something when the thread is not to pause
        self._moved: SimpleQueue[None] = SimpleQueue()  # has something when the thread has got on
        self._ended = self._done = False
        self._error: BaseException | None = None
        self._connection = open_to_write(path)
        self._process = os.getpid()
        self._thread = threading.Thread(target=self._work, name="fnloop-record", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def put(self, state: Any, seconds: float) -> None:
        """Hand over the next state, which took so long; waits while too much waits.

        Raises: RunError: if what came before could not be written.
        """
        while self._error is None and self._waiting and self._bytes() + self._size > LIMIT:
            self._wait()
        self._raise()
        self._waiting.append((state, seconds))
        if self._bytes() > LIMIT // 2 and self._wake.empty():
            self._wake.put(None)

    def close(self) -> None:
        """Write what waits, and the best and the last state whole.

        Raises: RunError: if something could not be written.
        """
        if os.getpid() != self._process:
            return  # a fork of the process has the writer, but not its thread
        self._ended = True
        self._wake.put(None)
        if threading.current_thread() is self._thread:
            return  # the garbage collector closes streams wherever it runs; what waits is still written
        while not self._done:  # an interrupted Thread.join would take the thread for ended
            self._wait()
        atexit.unregister(self.close)
        self._raise()

    def _wait(self) -> None:
        """Until the thread has got on; not for ever, as another may have taken what says so."""
        with suppress(Empty):
            self._moved.get(timeout=PAUSE)

    def _bytes(self) -> int:
        """Of the states that wait."""
        return len(self._waiting) * self._size

    def _raise(self) -> None:
        if self._error is not None:
            held = self._head.position + 1
            raise RunError(
                f"recording to {short(str(self._path))} failed: {self._error}; "
                f"it holds {held} state{'s' if held > 1 else ''}, up to epoch {self._head.epoch}"
            ) from self._error

    def _work(self) -> None:
        try:
            with ExitStack() as at_end:
                at_end.callback(self._release)
                at_end.callback(close_writer, self._connection)
                self._write_all()
        except BaseException as error:  # also what a state of one's own raises when it is looked at
            self._error = error
            self._waiting.clear()
        finally:
            self._done = True
            self._moved.put(None)

    def _write_all(self) -> None:
        while not self._ended or self._waiting:
            with suppress(Empty):
                self._wake.get(timeout=PAUSE)
            self._write_what_waits()
        self._write_ends()

    def _write_what_waits(self) -> None:
        """One transaction for all that waits by now; the head moves on when it is committed."""
        if not self._waiting:
            return
        head, snapshots = self._head, self._snapshots
        self._connection.execute("BEGIN IMMEDIATE")
        for _ in range(len(self._waiting)):
            state, seconds = self._waiting[0]
            head = self._write(head, state, seconds)
            self._waiting.popleft()
            if self._moved.empty():
                self._moved.put(None)
        started = thread_time()
        self._connection.execute("COMMIT")
        if self._snapshots > snapshots:
            self._spent += thread_time() - started
        self._head = head

    def _write(self, head: Row, state: Any, seconds: float) -> Row:
        row, hashes = make_row(head.position + 1, state, seconds, head.epoch, self._hashes)
        self._size = sum(value.nbytes for value, _ in hashes.values() if isinstance(value, np.ndarray))
        row = row.chained(head.chain)
        metrics = row.metrics
        if not metrics.keys() <= self._names.keys():
            self._names |= dict.fromkeys(metrics)
            show_metrics(self._connection, tuple(self._names))
        add_row(self._connection, row)
        self._hashes, self._last, self._elapsed = hashes, state, self._elapsed + seconds
        if self._monitor is not None and metrics and update_best(self._best[0], state, *self._monitor) is state:
            self._best = state, row.position
        if self._is_due(row.position):
            started = thread_time()
            add_snapshot(self._connection, row.position, *pack_state(state, hashes))
            self._snapshots, self._spent = self._snapshots + 1, self._spent + thread_time() - started
        return row

    def _is_due(self, position: int) -> bool:
        if self._every is not None:
            return position % self._every == 0
        next_one, all_else = self._spent / max(1, self._snapshots), thread_time() - self._spent
        return self._spent + next_one <= max(BUDGET * self._elapsed - all_else, LEAST * self._elapsed)

    def _write_ends(self) -> None:
        """The last state and the best one whole, where they are not yet."""
        self._connection.execute("BEGIN IMMEDIATE")
        for state, position in ((self._last, self._head.position), self._best):
            if position is not None:
                add_snapshot(self._connection, position, *pack_state(state))
        self._connection.execute("COMMIT")


def make_row(position: int, state: Any, seconds: float, before: int, hashes: Hashes) -> tuple[Row, Hashes]:
    """The row of a state, not yet in the chain, and the hashes of its parts.

    Args:
        before: the epochs that the state before it had finished: metrics that are only carried on are not said again.
        hashes: those of the state before.
    """
    now: dict[int, tuple[Any, bytes]] = {}
    digest = hash_of(state, hashes, now).hex()
    fields = {name: hash_of(part, now).hex()[:SHOWN] for name, part in children_of(state) or ()}
    epoch, step, stopped = counts(state, position)
    metrics = write_numbers(metrics_of(state) if epoch > before else {})
    return Row(position, epoch, step, float(seconds), stopped, metrics, json.dumps(fields), digest).check(), now


def counts(state: Any, position: int) -> tuple[int, int, str | None]:
    """A state's epoch, its step, and why it stopped: a state of one's own that does not say is counted by its position."""
    return int(getattr(state, "epoch", position)), int(getattr(state, "step", position)), getattr(state, "stop_reason", None)


def metrics_of(state: Any) -> dict[str, float]:
    """A state's metrics, if it has any."""
    metrics = getattr(state, "metrics", None)
    return {str(k): float(v) for k, v in metrics.items()} if isinstance(metrics, Mapping) else {}


def pack_state(state: Any, hashes: Hashes | None = None) -> tuple[str, dict[str, Any]]:
    """A state as it is written: the model is the trainer's, and not said again."""
    if not isinstance(state, TrainState):
        return pack_checked(state, hashes)
    return pack(evolve(state, params=Params(state.params.vector, None)), hashes)  # type: ignore[arg-type]
