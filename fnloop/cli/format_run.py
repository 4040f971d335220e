"""A run file as text: a header, and a table with a row for each state."""

import os
from collections.abc import Iterator
from time import time

import numpy as np

from fnloop.cli.format_values import format_bytes, format_metric, format_model
from fnloop.core.checks import Mode
from fnloop.core.display import non_default_fields, short_call
from fnloop.core.errors import FnloopError
from fnloop.runs.environment import THREADS
from fnloop.runs.lock import find_writer
from fnloop.runs.manifest import Manifest, Parent
from fnloop.runs.positions import best_row
from fnloop.runs.reader import Reader
from fnloop.runs.rows import Row
from fnloop.training.state import StopReason
from fnloop.training.trainer import Trainer

DIGITS = 8  # of a digest in the table
MAX_METRICS = 20  # columns of metrics in the table


def format_header(reader: Reader) -> str:
    """Return what was trained, on which data, where, and how it ended.

    Args:
        reader: The run.
    """
    rows = reader.rows()
    first, last, seconds = rows[0], rows[-1], sum(row.seconds for row in rows)
    snapshots = f"snapshots of {len(reader.snapshots())} of {len(rows)} states"
    facts: dict[str, str] = {
        "run": f"{reader.path}: epochs {first.epoch} to {last.epoch}, {last.step} steps, {seconds:.3g} s",
        "ended": _end(reader, last),
        **_trainer(reader),
        "data": _data(reader.manifest),
        **_metrics(reader),
        **_best(reader),
        **_parent(reader.manifest.parent),
        "environment": _environment(reader),
        "file": f"{format_bytes(_file_size(reader))}{_log(reader)}, {snapshots}",
    }
    return "\n".join(f"{name:14} {text}" for name, text in facts.items())


def _end(reader: Reader, last: Row) -> str:
    """Return why and where the run stopped, when its recording ended, or that it is recorded now or was interrupted."""
    if last.stopped:
        return f"{format_stop(last)}{_kept(reader, last)}"
    ended = reader.ended
    if ended is not None:
        on = ended.partition(".")[0].replace("T", " ")[:40]
        return f"after epoch {last.epoch}, step {last.step}, on {on}; it can be resumed"
    writer = find_writer(reader.path)
    if writer is not None:
        return f"not yet, {writer} is recording it; {_last_written(reader)}"
    return f"interrupted after epoch {last.epoch}, it can be resumed; {_last_written(reader)}"


def format_stop(last: Row) -> str:
    """Return why a run stopped, and which epoch its last state is of.

    Args:
        last: The row of the state that the run stopped with.
    """
    where = f"epoch {last.epoch}, step {last.step}"
    if last.stopped != StopReason.NON_FINITE:
        return f"{last.stopped}, after {where}"
    return f"{last.stopped}, in epoch {last.epoch + 1}, step {last.step + 1}; the last finite state is of {where}"


def _kept(reader: Reader, last: Row) -> str:
    """Return whether the last state of a run that early stopping ended also keeps the parameters of the best epoch."""
    trainer = _readable_trainer(reader)
    policy = None if trainer is None else trainer.early_stopping
    if policy is None or not policy.restore_best or not last.epoch:  # no epoch was finished, so none was the best
        return ""
    return "; the last state also keeps the parameters that were best for early stopping (fl.restored)"


def _last_written(reader: Reader) -> str:
    """Return when the file was last written, which shows whether a process is still recording."""
    seconds = time() - max(os.path.getmtime(path) for path in _files(reader))
    return f"last written {seconds:.0f} s ago" if seconds < 600 else "last written more than 10 minutes ago"


def _file_size(reader: Reader) -> int:
    return sum(os.path.getsize(path) for path in _files(reader))


def _log(reader: Reader) -> str:
    files = _files(reader)
    return f" with {os.path.basename(files[1])}, which belongs to it" if len(files) > 1 else ""


def _files(reader: Reader) -> list[str]:
    """Return the run file, and its write-ahead log if there is one."""
    return [path for path in (f"{reader.path}{end}" for end in ("", "-wal")) if os.path.exists(path)]


def _trainer(reader: Reader) -> dict[str, str]:
    """Return the parts of the trainer, or its repr if the file does not hold it."""
    entry = reader.manifest.trainer
    if entry is None:
        return {"trainer": "none: recorded from a custom step"}
    trainer = _readable_trainer(reader)
    if trainer is None:  # it contains functions or custom records
        return {"trainer": entry.repr[:300]}
    names = "schedule_every", "accumulate", "non_finite", "dtype"
    changed = [f"{field.name}={getattr(trainer, field.name)}" for field in non_default_fields(trainer) if field.name in names]
    return {
        "model": format_model(trainer.model),
        "loss": short_call(trainer.loss),
        "optimizer": short_call(trainer.optimizer),
        "scheduler": short_call(trainer.scheduler),
        "early stopping": short_call(trainer.early_stopping),
        "batches": ", ".join([f"of {trainer.batch_size}, seed {trainer.seed}", *changed]),
    }


