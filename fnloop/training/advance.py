"""A state advanced by an engine, over batches of an epoch or by one batch."""

from collections.abc import Callable, Sequence

import numpy as np

from fnloop.core.records import evolve
from fnloop.data.batching import Batch
from fnloop.data.dataset import Dataset
from fnloop.engines import Carry, Fault
from fnloop.nn.model import Params
from fnloop.schedulers.scheduler import LearningRateState
from fnloop.training.engine import computation_of, select_engine
from fnloop.training.measurement import quiet
from fnloop.training.state import EpochPlan, EpochProgress, TrainState
from fnloop.training.state_checks import make_plan
from fnloop.training.trainer import Trainer

Advance = Callable[[TrainState, int], TrainState | Fault]
Update = Callable[[TrainState, Batch], TrainState | Fault]


def make_advance(trainer: Trainer, train: Dataset, engine: str) -> Advance:
    """Return the function `advance(state, stop)`: the state after the epoch's batches up to number `stop`, or the fault."""
    fold, plan = select_engine(engine).make_fold(computation_of(trainer), train), make_plan(trainer, train)
    size = plan.examples_per_update

    def advance(state: TrainState, stop: int) -> TrainState | Fault:
        first = state.progress.batches
        if first == stop:
            return state
        rates, scheduler = next_rates(trainer, state, stop - first)
        with quiet():
            carry = fold(carry_of(state), rates, state.epoch, first)
        examples = min(stop * size, plan.examples) - first * size
        return carry.fault or with_carry(state, carry, rates, scheduler, examples, plan)

    return advance


def make_update(trainer: Trainer, engine: str) -> Update:
    """Return the function `update(state, batch)`: the state after one update with any batch, or the fault."""
    step = select_engine(engine).make_step(computation_of(trainer))

    def update(state: TrainState, batch: Batch) -> TrainState | Fault:
        with quiet():
            rates, scheduler = next_rates(trainer, state, 1)
            carry = step(carry_of(state), rates[0], batch.cast(trainer.dtype))
        return carry.fault or with_carry(state, carry, rates, scheduler, len(batch.x), None)

    return update


def next_rates(trainer: Trainer, state: TrainState, n: int) -> tuple[list[float], LearningRateState]:
    """Return the learning rates of the next n steps, and the scheduler's state after them."""
    scheduler = state.scheduler
    if trainer.schedule_every == "epoch":
        return [scheduler.lr] * n, scheduler
    rates = []
    for _ in range(n):
        rates.append(scheduler.lr)
        scheduler = trainer.scheduler.step(scheduler)
    return rates, scheduler


def carry_of(state: TrainState) -> Carry:
    """Return the part of a state that an engine folds."""
    return Carry(
        vector=state.params.vector,
        buffers=state.buffers,
        slots=state.optimizer.slots,
        optimizer_count=state.optimizer.count,
        step=state.step,
        sums=state.progress.sums.tolist(),
    )


def with_carry(
    state: TrainState,
    carry: Carry,
    rates: Sequence[float],
    scheduler: LearningRateState,
    examples: int,
    plan: EpochPlan | None,
) -> TrainState:
    """Return the state after steps at these rates, without metrics: those of the state before are of other parameters."""
    n, progress = len(rates), state.progress
    return evolve(
        state,
        params=Params(carry.vector, state.params.model),
        buffers=carry.buffers,
        optimizer=evolve(state.optimizer, count=carry.optimizer_count, slots=carry.slots),
        scheduler=scheduler,
        step=carry.step,
        updates=state.updates + n,
        progress=EpochProgress(
            batches=progress.batches + n,
            examples=progress.examples + examples,
            sums=np.array(carry.sums, dtype=np.float64),
            lr=rates[-1],
            plan=plan,
        ),
        metrics={},
    )
