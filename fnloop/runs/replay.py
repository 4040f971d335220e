"""States computed again: from the nearest one that is written whole, by the fold, each epoch checked against its digest."""

from collections.abc import Callable, Iterator
from functools import cached_property, partial
from typing import Any

from toolz import iterate

from fnloop.core.errors import ReplayError, RunError
from fnloop.core.formatting import listed, short
from fnloop.core.records import evolve
from fnloop.engines.threads import with_threads
from fnloop.nn.model import Params
from fnloop.runs.connection import reporting_damage
from fnloop.runs.environment import current_environment, environment_differences, recorded_threads
from fnloop.runs.reader import Advance, Reader
from fnloop.runs.rows import Row
from fnloop.training.loop import epochs, make_epoch, make_fold
from fnloop.training.state import TrainState
from fnloop.training.trainer import Trainer


class Replay:
    """The states of a run. It keeps the one that was had last, so that going forward costs no more than training did."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self._near: tuple[int, Any] = -1, None

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.reader,)

    def at(self, position: int) -> Any:
        """The state at a position of the stream."""
        near, state = self._near
        if not 0 <= position - near <= 1 or near < 0:
            whole = max(p for p in self.reader.snapshots() if p <= position)
            if not whole <= near <= position:
                near, state = whole, self.snapshot(whole)
        while near < position:
            near, state = near + 1, self._checked(self.advance(state), self.reader.row(near + 1))
        self._near = near, state
        return state

    def snapshot(self, position: int) -> Any:
        """The state that is written whole at a position."""
        state = self.reader.snapshot(position)
        if isinstance(state, TrainState) and state.params.model is None:
            if self.reader.trainer is None:
                raise RunError(f"{short(str(self.reader.path))} has a state of a trainer, but no trainer")
            state = evolve(state, params=Params(state.params.vector, self.reader.trainer.model))
        return self._checked(state, self.reader.row(position))

    def within(self, position: int, batches: int) -> Any:
        """The state so many batches behind the one at a position, checked by what the epoch comes to from there."""
        if self.reader.manifest.trainer is None:
            raise RunError("a run of a step of one's own has no states within its steps")
        state = self.at(position)
        inside = self._fold(state, state.progress.batches + batches)
        self._checked(self.advance(inside), self.reader.row(position + 1))
        return inside

    def _checked(self, state: Any, row: Row) -> Any:
        """The state, if it is the recorded one.

        Raises: ReplayError: which names the epoch, the fields that differ, and what differs in the environment.
        """
        fields = self.reader.differing(state, row)
        if fields:
            here = self.environment_differences()
            why = f"the environment differs: {'; '.join(here)}" if here else "the environment is the same"
            own = "" if self.reader.manifest.trainer else "is the step that of the run? "
            raise ReplayError(
                f"the state of epoch {row.epoch} is not the recorded one: it differs in {listed(fields)}; {own}{why}"
            )
        return state

    def environment_differences(self) -> tuple[str, ...]:
        """In what the environment differs from the one recorded, once what can be set is."""
        return environment_differences(self.reader.environment, current_environment(self.reader.manifest.engine, self.threads))

    @property
    def threads(self) -> int | None:
        """The number of BLAS threads that the run was recorded with, if that can be set."""
        return recorded_threads(self.reader.environment)

    @cached_property
    def trainer(self) -> Trainer | None:
        """The run's trainer, which computes with the number of threads that it was recorded with."""
        trainer = self.reader.trainer
        return trainer if trainer is None or self.threads is None else evolve(trainer, threads=self.threads)

    @cached_property
    def advance(self) -> Advance:
        """The function from each state of the stream to the next."""
        reader = self.reader
        if self.trainer is not None:
            with reporting_damage(reader.path):  # trainer and data may not fit together
                return make_epoch(self.trainer, reader.train, reader.validation, engine=reader.manifest.engine)
        if reader.handed["step"] is None:
            raise RunError(f"{short(str(reader.path))} is the run of a step of one's own: open_run(path, step=...)")
        return partial(with_threads, self.threads, reader.handed["step"])

    @cached_property
    def _fold(self) -> Callable[[Any, int], Any]:
        reader = self.reader
        return make_fold(self.trainer, reader.train, engine=reader.manifest.engine)  # type: ignore[arg-type]

    def stream(self, state: Any) -> Iterator[Any]:
        """The stream from a state on."""
        reader = self.reader
        if self.trainer is None:
            return iterate(self.advance, state)  # type: ignore[no-any-return]
        return epochs(self.trainer, reader.train, reader.validation, start=state, engine=reader.manifest.engine)
