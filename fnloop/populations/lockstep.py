"""Streams of states that are computed together: one for each member of a population."""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from time import perf_counter

from fnloop.training.state import TrainState

States = Mapping[int, TrainState]
Epoch = Callable[[States], dict[int, TrainState]]


class Lockstep:
    """Streams of states, epoch by epoch, of all members whose stream is still read.

    The first stream that is asked for an epoch computes it for all. The readers keep together: each reads one state after the
    other reads one. A stream joins the population when its first state is read, and leaves it when it is closed.

    Args:
        epoch: The function from states by member to the states an epoch later.
        states: The first state of each member.

    Attributes:
        seconds: The time of the last epoch, divided by the members that it was computed for.
    """

    __slots__ = ("_ahead", "_current", "_epoch", "_first", "seconds")

    def __init__(self, epoch: Epoch, states: Mapping[int, TrainState]) -> None:
        self._epoch, self._first = epoch, dict(states)
        self._current: dict[int, TrainState] = {}  # of the streams that are read
        self._ahead: dict[int, TrainState] = {}
        self.seconds = 0.0

    def stream(self, member: int) -> Generator[TrainState, None, None]:
        """Yield the states of a member, which end with a stopped one. A member has one stream."""
        self._current[member] = self._first.pop(member)
        try:
            yield self._current[member]
            while self._current[member].stopped is None:
                if member not in self._ahead:
                    self._advance()
                self._current[member] = self._ahead.pop(member)
                yield self._current[member]
        finally:
            del self._current[member]
            self._ahead.pop(member, None)

    def timed(self, states: Iterable[TrainState]) -> Iterator[tuple[TrainState, float]]:
        """Yield each state with the seconds of its epoch, which are shared equally among the members."""
        for state in states:
            yield state, self.seconds

    def advance(self, epochs: int) -> None:
        """Compute the next epoch of all members before a stream is asked for it.

        So an error, or Ctrl-C, ends no stream, and leaves all with the same number of epochs.

        Args:
            epochs: The number of epochs of a member that needs no more.
        """
        if any(state.epoch < epochs for state in self._current.values()):
            self._advance()

    def _advance(self) -> None:
        started = perf_counter()
        running = {i: s for i, s in self._current.items() if s.stopped is None and i not in self._ahead}
        if running:
            self._ahead |= self._epoch(running)
            self.seconds = (perf_counter() - started) / len(running)
