"""A recording that fails, as on a full disk, costs the recording and not the training."""

from collections.abc import Callable, Generator
from contextlib import suppress
from typing import Any

from fnloop.core.errors import RecordingWarning, RunError
from fnloop.core.warnings import warn
from fnloop.runs.writer import Writer


class Recorded:
    """The stream of states that are recorded as they pass.

    Args:
        failures: gets the error that ends the recording before the stream.
    """

    def __init__(self, states: Generator[Any, None, None], failures: list[RunError]) -> None:
        self._states, self._failures = states, failures

    def __iter__(self) -> "Recorded":
        return self

    def __next__(self) -> Any:
        return next(self._states)

    def close(self) -> None:
        """End the stream, and write what waits to be written."""
        self._states.close()

    @property
    def failure(self) -> RunError | None:
        """What ended the recording before the stream; None if nothing did."""
        return next(iter(self._failures), None)


class Forgiving:
    """A writer that gives up with a warning when it cannot write.

    Args:
        failures: gets the error.
    """

    def __init__(self, writer: Writer, failures: list[RunError]) -> None:
        self._writer, self._failures = writer, failures

    def put(self, state: Any, seconds: float) -> None:
        """Hand over the next state, as long as states can be written."""
        self._attempt(lambda: self._writer.put(state, seconds))

    def close(self) -> None:
        """Write what waits."""
        self._attempt(self._writer.close)

    def _attempt(self, act: Callable[[], None]) -> None:
        if self._failures:
            return
        try:
            act()
        except RunError as error:
            self._failures.append(error)
            with suppress(RunError):
                self._writer.close()
            warn(f"{error}; training goes on unrecorded", RecordingWarning)
