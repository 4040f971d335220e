"""A state taken over by another trainer: a run that branches off."""

import os
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from fnloop.core.digest import digest, same_bits
from fnloop.core.errors import RunError
from fnloop.core.fields import field_names
from fnloop.core.formatting import listed, short
from fnloop.core.records import evolve
from fnloop.core.warnings import warn
from fnloop.data.dataset import Dataset
from fnloop.metrics import is_loss
from fnloop.runs.manifest import Parent, make_manifest
from fnloop.runs.reader import Supplied
from fnloop.runs.replay import Replay
from fnloop.runs.start import check_target, check_unused, start_run
from fnloop.schedulers.scheduler import monitored_metrics
from fnloop.training.adapt import adapt
from fnloop.training.early_stopping import NO_EARLY_STOPPING, EarlyStoppingState
from fnloop.training.loop import make_epoch
from fnloop.training.state import TrainState, epoch_start
from fnloop.training.trainer import Trainer

Metrics = Mapping[str, float]


def fork(
    replay: Replay, epoch: int, path: str | os.PathLike[str], train: Dataset | None, validation: Dataset | None, changes: Any
) -> Supplied:
    """Make the file of a run that begins with the state behind an epoch; returned is what it is opened with."""
    reader, target = replay.reader, check_target(path)
    check_unused(target)
    position = reader.position_of(epoch)
    for name, value in (("train", train), ("validation", validation)):
        if value is not None and not isinstance(value, Dataset):
            raise TypeError(f"{name} must be a fl.Dataset or None, got {short(value)}")
    data = (
        reader.data("train") if train is None else train,
        reader.data("validation") if validation is None else validation,
    )
    done = [b.metrics for a, b in pairwise(reader.rows()[: position + 1]) if b.epoch > a.epoch]
    trainer, before = reader.trainer, [*reader.manifest.earlier_metrics, *done]
    if trainer is None:
        if changes:
            raise ValueError(f"changes are of a trainer, and the run of a step of one's own has none, got {listed(changes)}")
        state = replay.at(position)
    else:
        trainer = _changed(trainer, changes)
        make_epoch(trainer, *data, engine=reader.manifest.engine)  # type: ignore[arg-type]  # refuses what does not fit
        before = _comparable(before, trainer, reader.trainer, validation is not None)
        state = carry_over(replay, position, trainer, data, before, validation is not None)  # type: ignore[arg-type]
    monitored = None if trainer is None else trainer.monitored(data[1] is not None)
    parent = Parent(
        str(reader.path),
        epoch,
        reader.row(position).digest,
        {name: repr(value) for name, value in changes.items()}
        | {name: digest(value) for name, value in (("train", train), ("validation", validation)) if value is not None},
    )
    manifest, arrays = make_manifest(
        trainer, *data, reader.manifest.engine, monitored, reader.preprocessing, parent=parent, earlier_metrics=before
    )
    start_run(target, manifest, arrays, state).close()
    return Supplied(trainer, reader.supplied.step, *data)


def _changed(trainer: Trainer, changes: Mapping[str, Any]) -> Trainer:
    names = field_names(Trainer)
    for name in changes:
        if name not in names:
            raise TypeError(f"changes must be of {listed(names)}, train or validation, got {short(name)}")
    return evolve(trainer, **changes)


