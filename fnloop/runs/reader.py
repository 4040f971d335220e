"""The contents of a run file, checked as they are read: rows, snapshots, trainer, data and environment."""

import math
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

from fnloop.core.checks import Mode
from fnloop.core.digest import digest, hash_of, same_bits
from fnloop.core.errors import RunError
from fnloop.core.fields import children_of
from fnloop.core.formatting import short
from fnloop.core.records import RECORD_TYPES
from fnloop.data.dataset import Dataset
from fnloop.data.preprocessing import Preprocessing
from fnloop.metrics import improves, look_up
from fnloop.runs.connection import reading
from fnloop.runs.earlier_metrics import NO_EARLIER_METRICS, EarlierMetrics
from fnloop.runs.manifest import DataEntry, TrainerEntry, parse_manifest
from fnloop.runs.packing import unpack
from fnloop.runs.rows import (
    FIELD_HASH_DIGITS,
    Row,
    counters,
    metrics_of,
    numbers_from_json,
    numbers_to_json,
    root_hash,
)
from fnloop.runs.store import read_manifest_json, read_rows, read_snapshot, read_snapshots
from fnloop.training.trainer import Trainer

Advance = Callable[[Any], Any]  # from each state of a stream to the next
T = TypeVar("T")


class Supplied(NamedTuple):
    """The arguments of `open_run` for what the file does not hold.

    Attributes:
        trainer: The trainer.
        step: The function from each state of the stream to the next, of a custom step.
        train: The training data.
        validation: The validation data.
    """

    trainer: Trainer | None = None
    step: Advance | None = None
    train: Dataset | None = None
    validation: Dataset | None = None


NOTHING_SUPPLIED = Supplied()


