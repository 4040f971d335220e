"""States to rows and snapshots, written to a run file in batches."""

import sqlite3
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import ExitStack
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

from toolz import partition_all

from fnloop.core.checks import Mode
from fnloop.core.encoding import NO_ALIASES, Encoder
from fnloop.runs.blocks import BlockHasher
from fnloop.runs.environment import Observation, changed_environment, environment_of
from fnloop.runs.packing import PART_BYTES, Packed, array_parts, check_data, check_size
from fnloop.runs.rows import METRICS, make_row
from fnloop.runs.sink import Sink
from fnloop.runs.snapshots import SnapshotSchedule, to_thin
from fnloop.runs.store import Head, add_rows, add_snapshot, create_views, drop_snapshots, read_snapshots, snapshot_bytes
from fnloop.streams.select import update_best

MAX_BATCH_BYTES = 1 << 26  # of snapshots in a batch
ROW_BYTES = 500  # about the bytes of a row in the file
TRANSACTION_BYTES = 1 << 24  # of snapshots in a transaction; the arrays of larger ones are written in several


class Start(NamedTuple):
    """The end of the rows that a file has when recording starts.

    Attributes:
        position: The position of the last row; -1 if there is none.
        epoch: The epoch of that row; without one, that of the first state.
        hasher: Hashes the rows that follow.
        environment: The environment of that row as JSON; None if there is none.
        metric_names: The metrics of the rows so far.
    """

    position: int
    epoch: int
    hasher: BlockHasher
    environment: str | None = None
    metric_names: tuple[str, ...] = ()


class Best(NamedTuple):
    """The best state so far, with a snapshot if it is not in the file yet."""

    position: int
    metrics: Mapping[str, float]


class Snapshot(NamedTuple):
    """A state in full: its position, its text and its arrays."""

    position: int
    packed: Packed


