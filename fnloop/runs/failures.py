"""Continue training when recording fails, for example because the disk is full."""

from collections.abc import Callable, Generator
from contextlib import suppress
from typing import Any

from fnloop.core.errors import RecordingWarning, RunError
from fnloop.core.warnings import warn
from fnloop.runs.writer import Writer


class TolerantWriter:
    """A writer that warns and stops recording when it cannot write, instead of raising.

    Args:
        create: Called with the first state, which it writes; returns the writer of the file. Its errors are raised.
    """

    def __init__(self, create: Callable[[Any], Writer]) -> None:
        self._create = create
        self._writer: Writer | None = None
        self.failure: RunError | None = None

    def start(self, state: Any) -> "TolerantWriter":
        """Create the file with the first state.

        Raises:
            RunError: If the file cannot be created.
        """
        self._writer = self._create(state)
        return self

    def put(self, state: Any, seconds: float) -> None:
        """Write the next state, unless recording has failed.

        Args:
            state: The state.
            seconds: Time the epoch took.
        """
        self._attempt(lambda writer: writer.put(state, seconds))

    def close(self) -> None:
        """Finish the run file, unless recording has failed."""
        self._attempt(lambda writer: writer.close())

    def discard(self) -> None:
        """End the recording of a stream whose last state was refused, unless recording has failed."""
        self._attempt(lambda writer: writer.discard())

    def _attempt(self, action: Callable[[Writer], None]) -> None:
        if self._writer is None or self.failure is not None:
            return
        try:
            action(self._writer)
        except RunError as error:
            self.failure = error
            with suppress(RunError):
                self._writer.close()
            warn(f"{error}; training continues unrecorded", RecordingWarning)


class RecordedStream:
    """The stream of states that are recorded as they pass.

    Args:
        states: The states, whose generator records them by the writer.
        writer: The writer.
    """

    def __init__(self, states: Generator[Any, None, None], writer: TolerantWriter) -> None:
        self._states, self._writer = states, writer

    def __iter__(self) -> "RecordedStream":
        return self

    def __next__(self) -> Any:
        return next(self._states)

    def close(self) -> None:
        """End the stream and finish the run file."""
        self._states.close()

    @property
    def failure(self) -> RunError | None:
        """The error that ended the recording before the stream, or None."""
        return self._writer.failure