def _readable_trainer(reader: Reader) -> Trainer | None:
    try:
        return reader.trainer
    except FnloopError:
        return None


def _data(manifest: Manifest) -> str:
    parts = [
        f"{entry.examples} {use} examples{'' if entry.is_stored else ' (not in the file)'}"
        for entry, use in ((manifest.train, "training"), (manifest.validation, "validation"))
        if entry is not None
    ]
    return ", ".join(parts) or "none"


def _metrics(reader: Reader) -> dict[str, str]:
    """Return how many metrics there are if the table has not all of them."""
    count = len(reader.metric_names())
    return {} if count <= MAX_METRICS else {"metrics": f"{count}, of which the table has {MAX_METRICS}"}


def _best(reader: Reader) -> dict[str, str]:
    """Return the best epoch by the monitored metric."""
    if reader.manifest.monitor is None:
        return {}
    best, (name, mode) = best_row(reader), reader.manifest.monitor
    value = f"none by {name} yet" if best is None else f"epoch {best.epoch}, {name} {format_metric(name, best.metrics[name])}"
    return {"best": f"{value}{_best_before_fork(reader, name, mode)}"}


def _best_before_fork(reader: Reader, name: str, mode: Mode) -> str:
    """Return the best of the epochs before a fork, which this run did not train; "" if there is none."""
    earlier, parent = reader.earlier_metrics.only([name]), reader.manifest.parent
    values = np.where(earlier.present, earlier.values, np.nan).reshape(-1)
    if parent is None or np.isnan(values).all():
        return ""
    index = int(np.nanargmin(values) if mode == "min" else np.nanargmax(values))
    epoch = parent.epoch - (len(earlier) - 1 - index)
    return f"; before the fork: epoch {epoch}, {name} {format_metric(name, float(values[index]))}"


def _parent(parent: Parent | None) -> dict[str, str]:
    if parent is None:
        return {}
    changes = f"changed: {', '.join(parent.changes)}" if parent.changes else "unchanged"
    return {"fork of": f"{parent.path} at epoch {parent.epoch}; {changes}"}


def _environment(reader: Reader) -> str:
    found = reader.environment
    versions = f" (JAX {found['JAX']}, {found.get('device')})" if "JAX" in found else ""
    blas = f"{found.get('BLAS')} ({found.get('BLAS kernels')}, threads: {found.get(THREADS)})"
    return (
        f"fnloop {found.get('fnloop')}, engine {reader.manifest.engine}{versions}, NumPy {found.get('NumPy')}, {blas}, "
        f"Python {found.get('Python')}, {found.get('platform')}"
    )


def format_rows(reader: Reader, last: int | None = None) -> Iterator[str]:
    """Yield a table of the states, a line each, after a line with the names of the columns.

    Args:
        reader: The run.
        last: The number of rows, from the end. Default: all.
    """
    rows = reader.rows()
    names = _shown_metrics(reader)
    best, shown = best_row(reader), rows[-last:] if last else rows
    table = [["epoch", "step", *map(_column, names), "seconds", "state"]]
    for row in shown:
        metrics = [format_metric(name, row.metrics[name]) if name in row.metrics else "-" for name in names]
        table.append([str(row.epoch), str(row.step), *metrics, f"{row.seconds:.3f}", row.digest[:DIGITS]])
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    marks = ["", *(_mark(row, best) for row in shown)]
    for cells, mark in zip(table, marks, strict=True):
        yield "  ".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True)) + mark


def _shown_metrics(reader: Reader) -> list[str]:
    """Return the names of the metrics in the table: at most `MAX_METRICS`, the monitored one first if there are more."""
    names, monitor = reader.metric_names(), reader.manifest.monitor
    if len(names) > MAX_METRICS and monitor is not None and monitor[0] in names:
        names = [monitor[0], *(name for name in names if name != monitor[0])]
    return names[:MAX_METRICS]


def _column(name: str) -> str:
    """Return a metric's name, as code if it would not be one word of printable characters."""
    return name if name and name.isprintable() and " " not in name else repr(name)


def _mark(row: Row, best: Row | None) -> str:
    marks = [
        *(["best"] if best is not None and row.position == best.position else []),
        *([f"stopped: {row.stopped}"] if row.stopped else []),
    ]
    return f"  {', '.join(marks)}" if marks else ""
