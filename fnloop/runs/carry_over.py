"""The state of a run for a changed trainer: a new schedule or early stopping is replayed over the metrics so far."""

from collections.abc import Mapping, Sequence

from fnloop.core.digest import same_bits
from fnloop.core.errors import RunError
from fnloop.core.formatting import short
from fnloop.core.records import evolve
from fnloop.core.warnings import warn
from fnloop.data.dataset import Dataset
from fnloop.metrics import is_loss
from fnloop.runs.replay import Replay
from fnloop.schedulers.scheduler import LearningRateState, monitored_metrics
from fnloop.training.adapt import adapt
from fnloop.training.early_stopping import EarlyStopping, EarlyStoppingState
from fnloop.training.state import TrainState, epoch_start
from fnloop.training.trainer import Trainer

Metrics = Mapping[str, float]


def carry_over(
    replay: Replay,
    position: int,
    old: Trainer,
    trainer: Trainer,
    train: Dataset,
    validation: Dataset | None,
    earlier_metrics: Sequence[Metrics],
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
        earlier_metrics: The metrics of each epoch so far, without those that `comparable_metrics` removes.
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
        complete = len(earlier_metrics) >= state.epoch and all(needed <= metrics.keys() for metrics in earlier_metrics)
        if not needed or complete:
            scheduler = _replay_schedule(trainer, state, earlier_metrics)
    policy = trainer.early_stopping
    if policy is not None and not same_bits(policy, old.early_stopping):
        known = _last_with(policy.metric, earlier_metrics)
        early_stopping = _replay_early_stopping(replay, policy, state, known) if known else early_stopping
        if early_stopping.best_metrics.keys() != {*trainer.metric_names(validated), "lr"}:
            early_stopping = evolve(early_stopping, best_metrics={})
    progress = adapted.progress if adapted.progress.batches else epoch_start(scheduler.lr)
    changed = evolve(adapted, scheduler=scheduler, early_stopping=early_stopping, progress=progress)
    unchanged_or_running = changed.stopped is None or same_bits(trainer, old)
    if unchanged_or_running or changed.early_stopping.stopped_epoch is not None:
        return changed
    return evolve(changed, stopped=None)  # what stopped the run does not stop the changed trainer


def comparable_metrics(
    earlier_metrics: Sequence[Metrics], old: Trainer, trainer: Trainer, new_validation: bool
) -> Sequence[Metrics]:
    """Return the metrics of each epoch without those that a changed trainer or changed data would compute differently.

    Args:
        earlier_metrics: The metrics of each epoch.
        old: The trainer of the run.
        trainer: The changed trainer.
        new_validation: Whether the validation data is changed.
    """
    if not same_bits(trainer.model, old.model):
        return [{} for _ in earlier_metrics]
    same_loss = same_bits(trainer.loss, old.loss)

    def is_comparable(name: str) -> bool:
        return (same_loss or not is_loss(name)) and not (new_validation and name.startswith("val_"))

    return [{name: value for name, value in metrics.items() if is_comparable(name)} for metrics in earlier_metrics]


def _last_with(metric: str, earlier_metrics: Sequence[Metrics]) -> Sequence[Metrics]:
    """Return the metrics of the last consecutive epochs that have a metric."""
    missing = [i for i, metrics in enumerate(earlier_metrics, start=1) if metric not in metrics]
    return earlier_metrics[max(missing, default=0) :]


def _replay_schedule(trainer: Trainer, state: TrainState, earlier_metrics: Sequence[Metrics]) -> LearningRateState:
    """Return the state of the scheduler after all updates or epochs so far."""
    scheduler = trainer.scheduler.init()
    if trainer.schedule_every == "step":
        for _ in range(state.updates):
            scheduler = trainer.scheduler.step(scheduler)
        return scheduler
    unknown: list[Metrics] = [{}] * (state.epoch - len(earlier_metrics))
    for metrics in [*unknown, *earlier_metrics][: state.epoch]:
        scheduler = trainer.scheduler.step(scheduler, metrics)
    return scheduler


def _replay_early_stopping(
    replay: Replay, policy: EarlyStopping, state: TrainState, last_metrics: Sequence[Metrics]
) -> EarlyStoppingState:
    """Return the state of early stopping after the last epochs, with the parameters of the best one if it restores them.

    Raises:
        ValueError: If it would have stopped the run before, or the parameters of the best epoch cannot be recovered.
    """
    stopping, first = policy.init(), state.epoch - len(last_metrics) + 1
    for epoch, metrics in enumerate(last_metrics, start=first):
        stopping = policy.step(stopping, metrics, epoch)
        if stopping.stopped_epoch is not None:
            raise ValueError(f"early_stopping: {short(policy)} would have stopped the run in epoch {epoch} already")
    best_epoch = stopping.best_epoch
    if not policy.restore_best or not best_epoch:
        return stopping
    if best_epoch == state.epoch:
        return evolve(stopping, best_vector=state.params.vector, best_buffers=state.buffers)
    try:
        best = replay.at(replay.reader.position_of(best_epoch))
    except ValueError as error:
        old = state.early_stopping
        if isinstance(error, RunError) or old.best_epoch != best_epoch:
            raise ValueError(f"early_stopping: the parameters of the best epoch, {best_epoch}, are needed: {error}") from None
        return evolve(stopping, best_vector=old.best_vector, best_buffers=old.best_buffers, best_metrics=old.best_metrics)
    return evolve(stopping, best_vector=best.params.vector, best_buffers=best.buffers)
