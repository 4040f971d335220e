"""The state of a run for a changed trainer: a new schedule or early stopping is replayed over the metrics so far."""

from collections.abc import Iterator
from functools import reduce
from itertools import chain, islice, repeat

from fnloop.core.digest import same_bits
from fnloop.core.errors import RunError
from fnloop.core.formatting import short
from fnloop.core.records import evolve
from fnloop.core.warnings import warn
from fnloop.data.dataset import Dataset
from fnloop.metrics import is_loss
from fnloop.runs.earlier_metrics import EarlierMetrics, Metrics
from fnloop.runs.positions import position_of
from fnloop.runs.replay import Replay
from fnloop.schedulers import ClosedForm, migrate
from fnloop.schedulers.products import Product
from fnloop.schedulers.scheduler import LearningRateState, monitored_metrics, walk_schedulers
from fnloop.schedulers.sequences import Joined, Repeated
from fnloop.training.adapt import adapt
from fnloop.training.early_stopping import EarlyStopping, EarlyStoppingState
from fnloop.training.state import TrainState, epoch_start
from fnloop.training.trainer import Trainer


def carry_over(
    replay: Replay,
    position: int,
    old: Trainer,
    trainer: Trainer,
    train: Dataset,
    validation: Dataset | None,
    earlier: EarlierMetrics,
    new_validation: bool,
) -> TrainState:
    """Return the state at a position for a changed trainer.

    A new schedule or early stopping is in the state that it would be in if it had been used from the start, as far as the
    metrics so far tell.

    Args:
        replay: The run.
        position: The position of the state.
        old: The trainer of the run.
        trainer: The changed trainer.
        train: The training data of the new run.
        validation: The validation data of the new run, if any.
        earlier: The metrics of each epoch so far, without those that `comparable_metrics` removes.
        new_validation: Whether the validation data is changed.

    Raises:
        ValueError: If the trainer cannot continue from the state.
    """
    state: TrainState = replay.at(position)
    validated = validation is not None
    adapted, notes = adapt(trainer, state, train, validated, "the state", other_validation=new_validation)
    for part in ("model", "optimizer"):  # the notes on schedule and early stopping do not apply, they are replayed below
        if part in notes:
            warn(f"fork: {notes[part]}")
    scheduler, early_stopping = adapted.scheduler, adapted.early_stopping
    if not same_bits((trainer.scheduler, trainer.schedule_every), (old.scheduler, old.schedule_every)):
        needed = monitored_metrics(trainer.scheduler)
        if not needed or len(earlier.last_with(needed)) >= state.epoch:
            scheduler = _replay_schedule(trainer, state, earlier)
    policy = trainer.early_stopping
    if policy is not None and not same_bits(policy, old.early_stopping):
        known = earlier.last_with([policy.metric])
        early_stopping = _replay_early_stopping(replay, policy, state, known) if len(known) else early_stopping
        if early_stopping.best_metrics.keys() != {*trainer.metric_names(validated), "lr"}:
            early_stopping = evolve(early_stopping, best_metrics={})
    progress = adapted.progress if adapted.progress.batches else epoch_start(scheduler.lr)
    changed = evolve(adapted, scheduler=scheduler, early_stopping=early_stopping, progress=progress)
    unchanged_or_running = changed.stopped is None or same_bits(trainer, old)
    if unchanged_or_running or changed.early_stopping.stopped_epoch is not None:
        return changed
    return evolve(changed, stopped=None)  # what stopped the run does not stop the changed trainer


def comparable_metrics(earlier: EarlierMetrics, old: Trainer, trainer: Trainer, new_validation: bool) -> EarlierMetrics:
    """Return the metrics of each epoch without those that a changed trainer or changed data would compute differently.

    Args:
        earlier: The metrics of each epoch.
        old: The trainer of the run.
        trainer: The changed trainer.
        new_validation: Whether the validation data is changed.
    """
    same_model, same_loss = same_bits(trainer.model, old.model), same_bits(trainer.loss, old.loss)

    def is_comparable(name: str) -> bool:
        return same_model and (same_loss or not is_loss(name)) and not (new_validation and name.startswith("val_"))

    return earlier.only(list(filter(is_comparable, earlier.names)))


def _replay_schedule(trainer: Trainer, state: TrainState, earlier: EarlierMetrics) -> LearningRateState:
    """Return the state of the scheduler after all updates or epochs so far."""
    schedule, is_by_step = trainer.scheduler, trainer.schedule_every == "step"
    t = state.updates if is_by_step else state.epoch
    if all(isinstance(part, ClosedForm | Product | Joined | Repeated) for part in walk_schedulers(schedule)):
        return migrate(schedule, None, t).state  # type: ignore[no-any-return]
    unknown: Iterator[Metrics] = repeat({}, max(0, state.epoch - len(earlier)))
    metrics = repeat(None) if is_by_step else chain(unknown, earlier.mappings())
    return reduce(schedule.step, islice(metrics, t), schedule.init())


def _replay_early_stopping(
    replay: Replay, policy: EarlyStopping, state: TrainState, known: EarlierMetrics
) -> EarlyStoppingState:
    """Return the state of early stopping after the last epochs, with the parameters of the best one if it restores them.

    Raises:
        ValueError: If it would have stopped the run before, or the parameters of the best epoch cannot be recovered.
    """
    first = state.epoch - len(known) + 1
    stopping = policy.fold(known.only([policy.metric]).values.reshape(-1).tolist(), first)
    if stopping.stopped_epoch is not None:
        raise ValueError(
            f"early_stopping: {short(policy)} would have stopped the run in epoch {stopping.stopped_epoch} already"
        )
    best_epoch = stopping.best_epoch
    if not policy.restore_best or not best_epoch:
        return stopping
    stopping = evolve(stopping, best_metrics=known.epoch(best_epoch - first))
    if best_epoch == state.epoch:
        return evolve(stopping, best_vector=state.params.vector, best_buffers=state.buffers)
    try:
        best = replay.at(position_of(replay.reader, best_epoch))
    except ValueError as error:
        old = state.early_stopping
        if isinstance(error, RunError) or old.best_epoch != best_epoch or old.best_vector is None:
            parent = replay.reader.manifest.parent
            other = f"fork {short(parent.path)}, or " if parent is not None and best_epoch < parent.epoch else ""
            raise ValueError(
                f"early_stopping: restore_best=True needs the parameters of the best epoch, {best_epoch}: {error}; "
                f"{other}use restore_best=False"
            ) from None
        return evolve(stopping, best_vector=old.best_vector, best_buffers=old.best_buffers, best_metrics=old.best_metrics)
    return evolve(stopping, best_vector=best.params.vector, best_buffers=best.buffers)
