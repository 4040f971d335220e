"""A run read from its file: any state that it went through, to the bit, and what can be asked of all of them."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fnloop.core.checks import Mode, integer
from fnloop.core.display import html_table, one_line
from fnloop.core.errors import NoBestError, RunError
from fnloop.core.fields import is_record
from fnloop.core.formatting import listed, short
from fnloop.data.dataset import Dataset
from fnloop.data.preprocessing import Preprocessing
from fnloop.metrics import check_mode, known_mode
from fnloop.runs.bisect import bisect
from fnloop.runs.codec import check_records
from fnloop.runs.diff import Diff, diff
from fnloop.runs.files import check_file_path
from fnloop.runs.fork import fork
from fnloop.runs.predicate import of_run
from fnloop.runs.prune import prune
from fnloop.runs.reader import Advance, Reader
from fnloop.runs.replay import Replay
from fnloop.runs.resume import resume
from fnloop.runs.rows import Row
from fnloop.runs.verify import Verification, probe, verify
from fnloop.streams.history import append_metrics
from fnloop.training.trainer import Trainer

Place = int | tuple[int, int]


def open_run(
    path: str | os.PathLike[str],
    *,
    trainer: Trainer | None = None,
    step: Advance | None = None,
    train: Dataset | None = None,
    validation: Dataset | None = None,
    records: Iterable[type] = (),
) -> "Run":
    """Open a run file, also while it is being written. All but the path is for what the file does not hold itself.

    Args:
        trainer: where the one of the run holds functions, which no file does.
        step: for a run of a step of your own: the function from each state of its stream to the next.
        train, validation: where the data is beyond 64 MiB; it is checked against its digest.
        records: record classes of your own that trainer or states are made of.
    Raises: FileNotFoundError: if there is no such file; RunError: if it is no run, is damaged or of a newer version;
        ValueError: if what is handed is not what the run was recorded with.
    See Also: record
    """
    check_file_path(path)
    if step is not None and not callable(step):
        raise TypeError(f"step must be a function of a state, got {short(step)}")
    handed = {"trainer": trainer, "step": step, "train": train, "validation": validation}
    return Run(Replay(Reader(Path(path), handed, check_records(records))))


class Run:
    """A recorded run; `open_run` makes one.

    Each question is answered from what the file holds by then. A state is had from the nearest one that is written whole, by
    the fold; on its way every epoch's digest is checked, and what is handed out is never another state than the run's own.
    """

    def __init__(self, replay: Replay) -> None:
        self._replay, self._reader = replay, replay.reader

    def __repr__(self) -> str:
        shown = {"path", "epochs", "loss", "val_loss", "stop_reason"}
        return one_line("Run", {name: fact for name, fact in self._facts().items() if name in shown})

    def _repr_html_(self) -> str:
        return html_table("Run", self._facts())

    def _facts(self) -> dict[str, str]:
        path = {"path": repr(str(self._reader.path))}
        try:
            rows = self._reader.rows()
        except (OSError, RunError):  # the file is gone, or another one
            return {**path, "epochs": "unknown, it cannot be read"}
        metrics = next((row.metrics for row in reversed(rows) if row.metrics), {})
        stopped = {} if rows[-1].stopped is None else {"stop_reason": repr(rows[-1].stopped)}
        return {
            **path,
            "epochs": f"{rows[0].epoch} to {rows[-1].epoch}",
            **{name: f"{value:.4g}" for name, value in metrics.items()},
            **stopped,
        }

    # What the file says.

    @property
    def path(self) -> Path:
        """The file."""
        return self._reader.path

    @property
    def trainer(self) -> Trainer | None:
        """The trainer, or None where a step of one's own made the run.

        Raises: RunError: if it holds functions, or records that are not known, and was not handed to `open_run`.
        """
        return self._reader.trainer

    @property
    def train(self) -> Dataset:
        """The training data.

        Raises: RunError: if the file does not hold it, and it was not handed to `open_run`.
        """
        return self._reader.train

    @property
    def validation(self) -> Dataset | None:
        """The validation data, or None if there was none."""
        return self._reader.validation

    @property
    def preprocessing(self) -> Preprocessing | None:
        """How the data was made from a table, if that was recorded."""
        return self._reader.preprocessing

    @property
    def engine(self) -> str:
        """The engine of the run."""
        return self._reader.manifest.engine

    @property
    def monitor(self) -> tuple[str, Mode] | None:
        """The metric that the best state is kept by, and its mode; None where a step of one's own made the run."""
        return self._reader.manifest.monitor

    @property
    def environment(self) -> Mapping[str, str]:
        """What the bits depended on where the run was recorded."""
        return self._reader.environment

    @property
    def parent(self) -> Mapping[str, Any] | None:
        """Of a fork: the path of the run that it comes from, the epoch and digest of the state, the changes; else None."""
        parent = self._reader.manifest.parent
        return None if parent is None else parent._asdict()

    @property
    def rows(self) -> Sequence[Row]:
        """What is known of each state without computing it: its epoch, step, seconds, stop reason, metrics and digest."""
        return tuple(self._reader.rows())

    @property
    def history(self) -> dict[str, list[float]]:
        """Every metric, and the seconds: name to values, one an epoch."""
        history: dict[str, list[float]] = {}
        for metrics, seconds in ((row.metrics, row.seconds) for row in self._reader.rows()):
            if metrics:
                append_metrics(history, {**metrics, "seconds": seconds})
        return history

    @property
    def stop_reason(self) -> str | None:
        """Why the run stopped, or None if it can go on."""
        return self._reader.rows()[-1].stopped

    @property
    def snapshots(self) -> list[int]:
        """The epochs whose states are written whole."""
        there, rows = self._reader.snapshots(), self._reader.rows()
        return [rows[position].epoch for position in there if position < len(rows)]

    # Any state.

    @property
    def last(self) -> Any:
        """The last state."""
        return self._replay.at(len(self._reader.rows()) - 1)

    def best(self, metric: str | None = None, *, mode: Mode | None = None) -> Any:
        """The state with the best value of a metric, the earliest of equals; NaN is never best.

        Args:
            metric: by default the one that was monitored.
            mode: `"min"` or `"max"`; by default the smallest for a loss, the largest otherwise.
        Raises: NoBestError: if no state can be called best; ValueError: if the run has not the metric.
        """
        if not isinstance(metric, str | None):
            raise TypeError(f"metric must be a metric's name, got {short(metric)}")
        monitored = self._reader.manifest.monitor
        if metric is None and monitored is None:
            raise ValueError(f"metric must be one of the run's, got None; there are {listed(self._metrics)}")
        if metric is not None and metric not in self._metrics:
            raise ValueError(f"metric must be one of the run's, {listed(self._metrics)}, got {short(metric)}")
        name, own = monitored if monitored and metric in (None, monitored[0]) else (str(metric), None)
        position = self._reader.best_position(name, check_mode(mode or own or self._mode(name), name))
        if position is None:
            raise NoBestError(f"no epoch is best by {short(name)}: none has a value but NaN")
        return self._replay.at(position)

    def _mode(self, name: str) -> Mode | None:
        """The mode of a metric; the trainer is asked only where the name alone does not say it."""
        return known_mode(name) or (None if self.trainer is None else self.trainer.known_mode(name))

    def state(self, epoch: int | None = None, step: int | None = None) -> Any:
        """The state of the run with that many epochs finished, and, if a step is given, with that many batches folded in all.

        Args:
            epoch: `state.epoch`, 0 for the initial one; by default the one that the step lies in.
            step: `state.step`, from the epoch's first to its last; by default the state that the epoch ended with.
        Raises: ValueError: if the run never was there; ReplayError: if what is computed is not what was recorded.
        """
        if epoch is None:
            epoch = self._reader.epoch_of(integer(0)("step", step))
        position = self._reader.position_of(integer(0)("epoch", epoch))
        if step is None:
            return self._replay.at(position)
        rows = self._reader.rows()
        batches = integer(0)("step", step) - rows[position].step
        if batches == 0:
            return self._replay.at(position)
        if position + 1 < len(rows) and (epoch, step) == (rows[position + 1].epoch, rows[position + 1].step):
            return self._replay.at(position + 1)  # the run stopped there
        last = rows[position + 1].step if position + 1 < len(rows) else rows[position].step
        if not 0 <= batches <= last - rows[position].step:
            raise ValueError(
                f"step must be one that the run took behind epoch {epoch}, {rows[position].step} to {last}, got {step}"
            )
        return self._replay.within(position, batches)

    # What is asked of the whole run.

    def diff(self, a: Place | Any, b: Place | Any) -> Diff:
        """Two states of the run side by side, field by field and layer by layer: the same bits, or how far apart.

        Args:
            a, b: an epoch, an epoch and a step, or a state of this or another run.
        """
        return diff(self._state_of("a", a), self._state_of("b", b))

    def _state_of(self, name: str, place: Any) -> Any:
        if isinstance(place, tuple) and len(place) == 2:
            return self.state(*place)
        if isinstance(place, int | np.integer):
            return self.state(place)  # type: ignore[arg-type]
        if not is_record(place) and self._reader.manifest.trainer:
            raise TypeError(f"{name} must be an epoch, an epoch and a step, or a state, got {short(place)}")
        return place

    def bisect(self, predicate: Callable[[Any], Any] | str) -> Any:
        """The state at the first step for which a predicate holds, if it holds from some step on.

        Of n steps it is asked at most ⌈log2 n⌉ + 2 times: of the first and the last state, and then by halving. The last step
        of an epoch is asked as the state behind the epoch's end.

        Args:
            predicate: a function of a state, or an expression such as `"val_loss > 0.3"`, whose metrics are those of the last
                epoch that was finished.
        Raises: ValueError: if it holds for the first state already, or does not hold for the last.
        """
        asked = self.predicate(predicate) if isinstance(predicate, str) else predicate
        if not callable(asked):
            raise TypeError(f"predicate must be a function of a state or an expression, got {short(predicate)}")
        return bisect(self._replay, asked)

    def predicate(self, text: str) -> Callable[[Any], bool]:
        """The predicate of a state that an expression over this run's metrics says.

        Within an epoch, where a state has no metrics, they are those of the last finished epoch.
        """
        return of_run(text, self._reader, self._metrics)

    @property
    def _metrics(self) -> list[str]:
        return list(dict.fromkeys(name for row in self._reader.rows() for name in row.metrics))

    def verify(self, map: Callable[..., Iterable[Any]] = map) -> Verification:
        """Run every segment between two whole states again, and compare each epoch's digest.

        BLAS threads are set as they were; what else of the environment differs is said.

        Args:
            map: that of any executor, to run segments in parallel.
        """
        return verify(self._replay, map)

    def probe(
        self,
        function: Callable[[Any], Any],
        epochs: Iterable[int] | None = None,
        map: Callable[..., Iterable[Any]] = map,
    ) -> list[Any]:
        """What a function gives for each state: a metric that nobody logged, had in hindsight.

        Args:
            epochs: those to ask, in this order; by default all that the run has, from the first state on.
            map: that of any executor, to run segments in parallel; the results are the same. The function must then be one
                that can be sent to another process.
        """
        if not callable(function):
            raise TypeError(f"function must take a state, got {short(function)}")
        if not isinstance(epochs, Iterable | None):
            raise TypeError(f"epochs must be a sequence of epochs or None, got {short(epochs)}")
        reader, asked = self._reader, [integer(0)("epochs", epoch) for epoch in epochs or ()]
        positions = [row.position for row in reader.rows()] if epochs is None else [*map(reader.position_of, asked)]
        return probe(self._replay, function, positions, map)

    # What goes on from it.

    def resume(self, epochs: int = 100, *, progress: bool = True, snapshot_every: int | None = None) -> "Run":
        """Go on until so many epochs are finished in all, as if never interrupted; a stopped run stays as it is.

        Args:
            epochs: in all, at least 1.
            progress: whether to show it.
            snapshot_every: as in `record`.
        Raises: RunError: if another writes to the file, or it cannot be written; ReplayError: if the environment is not that
            of the run, so that what follows might not be what would have followed.
        """
        resume(self._replay, integer(1)("epochs", epochs), progress, snapshot_every)
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
        """A new run, in a file of its own, that begins with a state of this one and may go on by another trainer.

        Without changes it equals this run for ever; `fork(...).resume(epochs=...)` trains it. A new scheduler or early
        stopping stands where it would stand had it been there from the start. An optimizer whose parts with slots are the
        same keeps them, another begins anew.

        Args:
            epoch: of the state.
            path: of a file that is not there yet.
            train, validation: other data.
            changes: fields of the trainer, such as `scheduler=...`.
        Raises: ValueError, TypeError: for a change that is not allowed, or that the state does not fit.
        """
        handed = fork(self._replay, integer(0)("epoch", epoch), path, train, validation, changes)
        return Run(Replay(Reader(Path(path), handed, self._reader.records)))

    def prune(self, keep: int) -> int:
        """Keep that many of the states that are written whole, spread over the run; each state can still be had.

        The first, the last and the best by each metric are always kept, so they may be more.

        Args:
            keep: at least 1.
        Returns: how many were taken away.
        """
        return prune(self._reader, integer(1)("keep", keep))