class Reader:
    """A run file, read again at each call, so that a run that is being recorded is seen as it grows.

    Args:
        path: The file.
        supplied: What the file does not hold.
        records: Record classes outside the package that the trainer or the states contain.

    Raises:
        FileNotFoundError: If there is no file at the path.
        RunError: If the file is not a run file, is damaged, or was written by a newer version.
        TypeError: If a supplied trainer, dataset or step is of the wrong type.
        ValueError: If a supplied trainer, dataset or step is not the recorded one.
    """

    def __init__(self, path: Path, supplied: Supplied = NOTHING_SUPPLIED, records: tuple[type, ...] = ()) -> None:
        self.path, self.supplied, self.records = path, supplied, records
        self._kinds = {**RECORD_TYPES, **{kind.__name__: kind for kind in records}}
        with reading(path) as connection:
            texts = read_manifest_json(connection)
            self.manifest = parse_manifest(texts)
            self._rows = read_rows(connection, root_hash(texts))
            if not self._rows:
                raise ValueError("it has no states")
            metrics, monitor = next(filter(None, (row.metrics for row in self._rows)), {}), self.manifest.monitor
            if metrics and monitor and monitor[0] not in metrics:
                raise ValueError(f"it monitors {short(monitor[0])}, which is not among its metrics")
        self._check_supplied("trainer", supplied.trainer, Trainer, self.manifest.trainer)
        self._check_supplied("train", supplied.train, Dataset, self.manifest.train)
        self._check_supplied("validation", supplied.validation, Dataset, self.manifest.validation)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.path, self.supplied, self.records)

    def _check_supplied(self, name: str, value: Any, kind: type, entry: TrainerEntry | DataEntry | None) -> None:
        """Refuse a value that is not the one that the run was recorded with."""
        if value is None:
            return
        if not isinstance(value, kind):
            raise TypeError(f"{name} must be a fl.{kind.__name__}, got {short(value)}")
        if entry is None or digest(value) != entry.digest:
            recorded = "none" if entry is None else entry.digest
            raise ValueError(
                f"{name} must be what the run was recorded with, of digest {recorded}, got one of digest {digest(value)}"
            )

    def rows(self) -> list[Row]:
        """Return all rows that are committed so far.

        Raises:
            RunError: If they cannot be read, or another run has replaced the file since it was opened.
        """
        with reading(self.path) as connection:
            rows = self._rows
            if connection.execute("SELECT chain FROM states WHERE position = 0").fetchall() != [(rows[0].chain,)]:
                raise RunError(f"{short(str(self.path))} is another run than when it was opened: open it again")
            # A new list: other threads may be reading the old one.
            self._rows = rows = rows + read_rows(connection, rows[-1].chain, len(rows))
        return rows

    def row(self, position: int) -> Row:
        """Return the row at a position.

        Args:
            position: The index of the state in the stream, from 0.
        """
        return (self._rows if position < len(self._rows) else self.rows())[position]

    def metric_names(self) -> list[str]:
        """Return the names of all metrics in the rows, in the order in which they first appear."""
        return list(dict.fromkeys(name for row in self.rows() for name in row.metrics))

    def snapshots(self) -> list[int]:
        """Return the positions of the snapshots, ascending."""
        with reading(self.path) as connection:
            return read_snapshots(connection)

    def snapshot(self, position: int) -> Any:
        """Return the state of the snapshot at a position.

        Args:
            position: The index of the state in the stream, from 0.
        """
        with reading(self.path) as connection:
            return read_snapshot(connection, position, self._kinds)

    def position_of(self, epoch: int) -> int:
        """Return the position of the first state with a number of finished epochs.

        Args:
            epoch: The number of finished epochs.

        Raises:
            ValueError: If the run has no such state.
        """
        rows = self.rows()
        likely = max(0, epoch - rows[0].epoch)
        for row in (*rows[likely:], *rows[:likely]):  # states of a custom step may count epochs in any way
            if row.epoch == epoch:
                return row.position
        raise ValueError(f"epoch must be one that the run reached, {rows[0].epoch} to {rows[-1].epoch}, got {epoch}")

    def epoch_of(self, step: int) -> int:
        """Return the number of epochs that were finished after a number of steps.

        Args:
            step: The number of steps since the start of training.

        Raises:
            ValueError: If the run has no state after that many steps.
        """
        rows = self.rows()
        if not rows[0].step <= step <= rows[-1].step:
            raise ValueError(f"step must be one that the run took, {rows[0].step} to {rows[-1].step}, got {step}")
        return max(row.epoch for row in rows if row.step <= step)

    def best_position(self, metric: str, mode: Mode) -> int | None:
        """Return the position of the epoch with the best value of a metric, or None if it is NaN in every epoch.

        Args:
            metric: A metric of the run.
            mode: `"min"` or `"max"`.
        """
        position, best = None, math.nan
        for row in self.rows():
            metrics = row.metrics
            if metrics:
                value = look_up(metrics, metric)
                if value == value if position is None else improves(value, best, mode):
                    position, best = row.position, value
        return position

    def differing(self, state: Any, row: Row) -> tuple[str, ...]:
        """Return the names of the fields in which a state differs from its row.

        Args:
            state: The state.
            row: The row of the state at the same position.
        """
        if digest(state) != row.digest:
            hashes = {name: hash_of(part).hex()[:FIELD_HASH_DIGITS] for name, part in children_of(state) or ()}
            names = {**row.fields, **hashes}
            return tuple(name for name in names if hashes.get(name) != row.fields.get(name)) or ("its kind",)
        epoch, step, stopped = counters(state, row.position)
        # NaN loses its sign when it is written, so the metrics are compared as they are read back.
        metrics = numbers_from_json(numbers_to_json(metrics_of(state))) if row.metrics else row.metrics
        columns = {"epoch": epoch, "step": step, "stopped": stopped, "metrics": metrics}
        return tuple(name for name, value in columns.items() if not same_bits(value, getattr(row, name)))

    def _unpack(self, name: str, kind: type[T], packed: str, recorded_digest: str | None = None) -> T:
        """Unpack an entry of the manifest.

        Raises:
            RunError: If it is damaged, or does not match its digest.
        """
        with reading(self.path) as connection:
            value = unpack(connection, packed, self._kinds)
            if not isinstance(value, kind) or recorded_digest not in (None, digest(value)):
                raise ValueError(f"{short(name)} does not match its digest")
            return value

    @cached_property
    def trainer(self) -> Trainer | None:
        """The trainer, or None if the run was recorded from a custom step.

        Raises:
            RunError: If the trainer contains functions or unknown records, and was not supplied.
        """
        entry = self.manifest.trainer
        if self.supplied.trainer is not None or entry is None:
            return self.supplied.trainer
        if entry.packed is None:
            raise RunError(
                f"the trainer of {short(str(self.path))} holds functions or other values that a file cannot hold; "
                f"use open_run(path, trainer=...); it was {entry.repr[:200]}"
            )
        return self._unpack("trainer", Trainer, entry.packed, entry.digest)

    @cached_property
    def train(self) -> Dataset:
        """The training data.

        Raises:
            RunError: If the file does not hold it, and it was not supplied.
        """
        data = self.data("train")
        if data is None:
            raise RunError(f"{short(str(self.path))} was recorded without training data")
        return data

    @cached_property
    def validation(self) -> Dataset | None:
        """The validation data, or None if there was none.

        Raises:
            RunError: If the file does not hold it, and it was not supplied.
        """
        return self.data("validation")

    def data(self, name: Literal["train", "validation"]) -> Dataset | None:
        """Return the training or validation data, or None if there was none.

        Args:
            name: `"train"` or `"validation"`.

        Raises:
            RunError: If the file does not hold it, and it was not supplied.
        """
        entry, supplied = {
            "train": (self.manifest.train, self.supplied.train),
            "validation": (self.manifest.validation, self.supplied.validation),
        }[name]
        if entry is None or supplied is not None:
            return supplied
        if entry.packed is None:
            raise RunError(f"{short(str(self.path))} has only the digest of {name}: use open_run(path, {name}=...)")
        return self._unpack(name, Dataset, entry.packed, entry.digest)

    @cached_property
    def preprocessing(self) -> Preprocessing | None:
        """The preprocessing of the data, if it was recorded."""
        packed = self.manifest.preprocessing
        return None if packed is None else self._unpack("preprocessing", Preprocessing, packed)

    @cached_property
    def earlier_metrics(self) -> EarlierMetrics:
        """The metrics of the epochs before a fork, none for another run."""
        packed = self.manifest.earlier_metrics
        return NO_EARLIER_METRICS if packed is None else self._unpack("earlier_metrics", EarlierMetrics, packed)

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment in which the run was recorded, as far as the bits depend on it."""
        return self.manifest.environment
