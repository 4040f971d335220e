"""Training as a fold: the step, the epoch, and the streams of states that they generate."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from toolz import reduce

from fnloop.data import Batch, Dataset, batches_from, check_array
from fnloop.early_stopping import EarlyStoppingState, StopReason
from fnloop.engines.numpy import Examples, add, copied, is_finite, make_update, outputs_over, sums_over
from fnloop.errors import NonFiniteError
from fnloop.optimizers import OptimizerState
from fnloop.parameters import Params
from fnloop.record import evolve, owned, same_bits
from fnloop.state import Running, TrainState
from fnloop.trainer import Trainer
from fnloop.typing import Array

Step = Callable[[TrainState, Batch], TrainState]
Epoch = Callable[[TrainState], TrainState]

ENGINES = ("numpy",)
_NO_SUMS = owned(np.zeros(0))
# What overflows is found in the result and answered as the trainer says, not warned of on the way.
_quiet = partial(np.errstate, all="ignore")


def init_state(trainer: Trainer) -> TrainState:
    """The state before anything is trained: a pure function of the trainer."""
    if not isinstance(trainer, Trainer):
        raise TypeError(f"trainer must be a fl.Trainer, got {trainer!r}")
    params = trainer.model.initial(trainer.seed, trainer.dtype)
    scheduler = trainer.scheduler.init()
    stopping = trainer.early_stopping.init() if trainer.early_stopping else EarlyStoppingState(math.nan)
    running = Running(0, 0, _NO_SUMS, scheduler.lr)
    return TrainState(params, (), trainer.optimizer.init(params.vector), scheduler, stopping, 0, 0, running, {})


def make_step(trainer: Trainer) -> Step:
    """The pure function `step(state, batch) -> state`: one update by the batch's mean gradient.

    A stopped state is returned as it is.

    Raises: ValueError: from the step, if the batch does not fit the model and the loss;
        NonFiniteError: from the step, if the loss, gradient or parameters stop being finite under `non_finite="raise"`.
    """
    advance = _make_advance(trainer)

    def step(state: TrainState, batch: Batch) -> TrainState:
        trainer.check(Dataset(batch.x, batch.y), "batch")
        cast = batch.x.astype(trainer.dtype, copy=False), batch.y.astype(trainer.dtype, copy=False)
        with _quiet():
            return advance(state, cast)

    return step


def _make_advance(trainer: Trainer) -> Callable[[TrainState, Examples], TrainState]:
    """The step, for examples that are known to fit."""
    fold = _make_fold(trainer)

    def advance(state: TrainState, examples: Examples) -> TrainState:
        if state.stop_reason is not None:
            return state
        moved = fold(state, [examples])
        return _non_finite(trainer, state) if moved is None else moved

    return advance


def _make_fold(trainer: Trainer) -> Callable[[TrainState, Iterable[Examples]], TrainState | None]:
    """The step folded over batches, or None if on the way something was not finite.

    The updates are done in place, in a copy of the state's arrays that nobody sees before all are done.
    """
    by_step = trainer.schedule_every == "step"

    def fold(state: TrainState, batches: Iterable[Examples]) -> TrainState | None:
        buffers = copied(state.params.vector, state.optimizer.slots)
        update = make_update(trainer, buffers)
        scheduler, running, count, taken = state.scheduler, state.running, state.optimizer.count, 0
        sums, examples, lr = running.sums.tolist(), running.examples, running.lr
        for x, y in batches:
            lr = scheduler.lr
            more = update(count + 1, lr, x, y)
            if more is None:
                return None
            sums = add(sums, more) if sums else more
            examples, count, taken = examples + len(x), count + 1, taken + 1
            if by_step:
                scheduler = trainer.scheduler.step(scheduler)
        if not is_finite(buffers.vector):
            return None
        return evolve(
            state,
            params=Params(owned(buffers.vector), state.params.model),
            optimizer=OptimizerState(count, tuple(owned(slot) for slot in buffers.slots)),
            scheduler=scheduler,
            step=state.step + taken,
            running=Running(running.batches + taken, examples, np.array(sums, dtype=np.float64), lr),
        )

    return fold


def _non_finite(trainer: Trainer, state: TrainState) -> TrainState:
    """What the trainer wants when a step cannot be taken."""
    running = state.running
    if trainer.non_finite == "raise":
        raise NonFiniteError(
            f"the loss, its gradient or the parameters became non-finite in epoch {state.epoch + 1}, step {state.step + 1}, "
            f"batch {running.batches + 1} (counted from 1), at learning rate {state.lr:g}"
        )
    if trainer.non_finite == "skip":
        return evolve(state, step=state.step + 1, running=evolve(running, batches=running.batches + 1))
    reason = StopReason.NON_FINITE.value
    return evolve(state, early_stopping=evolve(state.early_stopping, reason=reason, stopped_epoch=state.epoch))


def make_epoch(trainer: Trainer, train: Dataset, validation: Dataset | None = None) -> Epoch:
    """The pure function `epoch(state) -> state`: the step folded over the epoch's batches, then what an epoch's end brings.

    A state from the middle of an epoch is taken to its end. A stopped state is returned as it is.

    Raises: ValueError: if the data does not fit the model and the loss, or a metric is monitored that the run has not.
    """
    fold, advance, close = _make_fold(trainer), _make_advance(trainer), _make_close(trainer, train, validation)

    def epoch(state: TrainState) -> TrainState:
        if state.stop_reason is not None:
            return state
        with _quiet():
            trained = fold(state, _remaining(trainer, train, state))
            if trained is None:  # go through the epoch again with care: the state before the fault is wanted
                trained = reduce(advance, _remaining(trainer, train, state), state)
            return trained if trained.stop_reason is not None else close(trained)

    return epoch


def _remaining(trainer: Trainer, train: Dataset, state: TrainState) -> Iterator[Examples]:
    """The batches of the state's epoch that are still to come."""
    size = trainer.batch_size * trainer.accumulate
    return batches_from(train, size, trainer.seed, state.epoch, state.running.batches, trainer.dtype)


