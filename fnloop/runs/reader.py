"""What a run file says, checked as it is read: rows, trainer, data and environment."""

import math
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

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
from fnloop.runs.manifest import parse_manifest
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

Advance = Callable[[Any], Any]
T = TypeVar("T")


class Reader:
    """A run file, read as often as it is asked, and what was handed beside it: `trainer`, `step`, `train`, `validation`."""

    def __init__(self, path: Path, handed: Mapping[str, Any], records: tuple[type, ...]) -> None:
        self.path, self.handed, self.records = path, handed, records
        self._kinds = {**RECORD_TYPES, **{kind.__name__: kind for kind in records}}
        with reading(path) as connection:
            texts = read_manifest_json(connection)
            self.manifest = parse_manifest(texts)
            self._known = read_rows(connection, root_hash(texts))
            if not self._known:
                raise ValueError("it has no states")
            metrics = next(filter(None, (row.metrics for row in self._known)), {})
            monitor = self.manifest.monitor
            if metrics and monitor and monitor[0] not in metrics:
                raise ValueError(f"it monitors {short(monitor[0])}, which is not among its metrics")
        self._check_handed()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.path, self.handed, self.records)

    def _check_handed(self) -> None:
        """Refuse what is not what the run was recorded with."""
        entries = {"trainer": self.manifest.trainer, "train": self.manifest.train, "validation": self.manifest.validation}
        for name, entry in entries.items():
            value = self.handed[name]
            if value is None:
                continue
            if not isinstance(value, Trainer if name == "trainer" else Dataset):
                raise TypeError(f"{name} must be a fl.{'Trainer' if name == 'trainer' else 'Dataset'}, got {short(value)}")
            if entry is None or digest(value) != entry.digest:
                recorded = "none" if entry is None else entry.digest
                raise ValueError(
                    f"{name} must be what the run was recorded with, of digest {recorded}, got one of digest {digest(value)}"
                )

    def rows(self) -> list[Row]:
        """All rows that are committed by now.

        Raises:
            RunError: If they cannot be read, or another run is at the path since this one was opened.
        """
        with reading(self.path) as connection:
            known = self._known
            if connection.execute("SELECT chain FROM states WHERE position = 0").fetchall() != [(known[0].chain,)]:
                raise RunError(f"{short(str(self.path))} is another run than when it was opened: open it again")
            self._known = known = known + read_rows(connection, known[-1].chain, len(known))  # in any number of threads
        return known

    def row(self, position: int) -> Row:
        """The row of a position."""
        return (self._known if position < len(self._known) else self.rows())[position]

    def snapshots(self) -> list[int]:
        """The positions whose states are written whole."""
        with reading(self.path) as connection:
            return read_snapshots(connection)

    def snapshot(self, position: int) -> Any:
        """The state that is written whole at a position."""
        with reading(self.path) as connection:
            return read_snapshot(connection, position, self._kinds)

    def position_of(self, epoch: int) -> int:
        """The position of the first state with that many epochs finished.

        Raises: ValueError: if the run never had one.
        """
        rows = self.rows()
        likely = max(0, epoch - rows[0].epoch)
        for row in (*rows[likely:], *rows[:likely]):  # states of one's own may count their epochs as they like
            if row.epoch == epoch:
                return row.position
        raise ValueError(f"epoch must be one that the run reached, {rows[0].epoch} to {rows[-1].epoch}, got {epoch}")

    def epoch_of(self, step: int) -> int:
        """The number of epochs that were finished when so many steps were taken.

        Raises: ValueError: if the run never took so many, or began behind them.
        """
        rows = self.rows()
        if not rows[0].step <= step <= rows[-1].step:
            raise ValueError(f"step must be one that the run took, {rows[0].step} to {rows[-1].step}, got {step}")
        return max(row.epoch for row in rows if row.step <= step)

    def best_position(self, metric: str, mode: Mode) -> int | None:
        """The position of the epoch with the best value of a metric, or None if it was NaN in each."""
        found, best = None, math.nan
        for row in self.rows():
            metrics = row.metrics
            if metrics:
                value = look_up(metrics, metric)
                if value == value if found is None else improves(value, best, mode):
                    found, best = row.position, value
        return found

    def differing(self, state: Any, row: Row) -> tuple[str, ...]:
        """The fields of a state that are not as they were recorded."""
        if digest(state) == row.digest:
            own = counters(state, row.position)
            shown = numbers_from_json(numbers_to_json(metrics_of(state))) if row.metrics else row.metrics
            found = {**dict(zip(("epoch", "step", "stopped"), own, strict=True)), "metrics": shown}
            return tuple(name for name, value in found.items() if not same_bits(value, getattr(row, name)))
        parts = {name: hash_of(part).hex()[:FIELD_HASH_DIGITS] for name, part in children_of(state) or ()}
        return tuple(name for name in {**row.fields, **parts} if parts.get(name) != row.fields.get(name)) or ("its kind",)

    def _unpacked(self, name: str, kind: type[T], packed: str, recorded_digest: str | None = None) -> T:
        """Return an entry of the manifest, unpacked.

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
        """The trainer, or None where a step of one's own made the run.

        Raises: RunError: if it holds functions, or records that are not known, and was not handed to `open_run`.
        """
        entry = self.manifest.trainer
        if self.handed["trainer"] is not None or entry is None:
            return self.handed["trainer"]  # type: ignore[no-any-return]
        if entry.packed is None:
            raise RunError(
                f"the trainer of {short(str(self.path))} holds functions, or else what no file gives back: "
                f"open_run(path, trainer=...); it was {entry.repr[:200]}"
            )
        return self._unpacked("trainer", Trainer, entry.packed, entry.digest)

    @cached_property
    def train(self) -> Dataset:
        """The training data.

        Raises: RunError: if the file does not hold it, and it was not handed to `open_run`.
        """
        found = self.data("train")
        if found is None:
            raise RunError(f"{short(str(self.path))} was recorded without training data")
        return found

    @cached_property
    def validation(self) -> Dataset | None:
        """The validation data, or None if there was none."""
        return self.data("validation")

    def data(self, name: str) -> Dataset | None:
        """`train` or `validation`, as handed or as the file holds it."""
        entry = self.manifest.train if name == "train" else self.manifest.validation
        if entry is None or self.handed[name] is not None:
            return self.handed[name]  # type: ignore[no-any-return]
        if entry.packed is None:
            raise RunError(f"{short(str(self.path))} has only the digest of {name}: open_run(path, {name}=...)")
        return self._unpacked(name, Dataset, entry.packed, entry.digest)

    @cached_property
    def preprocessing(self) -> Preprocessing | None:
        """How the data was made from a table, if that was recorded."""
        packed = self.manifest.preprocessing
        return None if packed is None else self._unpacked("preprocessing", Preprocessing, packed)

    @property
    def environment(self) -> Mapping[str, str]:
        """What the bits depended on where the run was recorded."""
        return self.manifest.environment
