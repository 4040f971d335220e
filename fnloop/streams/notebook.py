"""Progress in a notebook: one output, updated in place; the saved notebook has its last version."""

import sys
from collections.abc import Callable
from html import escape
from time import perf_counter
from typing import Any

from fnloop.core.records import frozen

MIN_INTERVAL = 0.1  # seconds between two updates; each is a message to the browser


def in_notebook() -> bool:
    """Return whether a Jupyter kernel runs this process, so that outputs can be updated in place."""
    ipython = sys.modules.get("IPython")
    return getattr(ipython and ipython.get_ipython(), "kernel", None) is not None


@frozen
class Bar:
    """The progress of a run: HTML with a bar and a text, or the text alone where HTML is not shown.

    Args:
        done: Number of finished epochs.
        total: Expected number of epochs; None for no bar.
        text: The text after the bar.
    """

    done: int
    total: int | None
    text: str

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        bar = "" if self.total is None else f'<progress value="{self.done}" max="{max(1, self.total)}"></progress> '
        return f'{bar}<pre style="display: inline">{escape(self.text)}</pre>'


class Output:
    """An output of the running cell, updated in place at most ten times a second.

    Args:
        clock: A function that returns the time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = perf_counter) -> None:
        self._clock, self._updated_at = clock, 0.0
        self._handle: Any = None
        self._skipped: Bar | None = None

    def show(self, bar: Bar) -> None:
        """Show a bar: the first at once, a later one unless the last update was less than 0.1 s ago.

        Args:
            bar: Replaces the bar before it.
        """
        now = self._clock()
        if self._handle is None:
            from IPython.display import display

            self._handle = display(bar, display_id=True)  # type: ignore[no-untyped-call]
            self._updated_at = now
        elif now - self._updated_at < MIN_INTERVAL:
            self._skipped = bar
        else:
            self._handle.update(bar)
            self._updated_at, self._skipped = now, None

    def close(self) -> None:
        """Show the last bar, if it was skipped."""
        if self._handle is not None and self._skipped is not None:
            self._handle.update(self._skipped)
            self._skipped = None