def _make_close(trainer: Trainer, train: Dataset, validation: Dataset | None) -> Epoch:
    """What the end of an epoch brings: its metrics, the scheduler's step, and the word on stopping."""
    trainer.check(train, "train")
    if validation is not None:
        trainer.check(validation, "validation")
    trainer.check_monitored(validation is not None)

    def close(state: TrainState) -> TrainState:
        metrics = _means(trainer, state.running.sums.tolist(), state.running.examples)
        if validation is not None:
            metrics |= {f"val_{name}": value for name, value in _measure(trainer, state, validation).items()}
        metrics["lr"] = state.running.lr
        params, epoch, stopping = state.params, state.epoch + 1, state.early_stopping
        if trainer.early_stopping is not None:
            stopping = trainer.early_stopping.step(stopping, metrics, epoch, params.vector)
            if stopping.reason is not None and stopping.best_vector is not None:
                params = Params(stopping.best_vector, params.model)
        scheduler = state.scheduler
        if trainer.schedule_every == "epoch":
            scheduler = trainer.scheduler.step(scheduler, metrics)
        running = Running(0, 0, _NO_SUMS, scheduler.lr)
        return evolve(
            state,
            params=params,
            scheduler=scheduler,
            early_stopping=stopping,
            epoch=epoch,
            running=running,
            metrics=metrics,
        )

    return close


def _means(trainer: Trainer, sums: Sequence[float], examples: int) -> dict[str, float]:
    """The loss and the metrics from their sums over examples; NaN if there were none."""
    if not examples:
        return {"loss": math.nan, **{metric.name: math.nan for metric in trainer.measured()}}
    values, start = {"loss": float(sums[0] / examples)}, 1
    for metric in trainer.measured():
        width = metric.width(trainer.model.outputs)
        values[metric.name] = metric.value(np.array(sums[start : start + width]), examples)
        start += width
    return values


