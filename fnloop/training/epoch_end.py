"""The end of an epoch: its metrics, early stopping, and the schedule."""

from collections.abc import Callable

from fnloop.core.records import evolve
from fnloop.training.early_stopping import EarlyStoppingState
from fnloop.training.measurement import Measure, Metrics, metrics_from_sums
from fnloop.training.state import Stopped, StopReason, TrainState, epoch_start
from fnloop.training.trainer import Trainer


def make_epoch_end(trainer: Trainer, measure: Measure | None) -> Callable[[TrainState], TrainState]:
    """Return the pure function from the state after an epoch's last batch to the state at the end of the epoch.

    Args:
        trainer: A resolved trainer.
        measure: Measures a state on the validation data; None without validation data.
    """
    return lambda state: end_epoch(trainer, state, {} if measure is None else measure(state))


def end_epoch(trainer: Trainer, state: TrainState, measured: Metrics) -> TrainState:
    """Return the state at the end of an epoch.

    Args:
        trainer: A resolved trainer.
        state: The state after the epoch's last batch.
        measured: Its metrics on the validation data; empty without validation data.
    """
    metrics = metrics_from_sums(trainer, state.progress.sums.tolist(), state.progress.examples)
    metrics |= {f"val_{name}": value for name, value in measured.items()}
    metrics["lr"] = state.progress.lr
    epoch, policy, stopping, scheduler = state.epoch + 1, trainer.early_stopping, state.early_stopping, state.scheduler
    if policy is not None:
        stopping = policy.step(stopping, metrics, epoch, state.params.vector, state.buffers)
    if trainer.schedule_every == "epoch":
        scheduler = trainer.scheduler.step(scheduler, metrics)
    return evolve(
        state,
        scheduler=scheduler,
        early_stopping=stopping,
        epoch=epoch,
        progress=epoch_start(scheduler.lr),
        metrics=metrics,
        stopped=None if stopping.stopped_epoch is None else _no_improvement(stopping, epoch, state.step),
    )


def _no_improvement(stopping: EarlyStoppingState, epoch: int, step: int) -> Stopped:
    best = f"best {stopping.best:.4g} in epoch {stopping.best_epoch}" if stopping.best_epoch else "no best value"
    cause = f"{stopping.metric} for {stopping.wait} epochs, {best}"
    return Stopped(reason=StopReason.NO_IMPROVEMENT.value, epoch=epoch, step=step, cause=cause)
