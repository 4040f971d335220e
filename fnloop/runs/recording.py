"""Record a stream of states in a file, from which every one of them can be had again."""

import json
import os
from collections.abc import Callable, Generator, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.checks import Mode, boolean, integer
from fnloop.core.digest import Hashed, Hashes, digest, hash_of, same_bits
from fnloop.core.display import short_call
from fnloop.core.errors import RunError
from fnloop.core.fields import field_names
from fnloop.core.formatting import listed, short
from fnloop.data.dataset import Dataset
from fnloop.data.preprocessing import Preprocessing
from fnloop.engines import get_engine
from fnloop.runs.connection import create
from fnloop.runs.environment import environment
from fnloop.runs.failing import Forgiving, Recorded
from fnloop.runs.files import file_path
from fnloop.runs.lock import lock
from fnloop.runs.overwrite import refuse_irreplaceable, take_place
from fnloop.runs.packing import bounded, pack, pack_checked
from fnloop.runs.store import Row, root
from fnloop.runs.writer import Writer, make_row, pack_state
from fnloop.streams.time import timed
from fnloop.training.adapt import adapt
from fnloop.training.state import TrainState
from fnloop.training.trainer import Trainer, check_trainer

HELD = 1 << 26  # bytes of data that a run file holds; of more it has the digest

Begin = Callable[[Any], Writer | Forgiving]
Pack = Callable[[Any, Hashes | None], tuple[str, dict[str, Array]]]


def record(
    path: str | os.PathLike[str],
    trainer: Trainer | None,
    train: Dataset | None,
    validation: Dataset | None = None,
    *states: Iterable[Any],
    engine: str = "numpy",
    monitor: str | None = None,
    snapshot_every: int | None = None,
    preprocessing: Preprocessing | None = None,
    overwrite: bool = False,
) -> Any:
    """Record the states of a stream of epochs as they pass, so that each can be had again to the bit with `open_run`.

    Without a stream it returns the function of one, to stand in a `pipe`. A thread in the background hashes and writes; after
    each epoch the file has its metrics and its state's digest, and now and then the whole state. The best and the last state
    are written whole at the end. Trainer and data stand in the file; data above 64 MiB only by their digest, and a trainer
    that holds functions only by its name, so that they must be handed to `open_run` again.

    If the file cannot be written any more, as on a full disk, a `RecordingWarning` says so once, why, and up to which epoch
    the file is whole; the stream goes on, and its `failure` is the error.

    Args:
        path: of a file that is not there yet; `open_run(path).resume()` goes on with one that is.
        overwrite: replace a run file at the path, as for a cell of a notebook that is run again. It is replaced when the first
            state comes, by a file that is complete. Another file, or a run that is being written, is refused.
        trainer: that of the stream, or None for a stream that a step of your own makes, of any records.
        validation: or None; where it is, the stream comes behind it.
        engine: that of the stream.
        monitor: the metric by which the best state is kept; by default the one that `fit` takes.
        snapshot_every: epochs from one whole state to the next; by default as few as recording at 2 % of the time of training
            has room for.
        preprocessing: stands in the file, for predictions from checkpoints that are exported from it.
    Examples:
        pipe(fl.epochs(trainer, train, validation), take(101), fl.record("a.run", trainer, train, validation), fl.last)
    Raises: RunError: if there is something at the path that may not be replaced, or, from the stream's first state, if the
        file cannot be made;
        TypeError, ValueError: for arguments that are not allowed.
    See Also: open_run, checkpoint
    """
    path = checked_path(path)
    if boolean("overwrite", overwrite):
        path = Path(os.path.realpath(path))  # a link stays, and what it points to is replaced
    if trainer is not None:
        check_trainer(trainer)
    for name, data in (("train", train), ("validation", validation)):
        if not (isinstance(data, Dataset) or (data is None and (trainer is None or name == "validation"))):
            raise TypeError(f"{name} must be a fl.Dataset{' or None' if name == 'validation' else ''}, got {short(data)}")
    if preprocessing is not None and not isinstance(preprocessing, Preprocessing):
        raise TypeError(f"preprocessing must be a Preprocessing or None, got {short(preprocessing)}")
    get_engine(engine)
    every = None if snapshot_every is None else integer(1)("snapshot_every", snapshot_every)
    monitored = None if trainer is None else trainer.monitored(validation is not None, monitor)

    def begin(state: Any) -> Writer:
        if trainer is not None:
            check_stream(trainer, state, train, validation is not None)
        info, arrays = describe(trainer, train, validation, engine, monitored, preprocessing)
        return start(path, info, arrays, state, monitored, every, overwrite)

    def recorded(states: Iterable[Any]) -> Recorded:
        _refuse(path, overwrite)
        failures: list[RunError] = []
        validated = None if trainer is None else validation is not None
        return Recorded(recording(lambda state: Forgiving(begin(state), failures), states, validated), failures)

    _refuse(path, overwrite)
    return recorded(*states) if states else recorded


def _refuse(path: Path, overwrite: bool) -> None:
    """Refuse a path at which the file cannot be."""
    if overwrite and os.path.lexists(path):
        refuse_irreplaceable(path)
    else:
        refuse_taken(path, ", overwrite=True replaces it")


def check_stream(trainer: Trainer, state: Any, train: Dataset | None, validated: bool) -> None:
    """Refuse a stream whose first state is not one that this trainer, on these data, would continue as it is."""
    adapted, _ = adapt(trainer, state, train, validated, "states")  # type: ignore[arg-type]
    if adapted is not state:
        fields = [name for name in field_names(TrainState) if not same_bits(getattr(adapted, name), getattr(state, name))]
        raise ValueError(f"states must be those of this trainer and data; the first one differs in {listed(fields)}")


