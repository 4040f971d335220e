"""Checks that a state fits a trainer: its model, its optimizer, and the epoch that it is in."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fnloop.core.digest import same_bits
from fnloop.core.formatting import cut_end
from fnloop.data.dataset import Dataset
from fnloop.nn import Model
from fnloop.optimizers.elementwise import qualified_slot_names
from fnloop.training.state import EpochPlan, TrainState
from fnloop.training.trainer import Trainer

MAX_LENGTH = 90  # characters of the names of slots in a message


def make_plan(trainer: Trainer, train: Dataset) -> EpochPlan:
    """Return the plan of each epoch of a trainer on training data."""
    return EpochPlan(
        examples=len(train),
        examples_per_update=trainer.batch_size * trainer.accumulate,
        seed=trainer.seed,
        metrics=tuple(metric.name for metric in trainer.summed_metrics()),
    )


def make_optimizer_check(trainer: Trainer) -> Callable[[TrainState], None]:
    """Return the function that checks that a state has the slots of the trainer's optimizer.

    Raises:
        ValueError: From the function. The message has the slots of both.
    """
    names = qualified_slot_names(trainer.optimizer)

    def check(state: TrainState) -> None:
        if state.optimizer.slot_names != names:
            raise ValueError(
                f"state must be of the trainer's optimizer, with {list_slots(names)}, got one with "
                f"{list_slots(state.optimizer.slot_names)}; fl.epochs(trainer, train, start=state) adapts it"
            )

    return check


def list_slots(names: Sequence[str]) -> str:
    """Return the names of slots for a message."""
    return cut_end(", ".join(names) or "no slots", MAX_LENGTH)


def check_model(trainer: Trainer, state: TrainState, name: str) -> Model:
    """Check that the state's arrays have the shapes of the trainer's model, and return the model.

    If the models have the same bits, the state's own model is returned.

    Raises:
        ValueError: If dtype or shapes differ.
    """
    old, new = state.params.model, trainer.model
    if state.params.vector.dtype != trainer.dtype:
        raise ValueError(f"{name} has parameters of {state.params.vector.dtype}; the trainer's dtype is {trainer.dtype}")
    if same_bits(old, new):
        return old
    for kind, old_shapes, new_shapes in (
        ("parameters", _shapes(old), _shapes(new)),
        ("buffers", [buffer.shape for buffer in state.buffers], [np.shape(buffer) for buffer in new.buffers]),
    ):
        if old_shapes != new_shapes:
            raise ValueError(
                f"{name} is of another model, with {kind} of shapes {old_shapes}; "
                f"those of the trainer's model are {new_shapes}"
            )
    return new


def _shapes(model: Model) -> list[tuple[int, ...]]:
    return [slot.shape for slot in model.layout]


def check_plan(state: TrainState, plan: EpochPlan, loss: str, name: str) -> None:
    """Check that a state within an epoch can finish the epoch: else examples would count twice, or not at all.

    Args:
        state: The state.
        plan: The plan of the trainer's epochs.
        loss: The trainer's loss, as a state names it.
        name: The name of the argument, for messages.

    Raises:
        ValueError: If it cannot. The message has both values of what differs.
    """
    progress = state.progress
    if not progress.batches:
        return
    if progress.plan is None:
        _check_counts(state, plan, name)
        return
    comparisons: tuple[tuple[str, Any, Any], ...] = (
        ("the loss {}", state.loss, loss),
        ("batches of {} examples", progress.plan.examples_per_update, plan.examples_per_update),
        ("{} examples", progress.plan.examples, plan.examples),
        ("the order of seed {}", progress.plan.seed, plan.seed),
        ("the metrics {}", ", ".join(progress.plan.metrics) or "none", ", ".join(plan.metrics) or "none"),
    )
    for template, old, new in comparisons:
        if old != new:
            raise ValueError(
                f"{name} is within an epoch of {template.format(old)}, which cannot be continued with {template.format(new)}; "
                "start from a state at the end of an epoch"
            )


def _check_counts(state: TrainState, plan: EpochPlan, name: str) -> None:
    """Check the counts of a state whose epoch has no plan, since it was trained by single steps."""
    progress, size = state.progress, plan.examples_per_update
    possible = min(progress.batches * size, plan.examples)
    if progress.examples > possible or progress.batches > plan.batches:
        raise ValueError(
            f"{name} is within an epoch, after {progress.batches} batches with {progress.examples} examples; this trainer "
            f"and these data have batches of {size} and {plan.examples} examples in an epoch"
        )
