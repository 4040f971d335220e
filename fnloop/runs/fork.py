"""A state taken over by another trainer: a run that branches off."""

import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

from fnloop.data import Dataset
from fnloop.early_stopping import EarlyStoppingState, StopReason
from fnloop.errors import RunError
from fnloop.loop import make_epoch
from fnloop.parameters import Params
from fnloop.record import digest, evolve, field_names, same_bits
from fnloop.runs.recording import checked_path, describe, refuse_taken, start
from fnloop.runs.replay import Replay
from fnloop.short import listed, short
from fnloop.state import TrainState, begun
from fnloop.trainer import Trainer

Metrics = Mapping[str, float]


def fork(
    replay: Replay, epoch: int, path: str | os.PathLike[str], train: Dataset | None, validation: Dataset | None, changes: Any
) -> dict[str, Any]:
    """Make the file of a run that begins with the state behind an epoch; returned is what it is opened with."""
    reader, target = replay.reader, checked_path(path)
    refuse_taken(target)
    position = reader.position_of(epoch)
    for name, value in (("train", train), ("validation", validation)):
        if value is not None and not isinstance(value, Dataset):
            raise TypeError(f"{name} must be a fl.Dataset or None, got {short(value)}")
    data = (
        reader.data("train") if train is None else train,
        reader.data("validation") if validation is None else validation,
    )
    trainer, before = reader.trainer, [*reader.said["before"], *(row.metrics for row in reader.rows()[1 : position + 1])]
    if trainer is None:
        if changes:
            raise ValueError(f"changes are of a trainer, and the run of a step of one's own has none, got {listed(changes)}")
        state = replay.at(position)
    else:
        trainer = _changed(trainer, changes)
        state = carry_over(replay, position, trainer, before)
        make_epoch(trainer, *data, engine=reader.said["engine"])  # type: ignore[arg-type]  # refuses what does not fit
        trainer.check_start(state)
    monitored = None if trainer is None else trainer.monitored(data[1] is not None)
    parent = {
        "path": str(reader.path),
        "epoch": epoch,
        "digest": reader.row(position).digest,
        "changes": {name: repr(value) for name, value in changes.items()}
        | {name: digest(value) for name, value in (("train", train), ("validation", validation)) if value is not None},
    }
    said = describe(trainer, *data, reader.said["engine"], monitored, reader.preprocessing, parent=parent, before=before)
    start(target, *said, state, monitored, None).close()
    return {"trainer": trainer, "step": reader.handed["step"], "train": data[0], "validation": data[1]}


def _changed(trainer: Trainer, changes: Mapping[str, Any]) -> Trainer:
    names = field_names(Trainer)
    for name in changes:
        if name not in names:
            raise TypeError(f"changes must be of {listed(names)}, train or validation, got {short(name)}")
    return evolve(trainer, **changes)


def carry_over(replay: Replay, position: int, trainer: Trainer, before: Sequence[Metrics]) -> TrainState:
    """The state at a position, as another trainer would have it: the same parameters, the rest as if it had been there always.

    Args:
        before: the metrics of the epochs so far.
    Raises: ValueError: if the trainer cannot go on from there.
    """
    old: Any = replay.reader.trainer
    state: TrainState = replay.at(position)
    if same_bits(trainer, old):
        return state
    stopping_changed = not same_bits(trainer.early_stopping, old.early_stopping)
    if stopping_changed and state.stop_reason == StopReason.NO_IMPROVEMENT:
        state = _unstopped(replay, position, old)
    params = Params(state.params.vector, _fitting(state, trainer, old))
    optimizer = (
        state.optimizer if _keeps(old.optimizer) == _keeps(trainer.optimizer) else trainer.optimizer.init(params.vector)
    )
    optimizer = evolve(optimizer, averaged=any(part.averages for part in trainer.optimizer.parts))
    scheduler = state.scheduler
    if not same_bits((trainer.scheduler, trainer.schedule_every), (old.scheduler, old.schedule_every)):
        scheduler = _scheduled(trainer, state, before)
    stopping = state.early_stopping
    if stopping_changed:
        stopping = _stopping(replay, trainer, state, before)
    if state.running.batches:
        if (trainer.batch_size, trainer.accumulate) != (old.batch_size, old.accumulate):
            raise ValueError("batch_size and accumulate must stay as they are within an epoch, where this run began")
        running = state.running
    else:
        running = begun(scheduler.lr)
    return evolve(state, params=params, optimizer=optimizer, scheduler=scheduler, early_stopping=stopping, running=running)


def _unstopped(replay: Replay, position: int, old: Trainer) -> TrainState:
    """The state of the epoch that the run stopped in, without the best one's parameters in the place of its own."""
    reader = replay.reader
    trainer = evolve(old, early_stopping=None, threads=replay.threads or old.threads)
    epoch = make_epoch(trainer, reader.train, reader.validation, engine=reader.said["engine"])
    return epoch(replay.at(position - 1))


def _fitting(state: TrainState, trainer: Trainer, old: Trainer) -> Any:
    """The trainer's model, if the state's arrays are laid out as its are."""
    shapes = [
        ([slot.shape for slot in model.layout], [b.shape for b in model.buffers]) for model in (old.model, trainer.model)
    ]
    if shapes[0] != shapes[1]:
        raise ValueError(
            f"model must have layers of the same shapes as the state has, {shapes[0][0]}, got {shapes[1][0]}"
            if shapes[0][0] != shapes[1][0]
            else f"model must have buffers of the same shapes as the state has, {shapes[0][1]}, got {shapes[1][1]}"
        )
    if trainer.dtype != old.dtype:
        raise ValueError(f"dtype must stay {short(old.dtype)}, which the state's arrays are of, got {short(trainer.dtype)}")
    return trainer.model


def _keeps(optimizer: Any) -> list[str]:
    """The parts of an optimizer that keep arrays: where they are the same, the arrays are."""
    return [digest(part) for part in optimizer.parts if part.slots]


def _scheduled(trainer: Trainer, state: TrainState, before: Sequence[Metrics]) -> Any:
    """The scheduler's state where it would stand by now."""
    scheduler = trainer.scheduler.init()
    if trainer.schedule_every == "step":
        for _ in range(state.optimizer.count):
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
        return EarlyStoppingState(math.nan)
    found, first = policy.init(), state.epoch - len(before) + 1
    for epoch, metrics in enumerate(before, start=first):
        found = policy.step(found, metrics, epoch)
        if found.reason is not None:
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
            return evolve(found, best_vector=kept.best_vector, best_buffers=kept.best_buffers)
    return evolve(found, best_vector=best.params.vector, best_buffers=best.buffers)
