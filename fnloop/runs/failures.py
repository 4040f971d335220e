"""Continue training when recording fails, for example because the disk is full."""

from collections.abc import Callable, Generator
from contextlib import suppress
from typing import Any

from fnloop.core.errors import RecordingWarning, RunError
from fnloop.core.warnings import warn
from fnloop.runs.writer import Writer


class RecordedStream:
    """The stream of states that are recorded as they pass.

    Args:
        states: The states, whose generator records them.
        failures: Receives the error that ends the recording early.
    """

    def __init__(self, states: Generator[Any, None, None], failures: list[RunError]) -> None:
        self._states, self._failures = states, failures

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
        return next(iter(self._failures), None)


class TolerantWriter:
    """A writer that warns and stops recording when it cannot write, instead of raising.

    Args:
        writer: The writer of the run file.
        failures: Receives the error.
    """

    def __init__(self, writer: Writer, failures: list[RunError]) -> None:
        self._writer, self._failures = writer, failures

    def put(self, state: Any, seconds: float) -> None:
        """Write the next state, unless recording has failed.

        Args:
            state: The state.
            seconds: Time the epoch took.
        """
        self._attempt(lambda: self._writer.put(state, seconds))

    def close(self) -> None:
        """Finish the run file, unless recording has failed."""
        self._attempt(self._writer.close)

    def _attempt(self, action: Callable[[], None]) -> None:
        if self._failures:
            return
        try:
            action()
        except RunError as error:
            self._failures.append(error)
            with suppress(RunError):
                self._writer.close()
            warn(f"{error}; training continues unrecorded", RecordingWarning)
