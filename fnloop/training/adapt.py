"""A state adapted to a trainer that may not be the one it was trained by: part by part kept, begun anew, or refused.

`epochs(start=...)`, `steps`, `fit` and `Run.fork` all continue by this one function, so that they cannot differ.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

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
from fnloop.training.early_stopping import NO_EARLY_STOPPING, EarlyStoppingState
from fnloop.training.encoding import find_names, with_names
from fnloop.training.state import EpochPlan, StopReason, TrainState, epoch_start
from fnloop.training.trainer import Trainer

LONGEST = 90  # characters of the names of slots in a message


class Adapted(NamedTuple):
    """A state that a trainer can continue from, and by part what could not be kept, in words."""

    state: TrainState
    notes: Mapping[str, str]


def make_plan(trainer: Trainer, train: Dataset) -> EpochPlan:
    """The plan of each epoch of a trainer over data."""
    names = tuple(metric.name for metric in trainer.summed_metrics())
    return EpochPlan(len(train), trainer.batch_size * trainer.accumulate, trainer.seed, names)


def make_check(trainer: Trainer) -> Callable[[TrainState], None]:
    """The function that refuses a state of another optimizer: a slot means nothing to another part.

    Raises:
        ValueError: From the function, with the names of the slots that the state should have, and of those that it has.
    """
    names = qualified_slot_names(trainer.optimizer)

    def check(state: TrainState) -> None:
        if state.optimizer.slot_names != names:
            raise ValueError(
                f"state must be of the trainer's optimizer, with {_slots(names)}, got one with "
                f"{_slots(state.optimizer.slot_names)}; fl.epochs(trainer, train, start=state) adapts it"
            )

    return check


def _slots(names: Sequence[str]) -> str:
    text = ", ".join(names) or "no slots"
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def adapt(
    trainer: Trainer,
    state: TrainState,
    train: Dataset,
    validated: bool,
    name: str = "start",
    *,
    other_validation: bool = False,
) -> Adapted:
    """The state as this trainer can continue from it; the same state if this trainer made it.

    Kept are the parameters; slots of the optimizer whose part is the same; the position in a schedule, whose rate is the new
    schedule's; the best value and the wait of a policy that reads the same metric. The rest begins anew.

    Args:
        validated: Whether the epochs to come have metrics on validation data.
        name: What the state is called in messages.
        other_validation: Whether the validation data is known to be changed: values on it cannot be compared.

    Raises:
        TypeError: If it is not a state.
        ValueError: If the state was trained on other columns or classes, the model's arrays have other shapes or another
            dtype, or the state is within an epoch that this trainer and these data would continue otherwise than it was begun.
    """
    if not isinstance(state, TrainState):
        raise TypeError(f"{name} must be a TrainState, got {short(state)}")
    trainer = trainer.resolve(train)
    state = with_names(state, find_names(trainer, train), name)
    model, loss = _check_model(trainer, state, name), stable_repr(trainer.loss)
    _check_plan(state, make_plan(trainer, train), loss, name)
    notes = {} if model is state.params.model else {"model": "the model is another one, whose layers have the same shapes"}
    if other_validation:
        notes["validation"] = "the validation data is not that of the state's metrics"
    same_loss, same_model = loss == state.loss, model is state.params.model
    produced = {*trainer.metric_names(validated), "lr"}

    def kept(metrics: Mapping[str, float]) -> Mapping[str, float]:
        """The metrics, if they are those that this trainer would have measured on these data."""
        same = same_loss and same_model and not other_validation and set(metrics) == produced
        return metrics if same else {}

    def comparable(metric: str) -> bool:
        """Whether values of a metric from before can be compared with those to come."""
        measured_anew = other_validation and metric.startswith("val_")
        return same_model and (same_loss or not is_loss(metric)) and not measured_anew

    metrics = kept(state.metrics)
    optimizer = _optimizer(trainer, state, notes)
    scheduler = _scheduler(trainer, state, comparable, notes)
    stopping = _early_stopping(trainer, state, metrics, comparable, notes)
    if stopping.best_metrics:
        stopping = evolve(stopping, best_metrics=kept(stopping.best_metrics))
    progress = state.progress if state.progress.batches else epoch_start(scheduler.lr)
    adapted = evolve(
        state,
        params=state.params if model is state.params.model else Params(state.params.vector, model),
        optimizer=optimizer,
        scheduler=scheduler,
        early_stopping=stopping,
        progress=progress,
        metrics=metrics,
        loss=loss,
    )
    return Adapted(_reconsidered(trainer, state, adapted), notes)


def _check_model(trainer: Trainer, state: TrainState, name: str) -> Any:
    """The trainer's model, if the state's arrays are laid out as its are."""
    old, new = state.params.model, trainer.model
    if state.params.vector.dtype != trainer.dtype:
        raise ValueError(f"{name} has parameters of {state.params.vector.dtype}; the trainer's dtype is {trainer.dtype}")
    if same_bits(old, new):
        return old
    for kind, had, has in (
        ("parameters", _shapes(old.layout), _shapes(new.layout)),
        ("buffers", [b.shape for b in state.buffers], [np.shape(b) for b in new.buffers]),
    ):
        if had != has:
            raise ValueError(
                f"{name} is of another model, with {kind} of shapes {had}; those of the trainer's model are {has}"
            )
    return new


def _shapes(layout: Any) -> list[tuple[int, ...]]:
    return [slot.shape for slot in layout]


def _check_plan(state: TrainState, plan: EpochPlan, loss: str, name: str) -> None:
    """Refuse to continue an epoch otherwise than it was begun: examples would count twice, or not at all."""
    progress = state.progress
    if not progress.batches:
        return
    if progress.plan is None:
        most = min(progress.batches * plan.examples_per_update, plan.examples)
        if progress.examples > most or progress.batches > -(-plan.examples // plan.examples_per_update):
            raise ValueError(
                f"{name} is within an epoch, after {progress.batches} batches with {progress.examples} examples; this trainer "
                f"and these data have batches of {plan.examples_per_update} and {plan.examples} examples in an epoch"
            )
        return
    for field, had, has in (
        ("the loss {}", state.loss, loss),
        ("batches of {} examples", progress.plan.examples_per_update, plan.examples_per_update),
        ("{} examples", progress.plan.examples, plan.examples),
        ("the order of seed {}", progress.plan.seed, plan.seed),
        ("the metrics {}", ", ".join(progress.plan.metrics) or "none", ", ".join(plan.metrics) or "none"),
    ):
        if had != has:
            raise ValueError(
                f"{name} is within an epoch of {field.format(had)}, which cannot be continued with {field.format(has)}; "
                "start from a state at the end of an epoch"
            )


def _optimizer(trainer: Trainer, state: TrainState, notes: dict[str, str]) -> OptimizerState:
    old, names = state.optimizer, qualified_slot_names(trainer.optimizer)
    if old.slot_names == names:
        return old
    fresh = trainer.optimizer.init(state.params.vector)
    slots = dict(zip(old.slot_names, old.slots, strict=True))
    if names and all(name in slots for name in names):  # a part was taken away
        return evolve(fresh, count=old.count, slots=tuple(slots[name] for name in names))
    had, has = _slots(old.slot_names), _slots(names)
    notes["optimizer"] = f"the optimizer begins anew: the state has {had}, the trainer's optimizer {has}"
    return fresh


def _scheduler(trainer: Trainer, state: TrainState, comparable: Comparable, notes: dict[str, str]) -> Any:
    t = state.updates if trainer.schedule_every == "step" else state.epoch
    scheduler, kept = migrate(trainer.scheduler, state.scheduler, t, comparable)
    if not kept:
        name = type(trainer.scheduler).__name__
        notes["scheduler"] = f"the schedule {name} begins anew: the state has nothing of the metric that it reads"
    return state.scheduler if same_bits(scheduler, state.scheduler) else scheduler


def _early_stopping(
    trainer: Trainer, state: TrainState, metrics: Mapping[str, float], comparable: Comparable, notes: dict[str, str]
) -> EarlyStoppingState:
    policy, old = trainer.early_stopping, state.early_stopping
    if policy is None:
        return old if same_bits(old, NO_EARLY_STOPPING) else NO_EARLY_STOPPING
    fresh = policy.init()
    if (old.metric, old.mode) == (fresh.metric, fresh.mode) and comparable(policy.metric):
        stopped = old.stopped_epoch if old.wait >= policy.patience else None
        if policy.restore_best or old.best_vector is None:
            return old if stopped == old.stopped_epoch else evolve(old, stopped_epoch=stopped)
        return evolve(old, best_vector=None, best_buffers=(), best_metrics={}, stopped_epoch=stopped)
    if policy.metric in metrics:
        now = policy.step(fresh, metrics, state.epoch, state.params.vector, state.buffers)
        fresh = now if now.best_epoch else fresh
    if old.best_epoch:
        notes["early_stopping"] = (
            "early stopping begins anew: the best value so far is of another metric, loss or model, or of other data"
        )
    return fresh


def _reconsidered(trainer: Trainer, state: TrainState, adapted: TrainState) -> TrainState:
    """A stopped state continues if what stopped it has changed: the policy, or anything that the failing step depends on."""
    if same_bits(adapted, state):
        return state
    if state.stopped is None:
        return adapted
    if state.stopped.reason == StopReason.NO_IMPROVEMENT:
        return adapted if adapted.early_stopping.stopped_epoch is not None else evolve(adapted, stopped=None)
    return evolve(adapted, stopped=None)
