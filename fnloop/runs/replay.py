"""Replay: states of a run computed again from the nearest snapshot, each epoch checked against its digest."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from toolz import iterate

from fnloop.core.errors import ReplayError, RunError
from fnloop.core.formatting import listed, short
from fnloop.core.iteration import take_until
from fnloop.core.records import evolve
from fnloop.engines.threads import with_threads
from fnloop.runs.environment import Environment, current_environment, environment_differences, recorded_threads
from fnloop.runs.reader import Advance, Reader
from fnloop.runs.rows import Row
from fnloop.training.loop import is_stopped, make_epoch, make_fold
from fnloop.training.non_finite import warn_non_finite
from fnloop.training.trainer import Trainer

Fold = Callable[[Any, int], Any]


class Replay:
    """The states of a run. The last one is cached, so that going forward costs no more than training did.

    Args:
        reader: The run file.
    """

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self._cached: tuple[int, Any] = -1, None  # a position, and its state
        self._noted: tuple[int, int, Environment] = 0, -1, {}  # positions, the first and the last, and their environment
        self._advance: dict[int | None, Advance] = {}  # by the number of BLAS threads
        self._fold: dict[int | None, Fold] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.reader,)

    def at(self, position: int) -> Any:
        """Return the state at a position of the stream.

        Args:
            position: The index of the state in the stream, from 0.

        Raises:
            ReplayError: If a state on the way is not the recorded one.
        """
        reached, state = self._cached
        is_near = 0 <= reached <= position <= reached + self._can_advance  # one epoch is as fast as a snapshot
        if not is_near and not self._snapshot_before(position) <= reached <= position:
            reached, state = self.nearest(position)
        while reached < position:
            reached += 1
            try:
                state = self._checked(self.advance_to(reached)(state), self.reader.row(reached), position)
            except ReplayError:
                if reached not in self.reader.snapshots():
                    raise
                state = self.snapshot(reached)  # the state was computed from the cached one
        self._cached = reached, state
        return state

    def nearest(self, position: int) -> tuple[int, Any]:
        """Return the position of the latest snapshot up to a position, and its state.

        Args:
            position: The index of the state in the stream, from 0.

        Raises:
            ReplayError: If it is not the recorded state.
            RunError: If it is damaged.
        """
        while True:
            snapshot = self._snapshot_before(position)
            try:
                return snapshot, self.snapshot(snapshot)
            except RunError:
                if snapshot in self.reader.snapshots():
                    raise  # else it was pruned since it was listed

    def _snapshot_before(self, position: int) -> int:
        """Return the position of the latest snapshot up to a position."""
        return max(snapshot for snapshot in self.reader.snapshots() if snapshot <= position)

    def check_here(self, position: int) -> None:
        """Compute the epoch after the latest snapshot before a position again, and compare it with its record.

        This shows that here the run has the bits that it was recorded with. The first state has nothing to compare.

        Args:
            position: The index of the state in the stream, from 0.

        Raises:
            ReplayError: If the state of the epoch is not the recorded one.
        """
        if position:
            snapshot, state = self.nearest(position - 1)
            reached, state = snapshot + 1, self.advance_to(snapshot + 1)(state)
            self._cached = reached, self._checked(state, self.reader.row(reached), position)

    def snapshot(self, position: int) -> Any:
        """Return the state of the snapshot at a position.

        Args:
            position: The index of the state in the stream, from 0.

        Raises:
            ReplayError: If it is not the recorded state.
        """
        state, row = self.reader.snapshot(position), self.reader.row(position)
        fields = self.reader.differing(state, row)
        if fields and not self.reader.is_upcast(position):  # a record of an older form has another digest now
            raise self._error(row, fields, position, without=position)
        return state

    def after_batches(self, position: int, batches: int) -> Any:
        """Return the state a number of batches after the one at a position.

        The rest of the epoch is trained as well, to check the state by the digest of the epoch's end.

        Args:
            position: The index of the state in the stream, from 0.
            batches: The number of batches, less than those of the epoch.

        Raises:
            RunError: If the run was recorded from a custom step.
            ReplayError: If a state on the way is not the recorded one.
        """
        if not self.has_steps:
            raise RunError("a run that was recorded from a custom step has no states within an epoch")
        state = self.at(position)
        inside = self._fold_with(self.threads_at(position + 1))(state, state.progress.batches + batches)
        self._checked(self.advance_to(position + 1)(inside), self.reader.row(position + 1), position + 1)
        return inside

    @property
    def has_steps(self) -> bool:
        """Whether there are states within an epoch, which a custom step does not have."""
        return self.reader.manifest.trainer is not None

    @property
    def _can_advance(self) -> bool:
        """Whether states can be computed, for which a run of a custom step needs the step."""
        return self.has_steps or self.reader.supplied.step is not None

    def _checked(self, state: Any, row: Row, wanted: int) -> Any:
        """Return a computed state if it is the recorded one.

        Args:
            state: The state.
            row: The row of the state.
            wanted: The position of the state that is computed from it.

        Raises:
            ReplayError: If it is not.
        """
        fields = self.reader.differing(state, row)
        if fields:
            raise self._error(row, fields, wanted)
        return state

    def _error(self, row: Row, fields: Sequence[str], wanted: int, without: int | None = None) -> ReplayError:
        """Return the error of a state that is not the recorded one: its epoch, what differs, the likely cause and the way out.

        Args:
            row: The row of the state.
            fields: The fields that differ.
            wanted: The position of the state that is computed from it, to which the error names the nearest snapshot.
            without: The position of a snapshot that is not the recorded state, and so is not named.
        """
        return ReplayError(
            f"the state of epoch {row.epoch} is not the recorded one: it differs in {listed(fields)}; "
            f"{self._likely_cause(row.position)}; {self._way_out(wanted, without)}"
        )

    def _likely_cause(self, position: int) -> str:
        changed = self.environment_differences(position)
        if self.reader.is_upcast(self._snapshot_before(position)):
            return "records have another form now than when they were written, so that no state has the recorded digest"
        if changed:
            return f"the environment differs: {'; '.join(changed)}"
        parts = "the trainer's functions, a custom layer or the data" if self.has_steps else "the step"
        return f"the environment is the same, so that {parts} may have changed"

    def _way_out(self, wanted: int, without: int | None) -> str:
        """Return how to continue from a snapshot, without the state that is not the recorded one."""
        row = self.reader.row
        for position in sorted(self.reader.snapshots(), key=lambda position: abs(position - wanted)):
            epoch = row(position).epoch
            is_first = position == 0 or row(position - 1).epoch != epoch  # a run is forked from the first state of an epoch
            if is_first and position != without:
                return f"the nearest snapshot is that of epoch {epoch}, from which run.fork({epoch}, path) starts a new run"
        return "there is no other snapshot"

    def environment_at(self, position: int) -> Environment:
        """Return the environment in which the state at a position was computed, which its row or one before it notes.

        Args:
            position: The index of the state in the stream, from 0.
        """
        first, last, environment = self._noted
        if 0 < position == last + 1 and self.reader.row(position).environment is None:
            self._noted = first, position, environment
        elif not first <= position <= last:
            environment = self.reader.environment_at(position)
            self._noted = position, position, environment
        return environment

    def environment_differences(self, position: int) -> tuple[str, ...]:
        """Return what differs here from the environment of a state, with the state's number of BLAS threads.

        Args:
            position: The index of the state in the stream, from 0.
        """
        current = current_environment(self.reader.manifest.engine, self.threads_at(position))
        return environment_differences(self.environment_at(position), current)

    def threads_at(self, position: int) -> int | None:
        """Return the number of BLAS threads with which a state was computed; None if it is unknown or cannot be set.

        Args:
            position: The index of the state in the stream, from 0.
        """
        return recorded_threads(self.environment_at(position))

    def trainer_at(self, position: int) -> Trainer:
        """Return the trainer of the run, with the number of BLAS threads with which a state was computed.

        Args:
            position: The index of the state in the stream, from 0.
        """
        return self._trainer(self.threads_at(position))

    def _trainer(self, threads: int | None) -> Trainer:
        """Return the trainer of the run, with a number of threads."""
        trainer = self.reader.trainer
        assert trainer is not None
        return trainer if threads is None else evolve(trainer, threads=threads)

    def advance_to(self, position: int) -> Advance:
        """Return the function that computes the state at a position from the one before it, with its number of BLAS threads.

        Args:
            position: The index of the state in the stream, from 0.

        Raises:
            RunError: If the file does not hold the trainer, the step or the data, and it was not supplied.
        """
        threads = self.threads_at(position)
        advance = self._advance.get(threads)
        if advance is None:  # two Python threads may both make it
            self._advance[threads] = advance = self._make_advance(threads)
        return advance

    def _make_advance(self, threads: int | None) -> Advance:
        reader = self.reader
        if self.has_steps:
            trainer = self._trainer(threads)
            with reader.reporting():  # in a damaged file trainer and data may not fit together
                return make_epoch(trainer, reader.train, reader.validation, engine=reader.manifest.engine)
        if reader.supplied.step is None:
            raise RunError(f"{short(str(reader.path))} was recorded from a custom step: use open_run(path, step=...)")
        return partial(with_threads, threads, reader.supplied.step)

    def _fold_with(self, threads: int | None) -> Fold:
        """Return the function of a state and a number of batches that folds the epoch up to that batch."""
        fold = self._fold.get(threads)
        if fold is None:
            fold = make_fold(self._trainer(threads), self.reader.train, engine=self.reader.manifest.engine)
            self._fold[threads] = fold
        return fold

    def stream(self, position: int) -> Iterator[Any]:
        """Return the stream of states that starts with a state of the run, with that state's number of BLAS threads.

        Args:
            position: The index of the state in the stream, from 0.

        Raises:
            ReplayError: If the state that is computed is not the recorded one.
        """
        states = iterate(self.advance_to(position), self.at(position))
        return warn_non_finite(take_until(is_stopped, states)) if self.has_steps else states
