"""A state of one trainer made a state of another: each part is kept, starts over, or is an error.

`epochs(start=...)`, `steps`, `fit` and `Run.fork` all use it, so they treat a state alike.
"""

from collections.abc import Mapping
from typing import NamedTuple

from fnloop.core.digest import same_bits, stable_repr
from fnloop.core.formatting import short
from fnloop.core.records import evolve
from fnloop.data.dataset import Dataset
from fnloop.metrics import is_loss
from fnloop.nn.model import Params
from fnloop.optimizers import OptimizerState
from fnloop.optimizers.elementwise import qualified_slot_names
from fnloop.schedulers import migrate
from fnloop.schedulers.migration import Comparable
from fnloop.schedulers.scheduler import LearningRateState
from fnloop.training.early_stopping import NO_EARLY_STOPPING, EarlyStoppingState
from fnloop.training.encoding import find_names, with_names
from fnloop.training.state import StopReason, TrainState, epoch_start
from fnloop.training.state_checks import check_model, check_plan, list_slots, make_plan
from fnloop.training.trainer import Trainer

Metrics = Mapping[str, float]


class Adapted(NamedTuple):
    """A state that a trainer can continue from.

    Args:
        state: The state.
        notes: A sentence for each part of the former state that was not kept, by the name of the part.
    """

    state: TrainState
    notes: Mapping[str, str]


def adapt(
    trainer: Trainer,
    state: TrainState,
    train: Dataset,
    has_validation: bool,
    name: str = "start",
    *,
    other_validation: bool = False,
) -> Adapted:
    """Return the state as this trainer continues from it; a state of this trainer is returned unchanged.

    It keeps the parameters; the slots of each part of the optimizer that is the same; the position in a schedule, with the new
    schedule's rate; and the best value and the wait of early stopping on the same metric. Other parts start over.

    Args:
        trainer: The trainer to continue with.
        state: The state, of this or another trainer.
        train: The training data to continue with.
        has_validation: Whether the run to come has validation data.
        name: The name of the argument, for messages.
        other_validation: Whether the validation data is known to differ: then metrics on it cannot be compared.

    Raises:
        TypeError: If it is not a state.
        ValueError: If the state was trained on other columns or classes, if the model's arrays have other shapes or another
            dtype, or if the state is within an epoch that this trainer and these data cannot finish.
    """
    if not isinstance(state, TrainState):
        raise TypeError(f"{name} must be a TrainState, got {short(state)}")
    trainer = trainer.resolve(train)
    state = with_names(state, find_names(trainer.loss, trainer.model.outputs, train), name)
    model, loss = check_model(trainer, state, name), stable_repr(trainer.loss)
    check_plan(state, make_plan(trainer, train), loss, name)
    same_loss, same_model = loss == state.loss, model is state.params.model
    metric_names = {*trainer.metric_names(has_validation), "lr"}

    def keep_metrics(metrics: Metrics) -> Metrics:
        """Return the metrics if this trainer would measure the same ones on these data, else none."""
        is_same = same_loss and same_model and not other_validation and set(metrics) == metric_names
        return metrics if is_same else {}

    def is_comparable(metric: str) -> bool:
        """Return whether earlier values of a metric can be compared with later ones."""
        is_on_other_data = other_validation and metric.startswith("val_")
        return same_model and (same_loss or not is_loss(metric)) and not is_on_other_data

    metrics = keep_metrics(state.metrics)
    optimizer, optimizer_note = _adapt_optimizer(trainer, state)
    scheduler, scheduler_note = _adapt_scheduler(trainer, state, is_comparable)
    stopping, stopping_note = _adapt_early_stopping(trainer, state, metrics, is_comparable)
    if stopping.best_metrics:
        stopping = evolve(stopping, best_metrics=keep_metrics(stopping.best_metrics))
    adapted = evolve(
        state,
        params=Params(state.params.vector, model),
        optimizer=optimizer,
        scheduler=scheduler,
        early_stopping=stopping,
        progress=state.progress if state.progress.batches else epoch_start(scheduler.lr),
        metrics=metrics,
        loss=loss,
    )
    notes = {
        "model": None if same_model else "the model is another one, whose layers have the same shapes",
        "validation": "the validation data is not that of the state's metrics" if other_validation else None,
        "optimizer": optimizer_note,
        "scheduler": scheduler_note,
        "early_stopping": stopping_note,
    }
    return Adapted(_continue_if_changed(state, adapted), {part: note for part, note in notes.items() if note is not None})


def _adapt_optimizer(trainer: Trainer, state: TrainState) -> tuple[OptimizerState, str | None]:
    old, names = state.optimizer, qualified_slot_names(trainer.optimizer)
    if old.slot_names == names:
        return old, None
    fresh = trainer.optimizer.init(state.params.vector)
    slots = dict(zip(old.slot_names, old.slots, strict=True))
    if names and all(name in slots for name in names):  # the state has all slots, as after a part was removed
        return evolve(fresh, count=old.count, slots=tuple(slots[name] for name in names)), None
    return fresh, (
        f"the optimizer starts over: the state has {list_slots(old.slot_names)}, the trainer's optimizer {list_slots(names)}"
    )


def _adapt_scheduler(trainer: Trainer, state: TrainState, is_comparable: Comparable) -> tuple[LearningRateState, str | None]:
    t = state.updates if trainer.schedule_every == "step" else state.epoch
    scheduler, is_complete = migrate(trainer.scheduler, state.scheduler, t, is_comparable)
    name = type(trainer.scheduler).__name__
    note = None if is_complete else f"the schedule {name} starts over: the state has no values of the metric that it monitors"
    return scheduler, note


def _adapt_early_stopping(
    trainer: Trainer, state: TrainState, metrics: Metrics, is_comparable: Comparable
) -> tuple[EarlyStoppingState, str | None]:
    policy, old = trainer.early_stopping, state.early_stopping
    if policy is None:
        return NO_EARLY_STOPPING, None
    fresh = policy.init()
    if (old.metric, old.mode) == (fresh.metric, fresh.mode) and is_comparable(policy.metric):
        kept = old if policy.restore_best else evolve(old, best_vector=None, best_buffers=(), best_metrics={})
        return evolve(kept, stopped_epoch=old.stopped_epoch if old.wait >= policy.patience else None), None
    if policy.metric in metrics:
        stepped = policy.step(fresh, metrics, state.epoch, state.params.vector, state.buffers)
        fresh = stepped if stepped.best_epoch else fresh
    if not old.best_epoch:
        return fresh, None
    return fresh, "early stopping starts over: the best value so far is of another metric, loss or model, or of other data"


def _continue_if_changed(state: TrainState, adapted: TrainState) -> TrainState:
    """Return the state itself if nothing changed, else the adapted one.

    A stopped state then continues, unless the new policy of early stopping stops it as well: a failed step depends on
    everything, so that any change may be its remedy.
    """
    if same_bits(adapted, state):
        return state
    if state.stopped is None:
        return adapted
    if state.stopped.reason == StopReason.NO_IMPROVEMENT and adapted.early_stopping.stopped_epoch is not None:
        return adapted
    return evolve(adapted, stopped=None)