class Recorder:
    """Collects the rows and snapshots of states, and writes them.

    Args:
        sink: The run file.
        start: The end of the rows that the file has.
        observe: Observes the environment of the states, in the Python thread that computes them.
        monitor: The metric that selects the best state, and its mode, or None.
        best: The best state so far, or None.
        snapshot_every: Number of states from one snapshot to the next; None for as many as needed and affordable.
        max_bytes: The size of all snapshots above which the oldest are thinned; None for no limit.
        aliases: Ids of custom classes in the file, of those that have another id now.

    Attributes:
        epoch: The epoch of the last row that is in the file.
        count: The number of rows that are in the file.
        state_bytes: The size of the last state.
    """

    def __init__(
        self,
        sink: Sink,
        start: Start,
        observe: Callable[[], Observation],
        *,
        monitor: tuple[str, Mode] | None = None,
        best: Best | None = None,
        snapshot_every: int | None = None,
        max_bytes: int | None = None,
        aliases: Mapping[type, str] = NO_ALIASES,
    ) -> None:
        self._sink, self.observe = sink, observe
        self._observation: Observation | None = None  # of the last state
        self._position, self._epoch, self._hasher, self._environment, names = start
        self._metric_names, self._has_new_names = dict.fromkeys(names), not names
        self._monitor, self._max_bytes = monitor, max_bytes
        self._best: Any = best  # `update_best` needs its metrics only
        self._encoder, self._schedule = Encoder(aliases), SnapshotSchedule(snapshot_every)
        self._rows: list[tuple[Any, ...]] = []
        self._due: list[Snapshot] = []
        self._due_bytes = 0
        self._latest: Snapshot | None = None
        self._best_snapshot: Snapshot | None = None  # until it is in the file
        self._bytes: int | None = None  # of all snapshots in the file; None until they are counted
        self.epoch, self.count, self.state_bytes = start.epoch, start.position + 1, 0

    def add(self, state: Any, seconds: float, observation: Observation) -> None:
        """Add the next state.

        Args:
            state: The state.
            seconds: Time that it took.
            observation: The environment in which it was computed.

        Raises:
            TypeError: If it has a part that cannot be written.
            ValueError: If its text, or that of its metrics, is larger than any that is read.
        """
        environment = self._changed_environment(observation)
        position = self._position + 1
        row, text = make_row(position, state, seconds, self._epoch, self._encoder, environment)
        check_data(text)
        columns = row.columns()
        for part in (text, columns[METRICS]):
            check_size(part)  # whatever its state is, a row that could not be read would make its whole block unreadable
        self._hasher.add(columns)
        self._rows.append(columns)
        self._position, self._epoch = position, row.epoch
        if not row.metrics.keys() <= self._metric_names.keys():
            self._metric_names |= dict.fromkeys(row.metrics)
            self._has_new_names = True
        snapshot = Snapshot(position, Packed(text, self._encoder.arrays, self._encoder.records))
        self.state_bytes = snapshot.packed.nbytes
        self._latest = snapshot
        if self._monitor is not None and row.metrics and update_best(self._best, state, *self._monitor) is state:
            self._best, self._best_snapshot = Best(position, row.metrics), snapshot
        self._schedule.add_epoch(seconds)
        if position == 0 or self._schedule.is_due(position, self.state_bytes):
            self._due.append(snapshot)
            self._due_bytes += self.state_bytes
            self._schedule.add(self.state_bytes)

    def _changed_environment(self, observation: Observation) -> str | None:
        """Return the environment as JSON if it is not that of the row before."""
        if observation == self._observation:
            return None
        self._observation = observation
        changed = changed_environment(self._environment, environment_of(observation))
        self._environment = changed or self._environment
        return changed

    @property
    def is_full(self) -> bool:
        """Whether what was added is to be written before more is added."""
        return self._due_bytes > MAX_BATCH_BYTES

    def flush(self) -> None:
        """Write what was added since the last call, and the best state if it is affordable."""
        if self._best_snapshot is not None and self._schedule.is_affordable(self._best_snapshot.packed.nbytes):
            self._due.append(self._best_snapshot)
            self._schedule.add(self._best_snapshot.packed.nbytes, is_latest=self._best_snapshot is self._latest)
        if self._rows or self._due:
            self._write(is_last=False)

    def finish(self) -> None:
        """Write the rest, snapshots of the latest and the best state, and that the recording ended."""
        self._due += [snapshot for snapshot in (self._latest, self._best_snapshot) if snapshot is not None]
        self._write(is_last=True)

    def rescue(self) -> None:
        """Finish with the states before one that could not be added."""
        if self._latest is not None:
            self.finish()

    def _write(self, is_last: bool) -> None:
        ended = datetime.now().astimezone().isoformat(timespec="milliseconds") if is_last else None
        due = self._thinned({snapshot.position: snapshot.packed for snapshot in self._due})
        self._prepare(list(due.values()))
        with ExitStack() as measured:

            def fill(connection: sqlite3.Connection) -> None:
                head = Head(self._position, self._hasher.chain, ended)
                add_rows(connection, self._rows, self._hasher.changed(), head)
                if self._has_new_names:
                    create_views(connection, self._metric_names)
                if due:  # the commit is measured with the snapshots
                    measured.enter_context(self._schedule.measuring())
                for position, packed in due.items():
                    self._bytes = self._count(connection) + add_snapshot(connection, position, packed)

            nbytes = sum(packed.nbytes for packed in due.values()) + ROW_BYTES * len(self._rows)
            self._sink.write(fill, nbytes)
        self._schedule.note_written()
        self._rows, self._due, self._due_bytes, self._has_new_names = [], [], 0, False
        if self._best_snapshot is not None and self._best_snapshot.position in due:
            self._best_snapshot = None
        self.epoch, self.count = self._epoch, self._position + 1

    def _thinned(self, due: Mapping[int, Packed]) -> Mapping[int, Packed]:
        """Leave out snapshots that the limit does not allow even in an empty file."""
        while self._max_bytes is not None and sum(packed.nbytes for packed in due.values()) > self._max_bytes:
            dropped = to_thin(sorted(due), self._kept(max(due)))
            if not dropped:
                break
            due = {position: packed for position, packed in due.items() if position not in dropped}
        return due

    def _kept(self, last: int) -> set[int]:
        """Return the positions whose snapshots are never thinned: the first, the last and the best."""
        return {0, last, *([] if self._best is None else [self._best.position])}

    def _prepare(self, due: Collection[Packed]) -> None:
        """Make room for snapshots, and write large ones in small transactions, so that the log stays small."""
        if not due or not self._sink.exists:
            return
        nbytes = sum(packed.nbytes for packed in due)
        with self._schedule.measuring():
            if self._max_bytes is not None and (self._bytes is None or self._bytes + nbytes > self._max_bytes):
                self._sink.write(partial(self._make_room, allowed=self._max_bytes - nbytes), 0)
            if nbytes > TRANSACTION_BYTES:
                parts = (part for packed in due for part in array_parts(packed))
                for some in partition_all(TRANSACTION_BYTES // PART_BYTES, parts):
                    self._sink.write(partial(self._add_parts, some), nbytes)

    def _add_parts(self, parts: Iterable[Callable[[sqlite3.Connection], int]], connection: sqlite3.Connection) -> None:
        self._bytes = self._count(connection) + sum(add(connection) for add in parts)

    def _count(self, connection: sqlite3.Connection) -> int:
        """Return the size of the snapshots in the file, which is only counted if it is not known."""
        return snapshot_bytes(connection) if self._bytes is None else self._bytes

    def _make_room(self, connection: sqlite3.Connection, allowed: int) -> None:
        """Thin the oldest snapshots until their size is allowed, or only those are left that are kept."""
        self._bytes, positions = self._count(connection), read_snapshots(connection)
        while self._bytes > allowed and (dropped := to_thin(positions, self._kept(positions[-1]))):
            drop_snapshots(connection, dropped)
            positions = [position for position in positions if position not in dropped]
            self._bytes = snapshot_bytes(connection)