def _measure(trainer: Trainer, state: TrainState, data: Dataset) -> dict[str, float]:
    return _means(trainer, sums_over(trainer, state.params.vector, data.x, data.y), len(data))


def _start(trainer: Trainer, start: TrainState | None) -> TrainState:
    """The state that a stream begins with."""
    if start is None:
        return init_state(trainer)
    if not isinstance(start, TrainState):
        raise TypeError(f"start must be a TrainState, got {start!r}")
    if not same_bits(start.params.model, trainer.model):
        raise ValueError(f"start is a state of another model, {start.params.model!r}; the trainer's is {trainer.model!r}")
    if start.params.vector.dtype != trainer.dtype:
        raise ValueError(f"start has parameters of {start.params.vector.dtype}; the trainer's dtype is {trainer.dtype}")
    return start


def epochs(
    trainer: Trainer,
    train: Dataset,
    validation: Dataset | None = None,
    *,
    start: TrainState | None = None,
    engine: str = "numpy",
) -> Iterator[TrainState]:
    """The lazy stream of states epoch by epoch, from the initial one (or `start`) on; it ends itself behind a stopped state.

    Raises: TypeError, ValueError: at the call, if trainer, data, start and engine do not fit together.
    """
    if engine not in ENGINES:
        raise ValueError(f"engine must be one of {', '.join(map(repr, ENGINES))}, got {engine!r}")
    return _generate(make_epoch(trainer, train, validation), _start(trainer, start))


def _generate(function: Epoch, state: TrainState) -> Iterator[TrainState]:
    yield state
    while state.stop_reason is None:
        state = function(state)
        yield state


def steps(
    trainer: Trainer, train: Dataset, validation: Dataset | None = None, *, start: TrainState | None = None
) -> Iterator[TrainState]:
    """The lazy stream of states step by step, from the initial one (or `start`) on; it ends itself behind a stopped state.

    The end of an epoch (metrics, scheduler, early stopping) comes with the first step of the next one.
    """
    return _generate_steps(
        trainer, train, _make_advance(trainer), _make_close(trainer, train, validation), _start(trainer, start)
    )


def _generate_steps(
    trainer: Trainer, train: Dataset, advance: Callable[..., TrainState], close: Epoch, state: TrainState
) -> Iterator[TrainState]:
    yield state
    while state.stop_reason is None:
        for batch in _remaining(trainer, train, state):
            with _quiet():
                state = advance(state, batch)
            yield state
            if state.stop_reason is not None:
                return
        with _quiet():
            state = close(state)
        if state.stop_reason is not None:
            yield state


def evaluate(trainer: Trainer, state: TrainState, data: Dataset) -> dict[str, float]:
    """The loss and the metrics of a state on a dataset, means over its examples.

    Raises: ValueError: if the data does not fit the model and the loss.
    """
    trainer.check(data, "data")
    _start(trainer, state)
    with _quiet():
        return _measure(trainer, state, data)


def predict(trainer: Trainer, state: TrainState, x: Array) -> Array:
    """What the model says of each example: its class (N,), or for regression its value, (N,) or (N, K).

    Raises: ValueError: if x does not fit the model.
    """
    return trainer.loss.predict(_outputs(trainer, state, x))


def predict_proba(trainer: Trainer, state: TrainState, x: Array) -> Array:
    """The probability of each class for each example: (N, K), with two columns for a binary loss.

    Raises: ValueError: if x does not fit the model; TypeError: if the loss is one for regression.
    """
    return trainer.loss.probabilities(_outputs(trainer, state, x))


def _outputs(trainer: Trainer, state: TrainState, x: Any) -> Array:
    if not isinstance(x, np.ndarray):
        raise TypeError(f"x must be a NumPy array, got {type(x).__name__}")
    check_array("x", x, ndims=(2,))
    trainer.check_features(x, "data")
    _start(trainer, state)
    with _quiet():
        return np.concatenate([outputs for _, outputs in outputs_over(trainer, state.params.vector, x)])