def carry_over(
    replay: Replay,
    position: int,
    trainer: Trainer,
    data: tuple[Dataset, Dataset | None],
    before: Sequence[Metrics],
    other_validation: bool,
) -> TrainState:
    """The state at a position, adapted to another trainer, whose policies stand where the metrics so far would have put them.

    Args:
        before: The metrics of the epochs so far that can be compared with those to come.
        other_validation: Whether the validation data is changed, so that metrics on it cannot be compared.

    Raises:
        ValueError: If the trainer cannot continue from there.
    """
    old: Any = replay.reader.trainer
    state: TrainState = replay.at(position)
    adapted, notes = adapt(trainer, state, data[0], data[1] is not None, "the state", other_validation=other_validation)
    for part in ("model", "optimizer"):  # the policies are put where they would be by now
        if part in notes:
            warn(f"fork: {notes[part]}")
    scheduler, stopping = adapted.scheduler, adapted.early_stopping
    if not same_bits((trainer.scheduler, trainer.schedule_every), (old.scheduler, old.schedule_every)):
        read = monitored_metrics(trainer.scheduler)
        if not read or (len(before) >= state.epoch and all(read <= metrics.keys() for metrics in before)):
            scheduler = _scheduled(trainer, state, before)
    policy = trainer.early_stopping
    if policy is not None and not same_bits(policy, old.early_stopping):
        known = _known(policy.metric, before)
        stopping = _stopping(replay, trainer, state, known) if known else stopping
        if stopping.best_metrics.keys() != {*trainer.metric_names(data[1] is not None), "lr"}:
            stopping = evolve(stopping, best_metrics={})
    progress = adapted.progress if adapted.progress.batches else epoch_start(scheduler.lr)
    changed = evolve(adapted, scheduler=scheduler, early_stopping=stopping, progress=progress)
    return changed if changed.stopped is None or same_bits(trainer, old) else _going_on(changed)


def _comparable(before: Sequence[Metrics], trainer: Trainer, old: Any, other_validation: bool) -> list[Metrics]:
    """Of the metrics of the epochs so far, those that mean the same under the new trainer on the new data."""
    if not same_bits(trainer.model, old.model):
        return [{} for _ in before]
    same_loss = same_bits(trainer.loss, old.loss)
    return [
        {
            name: value
            for name, value in metrics.items()
            if (same_loss or not is_loss(name)) and not (other_validation and name.startswith("val_"))
        }
        for metrics in before
    ]


def _known(metric: str, before: Sequence[Metrics]) -> Sequence[Metrics]:
    """The metrics of the last epochs in a row of which the value is known."""
    unknown = [i for i, metrics in enumerate(before, start=1) if metric not in metrics]
    return before[max(unknown, default=0) :]


def _going_on(state: TrainState) -> TrainState:
    """A state that stopped under another trainer: it stays so only if a policy of this one stops it, too."""
    return state if state.early_stopping.stopped_epoch is not None else evolve(state, stopped=None)


def _scheduled(trainer: Trainer, state: TrainState, before: Sequence[Metrics]) -> Any:
    """The scheduler's state after these metrics."""
    scheduler = trainer.scheduler.init()
    if trainer.schedule_every == "step":
        for _ in range(state.updates):
            scheduler = trainer.scheduler.step(scheduler)
        return scheduler
    unknown: list[Metrics] = [{}] * (state.epoch - len(before))
    for metrics in [*unknown, *before][: state.epoch]:
        scheduler = trainer.scheduler.step(scheduler, metrics)
    return scheduler


def _stopping(replay: Replay, trainer: Trainer, state: TrainState, before: Sequence[Metrics]) -> EarlyStoppingState:
    """The state of early stopping where it would stand by now, with the best epoch's parameters if they are to be restored."""
    policy = trainer.early_stopping
    if policy is None:
        return NO_EARLY_STOPPING
    found, first = policy.init(), state.epoch - len(before) + 1
    for epoch, metrics in enumerate(before, start=first):
        found = policy.step(found, metrics, epoch)
        if found.stopped_epoch is not None:
            raise ValueError(f"early_stopping: {short(policy)} would have stopped the run in epoch {epoch} already")
    if not policy.restore_best or not found.best_epoch:
        return found
    if found.best_epoch == state.epoch:
        best = state
    else:
        try:
            best = replay.at(replay.reader.position_of(found.best_epoch))
        except ValueError as error:
            if isinstance(error, RunError) or state.early_stopping.best_epoch != found.best_epoch:
                raise ValueError(
                    f"early_stopping: the parameters of the best epoch, {found.best_epoch}, are needed: {error}"
                ) from None
            kept = state.early_stopping
            return evolve(found, best_vector=kept.best_vector, best_buffers=kept.best_buffers, best_metrics=kept.best_metrics)
    return evolve(found, best_vector=best.params.vector, best_buffers=best.buffers)
