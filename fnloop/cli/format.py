"""What is said of a run file and of a state, as text."""

import os
from collections.abc import Iterator, Sequence
from time import time
from typing import Any

import numpy as np

from fnloop.cli.values import brief_model, number, size_of, values
from fnloop.core.digest import digest
from fnloop.core.display import short_call
from fnloop.core.errors import FnloopError
from fnloop.runs.diff import fields
from fnloop.runs.manifest import Manifest, Parent
from fnloop.runs.reader import Reader
from fnloop.runs.rows import Row
from fnloop.training.state import TrainState

SHORT = 8  # digits of a digest in a table


def header(reader: Reader) -> str:
    """What was trained, on what, how it went, and where."""
    rows = reader.rows()
    first, last, seconds = rows[0], rows[-1], sum(row.seconds for row in rows)
    said: dict[str, str] = {
        "run": f"{reader.path}: epochs {first.epoch} to {last.epoch}, {last.step} steps, {seconds:.3g} s",
        "ended": f"{last.stopped}, after epoch {last.epoch}, step {last.step}"
        if last.stopped
        else f"not yet, it can go on; {_written(reader)}",
        **_trained(reader),
        "data": _data(reader.manifest),
        **_best(reader),
        **_parent(reader.manifest.parent),
        "with": _environment(reader),
        "file": f"{size_of(file_size(reader))}{_log(reader)}, {len(reader.snapshots())} of {len(rows)} states whole",
    }
    return "\n".join(f"{name:10} {text}" for name, text in said.items())


def _written(reader: Reader) -> str:
    """How long ago something was written: whether somebody is still at it."""
    ago = time() - max(os.path.getmtime(path) for path in _files(reader))
    return f"last written {ago:.0f} s ago" if ago < 600 else "nobody has written to it for 10 minutes"


def file_size(reader: Reader) -> int:
    """Bytes of the file, and of what stands beside it while it is written."""
    return sum(os.path.getsize(path) for path in _files(reader))


def _log(reader: Reader) -> str:
    files = _files(reader)
    return f" with {os.path.basename(files[1])}, which belongs to it" if len(files) > 1 else ""


def _files(reader: Reader) -> list[str]:
    return [path for path in (f"{reader.path}{end}" for end in ("", "-wal")) if os.path.exists(path)]


def _trained(reader: Reader) -> dict[str, str]:
    """The parts of the trainer, where the file holds it."""
    entry = reader.manifest.trainer
    if entry is None:
        return {"trainer": "none: a step of one's own"}
    try:
        trainer: Any = reader.trainer
    except FnloopError:  # it holds functions or records of one's own
        return {"trainer": entry.repr[:300]}
    shown = "loss", "optimizer", "scheduler", "early_stopping"
    other = {f"{name}=": getattr(trainer, name) for name in ("schedule_every", "accumulate", "non_finite", "dtype")}
    usual = {"schedule_every=": "epoch", "accumulate=": 1, "non_finite=": "stop", "dtype=": "float32"}
    more = [f"{name}{value}" for name, value in other.items() if value != usual[name]]
    return {
        "model": brief_model(trainer.model),
        **{name.removeprefix("early_"): short_call(getattr(trainer, name)) for name in shown},
        "batches": ", ".join([f"of {trainer.batch_size}, seed {trainer.seed}", *more]),
    }


def _data(manifest: Manifest) -> str:
    parts = [
        f"{entry.examples} examples to {verb}{'' if entry.packed else ' (not in the file)'}"
        for entry, verb in ((manifest.train, "train on"), (manifest.validation, "validate on"))
        if entry is not None
    ]
    return ", ".join(parts) or "none"


def _best(reader: Reader) -> dict[str, str]:
    """The best epoch by the metric that is monitored."""
    best = best_row(reader)
    if reader.manifest.monitor is None:
        return {}
    name, _ = reader.manifest.monitor
    return {"best": f"none by {name} yet" if best is None else f"epoch {best.epoch}, {name} {number(best.metrics[name])}"}


def best_row(reader: Reader) -> Row | None:
    """The row of the best epoch by the metric that is monitored, if there is one."""
    if reader.manifest.monitor is None:
        return None
    position = reader.best_position(*reader.manifest.monitor)
    return None if position is None else reader.row(position)


