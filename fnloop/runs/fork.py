"""Forking: a new run that starts from a state of another, with changes to the trainer or the data."""

import os
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from fnloop.core.checks import Mode
from fnloop.core.digest import digest
from fnloop.core.fields import field_names
from fnloop.core.formatting import listed, short
from fnloop.core.records import evolve
from fnloop.data.dataset import Dataset
from fnloop.runs.carry_over import carry_over, comparable_metrics
from fnloop.runs.earlier_metrics import EarlierMetrics, earlier_metrics, joined
from fnloop.runs.files import check_target
from fnloop.runs.manifest import Parent, make_manifest
from fnloop.runs.positions import position_of
from fnloop.runs.reader import Reader, Supplied
from fnloop.runs.replay import Replay
from fnloop.runs.start import check_unused, start_run
from fnloop.runs.writer import WritingThread
from fnloop.training.loop import make_epoch
from fnloop.training.trainer import Trainer


def fork(
    replay: Replay,
    epoch: int,
    path: str | os.PathLike[str],
    train: Dataset | None,
    validation: Dataset | None,
    changes: Mapping[str, Any],
) -> Supplied:
    """Create the file of a run that starts from a state of another run.

    Args:
        replay: The other run.
        epoch: The epoch of the state.
        path: The new run file.
        train: New training data, or None for that of the run.
        validation: New validation data, or None for that of the run.
        changes: Fields of the trainer with their new values.

    Returns:
        What the new file is opened with, in case it does not hold it.

    Raises:
        RunError: If there is a file at the path, or it cannot be written.
        TypeError: If a change is not a field of the trainer, or of the wrong type.
        ValueError: If a change is invalid, or does not fit the state.
    """
    reader, target = replay.reader, check_target(path)
    check_unused(target)
    position = position_of(reader, epoch)
    new_data = {"train": train, "validation": validation}
    for name, value in new_data.items():
        if value is not None and not isinstance(value, Dataset):
            raise TypeError(f"{name} must be a fl.Dataset or None, got {short(value)}")
    train = reader.data("train") if train is None else train
    validation = reader.data("validation") if validation is None else validation
    earlier = _earlier_metrics(reader, position)
    old = trainer = reader.trainer
    if old is None or train is None:  # a trainer has training data
        if changes:
            raise ValueError(f"changes must be none for a run of a custom step, which has no trainer, got {listed(changes)}")
        state = replay.at(position)
    else:
        trainer = _changed(old, changes)
        make_epoch(trainer, train, validation, engine=reader.manifest.engine)  # refuses data that does not fit
        new_validation = new_data["validation"] is not None
        earlier = comparable_metrics(earlier, old, trainer, new_validation)
        state = carry_over(replay, position, old, trainer, train, validation, earlier, new_validation)
    parent = Parent(
        path=str(reader.path),
        epoch=epoch,
        digest=reader.row(position).digest,
        changes={name: repr(value) for name, value in changes.items()}
        | {name: digest(value) for name, value in new_data.items() if value is not None},
    )
    monitor, is_chosen = (None, False) if trainer is None else _monitored(reader, trainer, validation is not None)
    manifest, packed = make_manifest(
        trainer,
        train,
        validation,
        reader.manifest.engine,
        monitor,
        reader.preprocessing,
        parent=parent,
        earlier_metrics=earlier,
        monitor_is_chosen=is_chosen,
    )
    chosen = None if trainer is None or "threads" not in changes else trainer.blas_threads()
    start_run(target, manifest, packed, state, WritingThread(), threads=chosen or replay.threads_at(position)).close()
    return Supplied(trainer, reader.supplied.step, train, validation)


def _monitored(reader: Reader, trainer: Trainer, validated: bool) -> tuple[tuple[str, Mode], bool]:
    """Return the metric that selects the best state with its mode, and whether it was chosen for the run by name.

    A chosen metric is kept if the fork has it; its mode is that of the fork's trainer, or the recorded one if that is unknown.
    """
    manifest = reader.manifest
    if (
        manifest.monitor is None
        or not manifest.monitor_is_chosen
        or manifest.monitor[0] not in trainer.metric_names(validated)
    ):
        return trainer.monitored(validated), False
    metric, mode = manifest.monitor
    return (metric, trainer.known_mode(metric) or mode), True


def _earlier_metrics(reader: Reader, position: int) -> EarlierMetrics:
    """Return the metrics of all epochs up to a position, also of those before this run's own fork."""
    rows = pairwise(reader.rows()[: position + 1])
    own = earlier_metrics(row.metrics for previous, row in rows if row.epoch > previous.epoch)
    return joined(reader.earlier_metrics, own)


def _changed(trainer: Trainer, changes: Mapping[str, Any]) -> Trainer:
    names = field_names(Trainer)
    for name in changes:
        if name not in names:
            raise TypeError(f"changes must be of {listed(names)}, train or validation, got {short(name)}")
    return evolve(trainer, **changes)
