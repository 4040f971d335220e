"""The background thread that hashes states and writes them to run files while training continues.

States are frozen, so they are queued without a copy. The queues are bounded in bytes, and an error in the thread is raised in
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
from time import monotonic
from typing import Any

from fnloop.core.errors import RecordingWarning, RunError
from fnloop.core.formatting import short
from fnloop.core.warnings import warn
from fnloop.runs.creation import Template
from fnloop.runs.environment import Observation
from fnloop.runs.files import descriptors
from fnloop.runs.lock import Locks
from fnloop.runs.packing import pack_once
from fnloop.runs.recorder import Recorder
from fnloop.runs.sink import Sink

MAX_QUEUED_BYTES = 1 << 28  # of states in the queues, each of which has place for one
PAUSE = 0.8  # seconds between commits: rows written together cost less than one by one
PAUSE_A_FILE = 0.025  # seconds between commits for each file, so that those of many files cost about 2 % of the time,
MAX_PAUSE = 30.0  # but not so many that a killed process loses more than this
MAX_OPEN = 250  # files that stay open between commits; a file takes three descriptors


class WritingThread:
    """The thread that writes a run file, or those of the members of a population.

    It starts with the first file, and ends when all are finished.

    Args:
        is_shared: Whether it ends only after `close`, so that more files may come when all so far are finished.

    Attributes:
        template: Where new files are made.
        locks: The locks of the files.
        pack_dataset: The function that packs the data of the files, each once.
    """

    def __init__(self, is_shared: bool = False) -> None:
        self.template, self.locks, self.pack_dataset = Template(), Locks(), pack_once()
        self.wake: SimpleQueue[Writer | None] = SimpleQueue()  # a writer to finish at once, or None to write all
        self.progress: SimpleQueue[None] = SimpleQueue()  # an item tells that what another thread waits for may have come
        self.writers: list[Writer] = []  # that are not finished
        self._expects_more = is_shared
        self._thread: threading.Thread | None = None

    def add(self, writer: "Writer") -> None:
        """Write what a writer has queued, from now on until it is finished."""
        self.writers.append(writer)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="fnloop-record", daemon=True)
            self._thread.start()

    def is_running_here(self) -> bool:
        """Whether it is the thread that calls this."""
        return threading.current_thread() is self._thread

    def close(self) -> None:
        """End when all files are finished."""
        self._expects_more = False
        self.wake.put(None)

    def note_progress(self) -> None:
        """Let a thread that waits look whether what it waits for has come."""
        if self.progress.empty():
            self.progress.put(None)

    def _run(self) -> None:
        written = monotonic()
        while self.writers or self._expects_more:
            writer, is_woken = None, True
            try:
                writer = self.wake.get(timeout=max(0.0, self._due(written) - monotonic()))
            except Empty:
                is_woken = False
            if writer is not None:
                writer.finish()
            elif is_woken or monotonic() >= self._due(written):  # more files may have come, which are written less often
                keeps_open = len(self.writers) <= min(MAX_OPEN, descriptors() // 6)
                for each in list(self.writers):
                    each.write(keeps_open)
                written = monotonic()
        self.template.close()

    def _due(self, written: float) -> float:
        """Return when all files are to be written again."""
        return written + max(PAUSE, min(MAX_PAUSE, PAUSE_A_FILE * (len(self.writers) - 1)))


class Writer:
    """Appends the states that it is given by `put` to a run file, until `close`.

    Args:
        sink: The run file, which the thread closes.
        recorder: Writes the states to it; only the thread uses it, except to observe the environment.
        release: Called in the thread at the end; releases the lock of the file.
        thread: The thread, which may write other files too.
        hold: Whether to write the first state only with the second, or at the end: until then the stream may be refused.
    """

    def __init__(
        self, sink: Sink, recorder: Recorder, release: Callable[[], None], thread: WritingThread, hold: bool = False
    ) -> None:
        self._sink, self._recorder, self._release, self._hold = sink, recorder, release, hold
        self._accepted = 0  # states
        self._queue: deque[tuple[Any, float, Observation]] = deque()
        self._closing = self._discarding = self._finished = False
        self._error: BaseException | None = None
        self._split: str | None = None  # a warning that the run is in two files, or not at its path
        self._process = os.getpid()
        self._thread = thread
        thread.add(self)
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
        while self._error is None and self._queue and self._is_full():
            self._wait()
        self._raise_error()
        self._accepted += 1
        self._queue.append((state, seconds, self._recorder.observe()))
        if 2 * self._queued_bytes() > MAX_QUEUED_BYTES and self._thread.wake.empty():
            self._thread.wake.put(None)

    def close(self) -> None:
        """Write the queue, snapshots of the best and the last state, and that the recording ended.

        A `RecordingWarning` says so if a reader has kept the last epochs in a second file.

        Raises:
            RunError: If something could not be written.
        """
        if os.getpid() != self._process:
            return  # a forked process has a copy of the writer, but not its thread
        self._closing = True
        self._thread.wake.put(self)
        if self._thread.is_running_here():
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
            self._thread.progress.get(timeout=PAUSE)

    def _queued_bytes(self) -> int:
        """Return the size of the states in the queues of all files of the thread, which are about as long as this one."""
        return len(self._queue) * self._recorder.state_bytes * max(1, len(self._thread.writers))

    def _is_full(self) -> bool:
        return self._queued_bytes() + self._recorder.state_bytes > MAX_QUEUED_BYTES

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

    def write(self, keeps_open: bool) -> None:
        """Write the queue; called by the thread.

        Args:
            keeps_open: Whether the file stays open until the next call.
        """
        if self._closing:  # an interrupt came before the thread was told
            self.finish()
        if self._finished or (self._hold and self._accepted < 2):
            return
        try:
            self._add_queue()
            self._recorder.flush()
            if not keeps_open:
                self._sink.rest()
        except BaseException as error:  # also an error that an attribute of a custom state raises
            self._end(error)

    def finish(self) -> None:
        """Write the queue and the end of the file, and close it; called by the thread."""
        if self._finished:
            return
        try:
            if not self._discarding:
                self._add_queue()
                self._recorder.finish()
        except BaseException as error:
            self._end(error)
        else:
            self._end(None)

    def _end(self, error: BaseException | None) -> None:
        try:
            with ExitStack() as at_end:
                at_end.callback(self._release)
                at_end.callback(self._close_file)
        except BaseException as error_at_end:
            error = error or error_at_end
        self._error = error
        self._queue.clear()
        with suppress(ValueError):
            self._thread.writers.remove(self)
        self._finished = True
        self._thread.note_progress()

    def _close_file(self) -> None:
        self._split = self._sink.close()
        if self._discarding:
            self._sink.remove()

    def _add_queue(self) -> None:
        """Add all queued states; those that are in a full batch are written."""
        while self._queue:
            is_full = self._is_full()
            try:
                self._recorder.add(*self._queue[0])
            except Exception:
                self._recorder.rescue()
                raise
            self._queue.popleft()
            if is_full:
                self._thread.note_progress()
            if self._recorder.is_full:
                self._recorder.flush()