def _parent(parent: Parent | None) -> dict[str, str]:
    if parent is None:
        return {}
    names = f"with another {', '.join(parent.changes)}" if parent.changes else "without changes"
    return {"fork of": f"{parent.path} at epoch {parent.epoch}, {names}"}


def _environment(reader: Reader) -> str:
    has = reader.environment
    engine = has.get("engine", reader.manifest.engine)
    blas = f"{has.get('BLAS')} ({has.get('BLAS kernels')}, {has.get('BLAS threads')} threads)"
    return (
        f"fnloop {has.get('fnloop')}, engine {engine}, NumPy {has.get('NumPy')}, {blas}, Python {has.get('Python')}, "
        f"{has.get('platform')}"
    )


def table(reader: Reader, last: int | None = None) -> Iterator[str]:
    """The rows of a run as lines: a state a line, of an epoch its metrics.

    Args:
        last: so many of them; by default all.
    """
    rows = reader.rows()
    names = list(dict.fromkeys(name for row in rows for name in row.metrics))
    best, shown = best_row(reader), rows[-last:] if last else rows
    cells = [["epoch", "step", *names, "seconds", "state"]]
    for row in shown:
        metrics = [_cell(name, row.metrics[name]) if name in row.metrics else "-" for name in names]
        cells.append([str(row.epoch), str(row.step), *metrics, f"{row.seconds:.3f}", row.digest[:SHORT]])
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row_or_none, line in zip([None, *shown], cells, strict=True):
        text = "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True))
        yield text + ("" if row_or_none is None else _mark(row_or_none, best))


def _cell(name: str, value: float) -> str:
    return f"{value:.4g}" if name == "lr" else number(value)


def _mark(row: Row, best: Row | None) -> str:
    marks = [*(["best"] if row is best else []), *([f"stopped: {row.stopped}"] if row.stopped else [])]
    return f"  {', '.join(marks)}" if marks else ""


def describe(state: Any) -> str:
    """All of a state: each field, and of each array its shape, norm and range, layer by layer."""
    lines, before = [f"digest {digest(state)}"], ""
    if isinstance(state, TrainState):
        lines += [f"the next step is trained at lr {state.lr:.4g}", *([values(state.metrics)] if state.metrics else [])]
    rows = [(path, _leaf(value)) for path, value in _shown(state)]
    width = max((len(path) for path, _ in rows), default=0)
    for path, text in rows:
        lines += [""] if _room(path) != before else []
        lines.append(f"{path:{width}}  {text}")
        before = _room(path)
    return "\n".join(lines)


def _shown(state: Any) -> Iterator[tuple[str, Any]]:
    """The fields without those that only say of what kind they are; of a training state also without what is said above."""
    found = list(fields(state))
    for (path, value), (behind, _) in zip(found, [*found[1:], ("", None)], strict=True):
        if not path or behind.startswith((f"{path}.", f"{path}[")):
            continue
        if not isinstance(state, TrainState):
            yield path, value
        elif path.startswith(_BEST):  # parameters as those above, of the best epoch
            if not behind.startswith(_BEST):
                yield _BEST[:-1], state.early_stopping.best_vector
        elif path not in ("epoch", "step") and not path.startswith("metrics"):
            yield path, value


_BEST = "early_stopping.best_vector["


def _room(path: str) -> str:
    return path.replace("[", ".").partition(".")[0]


def _leaf(value: Any) -> str:
    if not isinstance(value, np.ndarray):
        return "none" if value in ("sequence of 0", "mapping") or value is None else str(value)
    if value.ndim == 0 or value.dtype.kind not in "iuf" or not value.size:
        return f"{value.dtype} {value.shape}" if value.ndim else str(value)
    numbers = value.astype(np.float64)
    with np.errstate(all="ignore"):
        norm = float(np.linalg.norm(numbers))
    kind = f"{value.dtype} {'x'.join(map(str, value.shape))}"
    return f"{kind:16}  norm {norm:<9.4g}  from {numbers.min():.3g} to {numbers.max():.3g}"


def step_in(rows: Sequence[Row], state: Any) -> str:
    """Where a state stands, in words."""
    if not isinstance(state, TrainState):
        return ""
    if not state.progress.batches or state.stop_reason is not None:
        return f"epoch {state.epoch}, step {state.step}"
    starts = [row.step for row in rows if row.epoch == state.epoch]
    inside = state.step - starts[0] if starts else state.progress.batches
    return f"epoch {state.epoch}, step {state.step}: step {inside} of epoch {state.epoch + 1}"
