"""Rows of a run by epoch, by step, or by the best value of a metric."""

import math
from bisect import bisect_right
from collections.abc import Collection, Iterable

from fnloop.core.checks import Mode
from fnloop.metrics import improves
from fnloop.runs.connection import reading
from fnloop.runs.reader import Reader
from fnloop.runs.rows import Row

Criterion = tuple[str, Mode]  # a metric, and which of its values are better


def position_of(reader: Reader, epoch: int) -> int:
    """Return the position of the first state with a number of finished epochs.

    Args:
        reader: The run.
        epoch: The number of finished epochs.

    Raises:
        ValueError: If the run has no such state.
    """
    rows = reader.rows()
    likely = epoch - rows[0].epoch
    if 0 <= likely < len(rows) and rows[likely].epoch == epoch and (not likely or rows[likely - 1].epoch != epoch):
        return likely
    with reading(reader.path) as connection:
        query = "SELECT min(position) FROM states WHERE epoch = ? AND position < ?"
        (position,) = connection.execute(query, [epoch, len(rows)]).fetchone()
    if position is None or rows[position].epoch != epoch:
        raise ValueError(f"epoch must be one that the run reached, {rows[0].epoch} to {rows[-1].epoch}, got {epoch}")
    return int(position)


def epoch_of(reader: Reader, step: int) -> int:
    """Return the number of epochs that were finished after a number of steps.

    Args:
        reader: The run.
        step: The number of steps since the start of training.

    Raises:
        ValueError: If the run has no state after that many steps.
    """
    rows = reader.rows()
    if not rows[0].step <= step <= rows[-1].step:
        raise ValueError(f"step must be one that the run took, {rows[0].step} to {rows[-1].step}, got {step}")
    return rows[bisect_right(rows, step, key=lambda row: row.step) - 1].epoch


def best_row(reader: Reader) -> Row | None:
    """Return the row of the best epoch by the monitored metric, or None if none is monitored or it is NaN in every epoch.

    Args:
        reader: The run.
    """
    monitor = reader.manifest.monitor
    return None if monitor is None else best_rows(reader.rows(), [monitor]).get(monitor)


def best_rows(rows: Iterable[Row], criteria: Collection[Criterion]) -> dict[Criterion, Row]:
    """Return the row of the best epoch by each criterion, the earliest of equal ones.

    A criterion whose metric is NaN in every epoch has none.

    Args:
        rows: The rows.
        criteria: The criteria.
    """
    best: dict[Criterion, Row] = {}
    for row in rows:
        for name, mode in criteria:
            value, found = row.metrics.get(name, math.nan), best.get((name, mode))
            if value == value if found is None else improves(value, found.metrics[name], mode):
                best[name, mode] = row
    return best