def checked_path(path: Any) -> Path:
    """The path, if a file can stand there."""
    file_path(path)
    checked = Path(path)
    if not checked.name or not checked.parent.is_dir():
        raise FileNotFoundError(f"path must be a file in a folder that exists, got {short(str(path))}")
    return checked


def refuse_taken(path: Path, instead: str = "") -> None:
    """Refuse a path where there is something, or where a killed run left its log, which belongs to the file it had."""
    if os.path.lexists(path):
        raise RunError(
            f"path must be of a new file, there is one at {short(str(path))}; fl.open_run(path).resume() continues it{instead}"
        )
    log = f"{path}-wal"
    if os.path.lexists(log):
        raise RunError(
            f"path must be of a new file, and at {short(log)} is the end of a killed run that was at {short(str(path))}: "
            "put its file back, or take this one away, too"
        )


def recording(begin: Begin, states: Iterable[Any], validated: bool | None = None) -> Generator[Any, None, None]:
    """The same stream, whose first state `begin` makes the writer of that gets all others.

    Args:
        validated: whether its epochs have metrics on validation data, if that is to be checked.
    """
    writer = before = None
    try:
        for state, seconds in timed(states):
            if writer is None:
                writer = begin(state)
            else:
                _check_next(before, state, validated)
                writer.put(state, seconds)
            before = state
            yield state
    finally:
        if writer is not None:
            writer.close()


def _check_next(before: Any, state: Any, validated: bool | None) -> None:
    """Refuse a state that the epoch function does not make of the one before."""
    if not (isinstance(state, TrainState) and isinstance(before, TrainState)):
        return
    stopped, epochs = state.stop_reason is not None, state.epoch - before.epoch
    if (state.progress.batches and not stopped) or not (epochs == 1 or (stopped and epochs == 0)):
        raise ValueError(
            f"states must be an epoch apart, as those of fl.epochs are, got one with {state.epoch} epochs and "
            f"{state.progress.batches} batches behind one with {before.epoch} epochs"
        )
    if validated is not None and epochs == 1 and any(name.startswith("val_") for name in state.metrics) != validated:
        raise ValueError(
            f"validation must be that of the stream, whose states have the metrics {listed(state.metrics)}, got "
            f"{'some' if validated else 'none'}"
        )


def start(
    path: Path,
    info: Mapping[str, str],
    arrays: Mapping[str, Array],
    state: Any,
    monitored: tuple[str, Mode] | None,
    snapshot_every: int | None,
    overwrite: bool = False,
) -> Writer:
    """The writer of a new file, which holds the first state."""
    release = lock(path)
    try:
        there = overwrite and os.path.lexists(path)
        if not there:
            refuse_taken(path)
        row = first_row(state)
        content, own = pack_state(state)
        create(path, info, {**arrays, **own}, row, content, take_place if there else os.link)
        return Writer(
            path,
            row.chained(root(info)),
            state,
            (),
            monitor=monitored,
            best=(None, None),
            snapshot_every=snapshot_every,
            release=release,
        )
    except BaseException as error:
        release()
        if isinstance(error, FileExistsError):
            refuse_taken(path)
        raise


def first_row(state: Any) -> Row:
    """The row of the state that a run begins with: its metrics, if it has any, are those of another run."""
    row, _ = make_row(0, state, 0.0, 0, {})
    return row._replace(metrics_json="{}")


def describe(
    trainer: Trainer | None,
    train: Dataset | None,
    validation: Dataset | None,
    engine: str,
    monitored: tuple[str, Mode] | None,
    preprocessing: Preprocessing | None,
    **more: Any,
) -> tuple[dict[str, str], dict[str, Array]]:
    """What a run is begun with, as JSON by name, and its arrays by their hashes."""
    arrays: dict[str, Array] = {}

    def held(value: Any, hashes: Hashes | None = None, packing: Pack = pack) -> str | None:
        text, own = packing(value, hashes)
        arrays.update(own)
        return text

    def of_data(data: Dataset | None) -> Any:
        if data is None:
            return None
        hashes: dict[int, Hashed] = {}
        hashed = hash_of(data, now=hashes).hex()
        return {"digest": hashed, "examples": len(data), "packed": held(data, hashes) if room >= 0 else None}

    room = HELD - sum(_nbytes(data) for data in (train, validation) if data is not None)
    try:
        packed = None if trainer is None else held(trainer, packing=pack_checked)
    except TypeError:  # it holds functions, or records that are not made by their fields' names
        packed = None
    info = {
        "trainer": None
        if trainer is None
        else {"digest": digest(trainer), "packed": packed, "repr": short_call(trainer)[:10_000]},
        "train": of_data(train),
        "validation": of_data(validation),
        "engine": engine,
        "monitor": monitored,
        "environment": environment(engine, None if trainer is None else trainer.blas_threads()),
        "preprocessing": None if preprocessing is None else held(preprocessing),
        "parent": None,
        "before": [],
        **more,
    }
    return {name: _bounded(name, json.dumps(value)) for name, value in info.items()}, arrays


def _bounded(name: str, text: str) -> str:
    try:
        return bounded(text)
    except ValueError as error:
        raise ValueError(f"what a run file says of {short(name)} must be shorter: {error}") from None


def _nbytes(data: Dataset) -> int:
    return sum(array.nbytes for array in (data.x, data.y, data.weights) if isinstance(array, np.ndarray))
