"""What a run file says, checked as it is read: rows, trainer, data and environment."""

import math
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

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
from fnloop.runs.manifest import read_said
from fnloop.runs.packing import unpack
from fnloop.runs.store import (
    Row,
    read_info,
    read_numbers,
    read_rows,
    read_snapshot,
    read_snapshots,
    root,
    write_numbers,
)
from fnloop.runs.writer import SHOWN, counts, metrics_of
from fnloop.training.trainer import Trainer

Advance = Callable[[Any], Any]


class Reader:
    """A run file, read as often as it is asked, and what was handed beside it: `trainer`, `step`, `train`, `validation`."""

    def __init__(self, path: Path, handed: Mapping[str, Any], records: tuple[type, ...]) -> None:
        self.path, self.handed, self.records = path, handed, records
        self._kinds = {**RECORD_TYPES, **{kind.__name__: kind for kind in records}}
        with reading(path) as connection:
            info = read_info(connection)
            self.said = read_said(info)
            self._known = read_rows(connection, root(info))
            if not self._known:
                raise ValueError("it has no states")
            metrics = next(filter(None, (row.metrics for row in self._known)), {})
            if metrics and self.said["monitor"] and self.said["monitor"][0] not in metrics:
                raise ValueError(f"it monitors {short(self.said['monitor'][0])}, which is not among its metrics")
        self._check_handed()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.path, self.handed, self.records)

    def _check_handed(self) -> None:
        """Refuse what is not what the run was recorded with."""
        for name in ("trainer", "train", "validation"):
            value, said = self.handed[name], self.said[name]
            if value is None:
                continue
            if not isinstance(value, Trainer if name == "trainer" else Dataset):
                raise TypeError(f"{name} must be a fl.{'Trainer' if name == 'trainer' else 'Dataset'}, got {short(value)}")
            if said is None or digest(value) != said["digest"]:
                kept = "none" if said is None else said["digest"]
                raise ValueError(
                    f"{name} must be what the run was recorded with, of digest {kept}, got one of digest {digest(value)}"
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
            own = counts(state, row.position)
            shown = read_numbers(write_numbers(metrics_of(state))) if row.metrics_json != "{}" else row.metrics
            found = {**dict(zip(("epoch", "step", "stopped"), own, strict=True)), "metrics": shown}
            return tuple(name for name, value in found.items() if not same_bits(value, getattr(row, name)))
        parts = {name: hash_of(part).hex()[:SHOWN] for name, part in children_of(state) or ()}
        return tuple(name for name in {**row.fields, **parts} if parts.get(name) != row.fields.get(name)) or ("its kind",)

    def _held(self, name: str, kind: type) -> Any:
        """What stands packed in the file, or None.

        Raises: RunError: if it is damaged, or not what the file says it is.
        """
        packed = self.said[name]
        text, said = (packed["packed"], packed["digest"]) if isinstance(packed, dict) else (packed, None)
        if text is None:
            return None
        with reading(self.path) as connection:
            value = unpack(connection, text, self._kinds)
            if not isinstance(value, kind) or (said is not None and digest(value) != said):
                raise ValueError(f"what stands for {short(name)} is not what was recorded")
            return value

    @cached_property
    def trainer(self) -> Trainer | None:
        """The trainer, or None where a step of one's own made the run.

        Raises: RunError: if it holds functions, or records that are not known, and was not handed to `open_run`.
        """
        if self.handed["trainer"] is not None or self.said["trainer"] is None:
            return self.handed["trainer"]  # type: ignore[no-any-return]
        if self.said["trainer"]["packed"] is None:
            raise RunError(
                f"the trainer of {short(str(self.path))} holds functions, or else what no file gives back: "
                f"open_run(path, trainer=...); it was {self.said['trainer']['repr'][:200]}"
            )
        return self._held("trainer", Trainer)  # type: ignore[no-any-return]

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
        said = self.said[name]
        if said is None or self.handed[name] is not None:
            return self.handed[name]  # type: ignore[no-any-return]
        if said["packed"] is None:
            raise RunError(f"{short(str(self.path))} has only the digest of {name}: open_run(path, {name}=...)")
        return self._held(name, Dataset)  # type: ignore[no-any-return]

    @cached_property
    def preprocessing(self) -> Preprocessing | None:
        """How the data was made from a table, if that was recorded."""
        return self._held("preprocessing", Preprocessing)  # type: ignore[no-any-return]

    @property
    def environment(self) -> Mapping[str, str]:
        """What the bits depended on where the run was recorded."""
        return self.said["environment"]  # type: ignore[no-any-return]
