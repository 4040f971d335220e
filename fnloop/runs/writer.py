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
from contextlib import ExitStack, suppress
from queue import Empty, SimpleQueue
from typing import Any

from fnloop.core.errors import RecordingWarning, RunError
from fnloop.core.formatting import short
from fnloop.core.warnings import warn
from fnloop.runs.environment import Observation
from fnloop.runs.recorder import Recorder
from fnloop.runs.sink import Sink

MAX_QUEUED_BYTES = 1 << 28  # of states in the queue, which always has place for one
PAUSE = 0.8  # seconds between commits: rows written together cost less than one by one


class Writer:
    """Appends the states that it is given by `put` to a run file, until `close`.

    Args:
        sink: The run file, which the thread closes.
        recorder: Writes the states to it; only the thread uses it, except to observe the environment.
        release: Called in the thread at the end; releases the lock of the file.
        hold: Whether to write the first state only with the second, or at the end: until then the stream may be refused.
    """

    def __init__(self, sink: Sink, recorder: Recorder, release: Callable[[], None], hold: bool = False) -> None:
        self._sink, self._recorder, self._release, self._hold = sink, recorder, release, hold
        self._accepted = 0  # states
        self._queue: deque[tuple[Any, float, Observation]] = deque()
        self._wake: SimpleQueue[None] = SimpleQueue()  # an item tells the thread not to pause
        self._progress: SimpleQueue[None] = SimpleQueue()  # an item tells that the thread has written something
        self._closing = self._discarding = self._finished = False
        self._error: BaseException | None = None
        self._split: str | None = None  # a warning that the run is in two files, or not at its path
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
        if os.getpid() != self._process:
            return  # a forked process has no thread that would empty its queue
        while self._error is None and self._queue and self._queued_bytes() + self._recorder.state_bytes > MAX_QUEUED_BYTES:
            self._wait()
        self._raise_error()
        self._accepted += 1
        self._queue.append((state, seconds, self._recorder.observe()))
        if self._queued_bytes() > MAX_QUEUED_BYTES // 2 and self._wake.empty():
            self._wake.put(None)

    def close(self) -> None:
        """Write the queue, snapshots of the best and the last state, and that the recording ended.

        A `RecordingWarning` says so if a reader has kept the last epochs in a second file.

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
        split, self._split = self._split, None
        if split is not None:
            warn(split, RecordingWarning)

    def discard(self) -> None:
        """End the recording of a stream whose last state was refused; a new file that has only the first state is removed."""
        self._discarding = self._accepted <= 1 and self._sink.is_new
        with suppress(RunError):
            self.close()

    def _wait(self) -> None:
        """Wait until the thread has written something; not forever, as another thread may have taken the item."""
        with suppress(Empty):
            self._progress.get(timeout=PAUSE)

    def _queued_bytes(self) -> int:
        return len(self._queue) * self._recorder.state_bytes

    def _raise_error(self) -> None:
        if self._error is not None:
            count, epoch = self._recorder.count, self._recorder.epoch
            raise RunError(
                f"recording to {short(str(self._sink.path))} failed: {self._error}; "
                + (
                    f"it holds {count} state{'s' if count > 1 else ''}, up to epoch {epoch}"
                    if count
                    else "no state was written"
                )
            ) from self._error

    def _run(self) -> None:
        try:
            with ExitStack() as at_end:
                at_end.callback(self._release)
                at_end.callback(self._close_file)
                self._write_until_closed()
        except BaseException as error:  # also an error that an attribute of a custom state raises
            self._error = error
            self._queue.clear()
        finally:
            self._finished = True
            self._progress.put(None)

    def _write_until_closed(self) -> None:
        while not self._closing:
            with suppress(Empty):
                self._wake.get(timeout=PAUSE)
            if not (self._closing or (self._hold and self._accepted < 2)):
                self._add_queue()
                self._recorder.flush()
        if not self._discarding:
            self._add_queue()
            self._recorder.finish()

    def _close_file(self) -> None:
        self._split = self._sink.close()
        if self._discarding:
            self._sink.remove()

    def _add_queue(self) -> None:
        """Add all queued states; those that are in a full batch are written."""
        while self._queue:
            try:
                self._recorder.add(*self._queue[0])
            except Exception:
                self._recorder.rescue()
                raise
            self._queue.popleft()
            if self._progress.empty():
                self._progress.put(None)
            if self._recorder.is_full:
                self._recorder.flush()
