"""The contents of a run file, checked as they are read: rows, snapshots, trainer, data and environment."""

import json
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

from fnloop.core.decoding import NotData, aliases_of, has_older_forms, record_classes
from fnloop.core.digest import same_bits
from fnloop.core.encoding import Encoder, sha256_of
from fnloop.core.errors import RunError
from fnloop.core.formatting import short
from fnloop.data.dataset import Dataset
from fnloop.data.preprocessing import Preprocessing
from fnloop.runs.blocks import BLOCK_ROWS, BlockHasher
from fnloop.runs.connection import reading, reporting_damage
from fnloop.runs.differences import check_recorded
from fnloop.runs.earlier_metrics import NO_EARLIER_METRICS, EarlierMetrics
from fnloop.runs.environment import parse_environment
from fnloop.runs.manifest import DataEntry, TrainerEntry, parse_manifest
from fnloop.runs.packing import check_data, unpack
from fnloop.runs.recorded_rows import Rows, check_root, reading_run
from fnloop.runs.rows import Row, differing_fields, make_row, root_hash
from fnloop.runs.store import read_blocks, read_head, read_manifest, read_rows, read_snapshot, read_snapshots
from fnloop.training.state import TrainState
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
        with reading(path) as connection:
            texts = read_manifest(connection)
            self.manifest = parse_manifest(texts)
            self._root = root_hash(texts)
            self._rows = Rows(path, self._root, read_blocks(connection, self._root))
            first = read_rows(connection, self._rows.blocks[:1])
        self.reporting = partial(reporting_damage, path, self.manifest.version)
        metrics, monitor = next((row.metrics for row in first if row.metrics), {}), self.manifest.monitor
        if metrics and monitor and monitor[0] not in metrics:
            with self.reporting():
                raise ValueError(f"it monitors {short(monitor[0])}, which is not among its metrics")
        self._check_supplied("trainer", supplied.trainer, Trainer, self.manifest.trainer)
        self._check_supplied("train", supplied.train, Dataset, self.manifest.train)
        self._check_supplied("validation", supplied.validation, Dataset, self.manifest.validation)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.path, self.supplied, self.records)

    @cached_property
    def aliases(self) -> dict[type, str]:
        """Ids of custom classes in the file, of those that have another id now: a script is `__main__` when it runs."""
        texts = [entry.text for entry in (self.manifest.trainer, self.manifest.train) if entry is not None]
        return {cls: name for text in texts for cls, name in aliases_of(json.loads(text), self._custom_classes).items()}

    @property
    def _custom_classes(self) -> set[type]:
        return {*self.records, *record_classes(self.supplied.trainer)}

    def encoder(self) -> Encoder:
        """Return an encoder that gives values the texts that they have in the file."""
        return Encoder(self.aliases)

    def _check_supplied(self, name: str, value: Any, kind: type, entry: TrainerEntry | DataEntry | None) -> None:
        """Refuse a value that is not the one that the run was recorded with."""
        if value is None:
            return
        if not isinstance(value, kind):
            raise TypeError(f"{name} must be a fl.{kind.__name__}, got {short(value)}")
        recorded = None if entry is None else entry.text
        check_recorded(name, self.encoder().text(value), recorded, lambda: self.environment.get("Python", ""))

    def rows(self) -> Rows:
        """Return all rows that are committed so far.

        Raises:
            RunError: If they cannot be read, or another run has replaced the file since it was opened.
        """
        earlier = self._rows  # before the transaction starts: another thread may read rows that were committed since then
        with reading(self.path) as connection:
            check_root(connection, self.path, self._root)
            complete = earlier.blocks[:-1]  # the last one is read again: it may have more rows, and is never missing
            previous = complete[-1].chain if complete else self._root
            blocks = [*complete, *read_blocks(connection, previous, len(complete))]
        # A new sequence: other threads may be reading the old one.
        self._rows = rows = Rows(self.path, self._root, blocks, earlier)
        return rows

    def row(self, position: int) -> Row:
        """Return the row at a position.

        Args:
            position: The index of the state in the stream, from 0.
        """
        return (self._rows if position < len(self._rows) else self.rows())[position]

    def hasher(self) -> BlockHasher:
        """Return the hasher for rows that are appended."""
        rows = self.rows()
        last = rows.blocks[-1]
        if last.rows == BLOCK_ROWS:
            return BlockHasher(last.chain, last.number + 1)
        previous = rows.blocks[-2].chain if last.number else self._root
        return BlockHasher(previous, last.number, rows[last.first :])

    def environment_at(self, position: int) -> Mapping[str, str]:
        """Return the environment in which the state at a position was recorded, as far as the bits depend on it.

        Args:
            position: The index of the state in the stream, from 0.
        """
        query = "SELECT max(position) FROM states WHERE position <= ? AND environment IS NOT NULL"
        with reading(self.path) as connection:
            (noted,) = connection.execute(query, [position]).fetchone()
        with self.reporting():
            return parse_environment(self.row(noted).environment)

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment in which the run was started."""
        return self.environment_at(0)

    @property
    def ended(self) -> str | None:
        """When the recording ended, in ISO format; None while it is recorded, or if it was killed."""
        with reading(self.path) as connection:
            return read_head(connection).ended

    def metric_names(self) -> list[str]:
        """Return the names of all metrics in the rows, in the order in which they first appear.

        The epochs of a trainer all have the same.
        """
        rows: Iterable[Row] = self.rows()
        if self.manifest.trainer is not None:
            rows = islice((row for row in rows if row.metrics), 1)
        return list(dict.fromkeys(name for row in rows for name in row.metrics))

    def snapshots(self) -> list[int]:
        """Return the positions of the snapshots, ascending."""
        with reading(self.path) as connection:
            return read_snapshots(connection)

    def snapshot(self, position: int) -> Any:
        """Return the state of the snapshot at a position.

        Args:
            position: The index of the state in the stream, from 0.
        """
        row, trainer = self.row(position), self.trainer if self.manifest.trainer else None
        references = {} if trainer is None else {sha256_of(self.encoder().text(trainer.model)): trainer.model}
        with reading_run(self.path, self._root) as connection:
            text = read_snapshot(connection, row)
            with self.reporting():
                check_data(text)
                state = unpack(connection, text, self.records, references)
                if trainer is not None and isinstance(state, TrainState) and not same_bits(state.params.model, trainer.model):
                    raise ValueError("a snapshot is of another model than the trainer's")
                return state

    def is_upcast(self, position: int) -> bool:
        """Return whether the snapshot at a position has records of older forms, which have other texts now.

        Args:
            position: The index of the state in the stream, from 0.
        """
        row, trainer = self.row(position), self.manifest.trainer
        with reading_run(self.path, self._root) as connection:
            trees = [json.loads(read_snapshot(connection, row))]
        if trainer is not None:
            trees.append(json.loads(trainer.text).get("model"))  # which the snapshot names by its hash
        return has_older_forms(trees, self._custom_classes)

    def differing(self, state: Any, row: Row) -> tuple[str, ...]:
        """Return the names of the fields in which a state differs from its row.

        Args:
            state: The state.
            row: The row of the state at the same position.
        """
        found, _ = make_row(row.position, state, row.seconds, row.epoch - 1, self.encoder(), row.environment)
        if found.digest != row.digest:
            return differing_fields(self.encoder().split(state)[1], row.fields) or ("its kind",)
        expected = found if row.metrics else found._replace(metrics={})
        pairs = zip(Row._fields, expected.columns(), row.columns(), strict=True)
        return tuple(name for name, value, recorded in pairs if value != recorded)

    def _unpack(self, name: str, kind: type[T], text: str) -> T:
        """Unpack an entry of the manifest.

        Raises:
            RunError: If it is damaged.
        """
        with reading(self.path) as connection, self.reporting():
            value = unpack(connection, text, self.records)
            if not isinstance(value, kind):
                raise ValueError(f"{short(name)} is of another type")
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
        try:
            return self._unpack("trainer", Trainer, entry.text)
        except NotData:
            raise RunError(
                f"the trainer of {short(str(self.path))} holds functions, which a file cannot hold; "
                f"use open_run(path, trainer=...); it was {entry.repr[:200]}"
            ) from None

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
        if not entry.is_stored:
            raise RunError(f"{short(str(self.path))} has only the digest of {name}: use open_run(path, {name}=...)")
        return self._unpack(name, Dataset, entry.text)

    @cached_property
    def preprocessing(self) -> Preprocessing | None:
        """The preprocessing of the data, if it was recorded."""
        text = self.manifest.preprocessing
        return None if text is None else self._unpack("preprocessing", Preprocessing, text)

    @cached_property
    def earlier_metrics(self) -> EarlierMetrics:
        """The metrics of the epochs before a fork, none for another run."""
        text = self.manifest.earlier_metrics
        return NO_EARLIER_METRICS if text is None else self._unpack("earlier_metrics", EarlierMetrics, text)
