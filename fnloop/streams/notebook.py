"""Progress in a notebook: one output, which is updated in place and keeps its last form in the file."""

import sys
from collections.abc import Callable
from html import escape
from time import perf_counter
from typing import Any

from fnloop.core.records import frozen

PAUSE = 0.1  # seconds between two updates, each of which is a message to the browser


def in_notebook() -> bool:
    """Whether a Jupyter kernel runs this process, so that an output can be updated."""
    ipython = sys.modules.get("IPython")
    return getattr(ipython and ipython.get_ipython(), "kernel", None) is not None


@frozen
class Bar:
    """How far a run is: as a bar with a line of text, or where no HTML is shown as the line alone."""

    done: int
    total: int | None
    text: str

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        bar = "" if self.total is None else f'<progress value="{self.done}" max="{max(1, self.total)}"></progress> '
        return f'{bar}<pre style="display: inline">{escape(self.text)}</pre>'


class Output:
    """An output of the cell that runs: `show(bar)` replaces what it shows, a few times a second, and `close()` the last time.

    The first bar is shown at once.
    """

    def __init__(self, clock: Callable[[], float] = perf_counter) -> None:
        self._clock, self._shown_at = clock, 0.0
        self._handle: Any = None
        self._late: Bar | None = None

    def show(self, bar: Bar) -> None:
        now = self._clock()
        if self._handle is None:
            from IPython.display import display

            self._handle = display(bar, display_id=True)  # type: ignore[no-untyped-call]
            self._shown_at = now
        elif now - self._shown_at < PAUSE:
            self._late = bar
        else:
            self._handle.update(bar)
            self._shown_at, self._late = now, None

    def close(self) -> None:
        """Show the last bar that was not shown yet."""
        if self._handle is not None and self._late is not None:
            self._handle.update(self._late)
            self._late = None
