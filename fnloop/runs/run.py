"""A recorded run: `open_run` opens its file, and `Run` recovers, searches, verifies and continues it."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from fnloop.core.checks import Mode, integer
from fnloop.core.decoding import check_records
from fnloop.core.formatting import short
from fnloop.data.dataset import Dataset
from fnloop.runs.bisect import bisect
from fnloop.runs.contents import RunContents
from fnloop.runs.copy import copy_run
from fnloop.runs.diff import Diff, diff
from fnloop.runs.files import check_file_path
from fnloop.runs.fork import fork
from fnloop.runs.lookup import as_state, best_state, state_at
from fnloop.runs.parallel import Map
from fnloop.runs.predicate import predicate_of_run
from fnloop.runs.probe import Result, probe
from fnloop.runs.prune import prune
from fnloop.runs.reader import Advance, Reader, Supplied
from fnloop.runs.replay import Replay
from fnloop.runs.resume import resume
from fnloop.runs.start import MAX_SNAPSHOT_BYTES
from fnloop.runs.verify import Verification, verify
from fnloop.training.trainer import Trainer


def open_run(
    path: str | os.PathLike[str],
    *,
    trainer: Trainer | None = None,
    step: Advance | None = None,
    train: Dataset | None = None,
    validation: Dataset | None = None,
    records: Iterable[type] = (),
) -> "Run":
    """Open a run file, which may still be recorded to. The other arguments are for what the file does not hold.

    Args:
        path: The run file.
        trainer: The trainer, if it contains functions, which a file cannot hold.
        step: The function from each state to the next, for a run that was recorded from a custom step.
        train: The training data, if the file has only its digest, as for data above 64 MiB in all. It is checked against that.
        validation: The validation data, if the file has only its digest.
        records: Record classes outside fnloop that the trainer or the states contain.

    Raises:
        FileNotFoundError: If there is no file at the path.
        RunError: If the file is not a run file, is damaged, or was written by a newer version.
        TypeError: If an argument is of the wrong type.
        ValueError: If the trainer or the data is not the recorded one.

    Examples:
        >>> fl.open_run("lab.run").state(3).epoch
        3

    See Also:
        record
    """
    check_file_path(path)
    if step is not None and not callable(step):
        raise TypeError(f"step must be a function of a state, got {short(step)}")
    return _open(Path(path), Supplied(trainer, step, train, validation), check_records(records))


def _open(path: Path, supplied: Supplied, records: tuple[type, ...]) -> "Run":
    return Run(Replay(Reader(path, supplied, records)))


class Run(RunContents):
    """A recorded run; `open_run` returns one.

    Every call reads the file again, so a run that is being recorded is seen as it grows. A state is computed from the nearest
    snapshot before it; the digest of each epoch on the way is checked, so a state that is returned has the recorded bits.

    Args:
        replay: The states of the run.

    Examples:
        >>> run = fl.open_run("lab.run")
        >>> fl.same_bits(run.state(epoch=5), run.state(step=100))
        True
        >>> sorted(run.history)
        ['accuracy', 'loss', 'lr', 'seconds', 'val_accuracy', 'val_loss']
    """

    def __init__(self, replay: Replay) -> None:
        super().__init__(replay.reader)
        self._replay = replay

    @property
    def last(self) -> Any:
        """The last state."""
        return self._replay.at(len(self._reader.rows()) - 1)

    def best(self, metric: str | None = None, *, mode: Mode | None = None) -> Any:
        """Return the state with the best value of a metric, the earliest of equal ones, as `fnloop.best` selects it.

        A state whose value is NaN, or whose parameters are not finite, is never the best.

        Args:
            metric: A metric of the run. Default: the monitored one.
            mode: `"min"` or `"max"`. Default: the mode of the metric.

        Raises:
            NoBestError: If no epoch qualifies, or the run has no finished epoch.
            ValueError: If the run does not have the metric.

        Examples:
            >>> run.best("val_loss").metrics["val_loss"] == min(run.history["val_loss"])
            True
        """
        return best_state(self._replay, metric, mode)

    def state(self, epoch: int | None = None, step: int | None = None) -> Any:
        """Return the state after a number of epochs or steps.

        A run whose first step of an epoch was not finite stopped at the epoch and step of the state before, which is returned;
        the stopped state is `last`.

        Args:
            epoch: The number of finished epochs, 0 for the initial state. Default: the epoch in which the step is.
            step: The total number of steps. Default: that of the end of the epoch.

        Raises:
            ValueError: If the run has no such state.
            ReplayError: If the state that is computed is not the recorded one.

        Examples:
            >>> run.state(5).step, run.state(step=110).epoch, run.state(5, 110).progress.batches
            (100, 5, 10)
        """
        return state_at(self._replay, epoch, step)

    def diff(self, a: int | tuple[int, int] | Any, b: int | tuple[int, int] | Any) -> Diff:
        """Compare two states field by field and layer by layer; `str()` of the result is a table of the differences.

        Args:
            a: An epoch, an (epoch, step), or a state of this or another run.
            b: The other state.

        Raises:
            ValueError: If the run has no such state.

        Examples:
            >>> print(run.diff(3, (2, 60)).same)
            False
        """
        return diff(as_state(self._replay, "a", a), as_state(self._replay, "b", b))

    def bisect(self, predicate: Callable[[Any], object] | str) -> Any:
        """Return the state at the first step for which a predicate holds, found by binary search.

        The predicate is evaluated for the first and the last state, and then at most ⌈log2 n⌉ times for n steps. At the last
        step of an epoch it gets the state after the epoch.

        Args:
            predicate: A function of a state, or an expression such as `"val_loss > 0.3"` over the metrics of the last
                finished epoch, `epoch`, `step` and `lr`. It should hold from some step on.

        Raises:
            ValueError: If the predicate holds for the first state, or does not hold for the last.

        Examples:
            >>> run.bisect("epoch >= 3").step
            60
        """
        function = self.predicate(predicate) if isinstance(predicate, str) else predicate
        if not callable(function):
            raise TypeError(f"predicate must be a function of a state or an expression, got {short(predicate)}")
        return bisect(self._replay, function)

    def predicate(self, text: str) -> Callable[[Any], bool]:
        """Return the predicate of a state for an expression, as `bisect` uses it.

        Args:
            text: Comparisons of metrics, `epoch`, `step` and `lr` with numbers, joined by `and`, `or` and `not`.

        Raises:
            ValueError: If the text is not such an expression, or names a metric that the run does not have.

        Examples:
            >>> run.predicate("val_loss < 0.5 and epoch > 2")(run.last)
            True
        """
        return predicate_of_run(text, self._reader)

    def verify(self, map: Map = map) -> Verification:
        """Compute the whole run again, with the recorded number of BLAS threads, and compare every state with its record.

        Args:
            map: An executor, a pool, a `joblib.Parallel`, or a client of Dask, to compute segments in parallel.
                Default: Python's own.

        Raises:
            RunError: If the file does not hold the trainer or the data, and `open_run` was not given them.

        Examples:
            >>> print(run.verify())
            verified, 11 of 11
        """
        return verify(self._replay, map)

    def probe(self, function: Callable[[Any], Result], epochs: Iterable[int] | None = None, map: Map = map) -> list[Result]:
        """Return the value of a function for each state: a metric that was not logged.

        Args:
            function: A function of a state; for processes it can be pickled.
            epochs: The epochs, in the order of the results. Default: all, from the first state on.
            map: An executor, a pool, a `joblib.Parallel`, or a client of Dask, to compute segments in parallel.
                Default: Python's own. The results are the same.

        Raises:
            ValueError: If the run does not have one of the epochs.

        Examples:
            >>> run.probe(lambda state: state.step, epochs=[2, 0])
            [40, 0]
        """
        return probe(self._replay, function, epochs, map)

    def resume(
        self,
        epochs: int = 100,
        *,
        progress: bool = True,
        snapshot_every: int | None = None,
        max_bytes: int | None = MAX_SNAPSHOT_BYTES,
    ) -> "Run":
        """Continue the run in its file, as if it had never been interrupted, and return it; a stopped run is unchanged.

        Before it appends a state, it computes a recorded epoch again and compares: equal bits show that it
        continues as it would have where it was recorded, whatever the versions are.

        Args:
            epochs: Total number of epochs, at least 1.
            progress: Whether to show progress.
            snapshot_every: Epochs between two snapshots. Default: as in `record`.
            max_bytes: The size of all snapshots, in bytes, above which the oldest are thinned; None for no limit.

        Raises:
            RunError: If another process is recording to the file, or it cannot be written.
            ReplayError: If the epoch does not have the recorded bits. The message says how it differs, and names the nearest
                snapshot, from which the run can be forked.

        Examples:
            >>> run.resume(epochs=12, progress=False).last.epoch
            12
        """
        resume(self._replay, integer(1)("epochs", epochs), progress, snapshot_every, max_bytes)
        return self

    def fork(
        self,
        epoch: int,
        path: str | os.PathLike[str],
        *,
        train: Dataset | None = None,
        validation: Dataset | None = None,
        **changes: Any,
    ) -> "Run":
        """Start a new run from a state of this one, with changes to the trainer or the data; `resume` trains it.

        Without changes its states are those of this run. A new schedule or early stopping is in the state that it would be in
        if it had been used from the start. A new optimizer keeps the slots if it has the same parts with slots; otherwise they
        are reset. A metric that was chosen as the `monitor` of this run is kept if the new run has it.

        Args:
            epoch: The epoch of the state.
            path: The new run file.
            train: New training data. Default: that of the run.
            validation: New validation data. Default: that of the run.
            **changes: Fields of the trainer, such as `scheduler=...`.

        Returns:
            The new run, which has one state.

        Raises:
            RunError: If there is a file at the path.
            TypeError: If a change is not a field of the trainer, or of the wrong type.
            ValueError: If a change is invalid, or does not fit the state.

        Examples:
            >>> run.fork(5, "small.run", batch_size=8).resume(epochs=7, progress=False).rows[-1].epoch
            7
        """
        supplied = fork(self._replay, integer(0)("epoch", epoch), path, train, validation, changes)
        return _open(Path(path), supplied, self._reader.records)

    def copy_to(self, path: str | os.PathLike[str]) -> "Run":
        """Copy the run to a new file, also while it is recorded, and return the copy.

        The copy is one whole file, with all that was committed until now. A run that is being recorded, or that was killed or
        read at its end, has its last epochs in a second file, `-wal`: copying only the first one would lose them.

        Args:
            path: The new run file.

        Raises:
            RunError: If there is a file at the path, or it cannot be written.
            OSError: If the file cannot be created.

        Examples:
            >>> run.copy_to("copy.run").verify().ok
            True
        """
        return _open(copy_run(self.path, path), self._reader.supplied, self._reader.records)

    def prune(self, keep: int) -> int:
        """Remove snapshots from the file, and return how many; every state can still be recovered.

        Args:
            keep: The number of snapshots to keep, spread over the run, at least 1. The first, the last, and the best by each
                metric are kept in any case, so that there may be more.

        Raises:
            RunError: If another process is recording to the file, or it cannot be written.

        Examples:
            >>> _ = run.prune(keep=1)
            >>> fl.open_run("lab.run").verify().ok
            True
        """
        return prune(self._reader, integer(1)("keep", keep))
