"""Training as a fold: the step, the epoch, and the streams of states that they generate."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from fnloop.core.arrays import read_only
from fnloop.core.digest import stable_repr
from fnloop.core.errors import NonFiniteError
from fnloop.core.records import evolve
from fnloop.core.warnings import warn
from fnloop.data.batching import Batch, count_batches
from fnloop.data.dataset import Dataset
from fnloop.data.names import Names
from fnloop.engines import get_engine
from fnloop.engines.numpy import fold as numpy_engine
from fnloop.engines.numpy.fold import Moved
from fnloop.engines.threads import with_threads
from fnloop.nn.model import Params
from fnloop.training.adapt import adapt, make_check, make_plan
from fnloop.training.early_stopping import NO_EARLY_STOPPING, EarlyStoppingState
from fnloop.training.encoding import encode, encode_datasets, find_names, with_names
from fnloop.training.measurement import Measure, is_measured_by, make_measure, means, quiet
from fnloop.training.non_finite import announced
from fnloop.training.state import EpochPlan, EpochProgress, Stopped, StopReason, TrainState, epoch_start
from fnloop.training.trainer import Trainer, check_trainer
from fnloop.training.trial import try_functions

Step = Callable[[TrainState, Batch], TrainState]
Epoch = Callable[[TrainState], TrainState]
Advance = Callable[[TrainState, int], TrainState | str]  # the state, or what was not finite


def init_state(trainer: Trainer, train: Dataset | None = None) -> TrainState:
    """The state before anything is trained: a pure function of the trainer.

    Args:
        train: Data whose columns and classes the state is to know, as the states of `epochs` and `steps` do; None for data
            without names.
    """
    names = Names() if train is None else find_names(check_trainer(trainer), train)
    check_trainer(trainer)
    params = with_threads(trainer.blas_threads(), trainer.model.init, trainer.seed, trainer.dtype)
    buffers = tuple(read_only(buffer.astype(trainer.dtype)) for buffer in trainer.model.buffers)
    scheduler = trainer.scheduler.init()
    return TrainState(
        params=params,
        buffers=buffers,
        optimizer=trainer.optimizer.init(params.vector),
        scheduler=scheduler,
        early_stopping=trainer.early_stopping.init() if trainer.early_stopping else NO_EARLY_STOPPING,
        epoch=0,
        step=0,
        updates=0,
        progress=epoch_start(scheduler.lr),
        metrics={},
        loss=stable_repr(trainer.loss),
        stopped=None,
        names=names,
    )


def make_step(trainer: Trainer) -> Step:
    """The pure function `step(state, batch) -> state`: one update by the batch's mean gradient.

    A stopped state is returned as it is.

    Raises: ValueError: from the step, if the batch does not fit the model and the loss;
        NonFiniteError: from the step, if the loss, gradient, parameters or slots stop being finite under `non_finite="raise"`.
    """
    check_trainer(trainer).check_resolved()
    check = make_check(trainer)

    def step(state: TrainState, batch: Batch) -> TrainState:
        examples = encode(Dataset(batch.x, batch.y, batch.weights), state.names, "batch")
        trainer.check_data(examples, "batch")
        batch = Batch(examples.x, examples.y, examples.weights)
        if state.stopped is not None:
            return state
        check(state)
        with quiet():
            rates, scheduler = _rates(trainer, state, 1)
            moved = numpy_engine.fold(trainer, state, rates, [batch.cast(trainer.dtype)])
        if isinstance(moved, str):
            return _non_finite(trainer, state, moved)
        return _advanced(state, moved, rates, scheduler, len(batch.x), None)

    return step


def _rates(trainer: Trainer, state: TrainState, n: int) -> tuple[list[float], Any]:
    """The learning rates of the next n steps, and the scheduler's state behind them."""
    scheduler = state.scheduler
    if trainer.schedule_every == "epoch":
        return [scheduler.lr] * n, scheduler
    rates = []
    for _ in range(n):
        rates.append(scheduler.lr)
        scheduler = trainer.scheduler.step(scheduler)
    return rates, scheduler


def _advanced(
    state: TrainState, moved: Moved, rates: Sequence[float], scheduler: Any, examples: int, plan: EpochPlan | None
) -> TrainState:
    """The state after steps at these rates. It has no metrics: those of the state before are of other parameters."""
    n, progress = len(rates), state.progress
    sums = np.array(moved.sums, dtype=np.float64)
    return evolve(
        state,
        params=Params(moved.vector, state.params.model),
        buffers=moved.buffers,
        optimizer=evolve(state.optimizer, count=state.optimizer.count + n, slots=moved.slots),
        scheduler=scheduler,
        step=state.step + n,
        updates=state.updates + n,
        progress=EpochProgress(progress.batches + n, progress.examples + examples, sums, rates[-1], plan),
        metrics={},
    )


def _make_advance(trainer: Trainer, train: Dataset, engine: str) -> Advance:
    """The function `advance(state, stop)`: the epoch's batches up to `stop` folded, or what was not finite on the way."""
    run, plan = get_engine(engine).make_run(trainer, train), make_plan(trainer, train)

    def advance(state: TrainState, stop: int) -> TrainState | str:
        first = state.progress.batches
        if first == stop:
            return state
        rates, scheduler = _rates(trainer, state, stop - first)
        with quiet():
            moved = run(state, rates, stop)
        if isinstance(moved, str):
            return moved
        examples = min(stop * plan.examples_per_update, plan.examples) - first * plan.examples_per_update
        return _advanced(state, moved, rates, scheduler, examples, plan)

    return advance


def _one_by_one(trainer: Trainer, advance: Advance, state: TrainState, stop: int) -> Iterator[TrainState]:
    """The states after each of the epoch's batches up to `stop`, or to a fault that stops the run."""
    while state.progress.batches < stop and state.stopped is None:
        state = _one_step(trainer, advance, state)
        yield state


def _one_step(trainer: Trainer, advance: Advance, state: TrainState) -> TrainState:
    moved = advance(state, state.progress.batches + 1)
    return _non_finite(trainer, state, moved) if isinstance(moved, str) else moved


def _non_finite(trainer: Trainer, state: TrainState, cause: str) -> TrainState:
    """What the trainer wants when a step cannot be taken."""
    progress = state.progress
    if trainer.non_finite == "skip":
        return evolve(state, step=state.step + 1, progress=evolve(progress, batches=progress.batches + 1))
    stopped = Stopped(StopReason.NON_FINITE.value, state.epoch + 1, state.step + 1, f"{cause}, at learning rate {state.lr:g}")
    if trainer.non_finite == "raise":
        raise NonFiniteError(f"training stopped: {stopped}, batch {progress.batches + 1} of the epoch")
    return evolve(state, stopped=stopped)


def make_epoch(trainer: Trainer, train: Dataset, validation: Dataset | None = None, *, engine: str = "numpy") -> Epoch:
    """The pure function `epoch(state) -> state`: the step folded over the epoch's batches, then its metrics and policies.

    A state from the middle of an epoch is taken to its end. A stopped state is returned as it is.

    Raises: ValueError: if the data does not fit the model and the loss, or a metric is monitored that the run has not.
    """
    return _make_epoch(trainer, train, validation, engine)[0]


def _make_epoch(trainer: Trainer, train: Dataset, validation: Dataset | None, engine: str) -> tuple[Epoch, Measure | None]:
    """The epoch, and what measures a state on the validation data."""
    names, train, validation = encode_datasets(check_trainer(trainer), train, validation)
    trainer = trainer.resolve(train)
    close, measure = _make_close(trainer, train, validation, engine)
    fold = _make_fold(trainer, train, engine)
    stop = count_batches(train, trainer.batch_size * trainer.accumulate)

    def epoch(state: TrainState) -> TrainState:
        trained = fold(with_names(state, names), stop)
        return trained if trained.stopped is not None else close(trained)

    return epoch, measure


def make_fold(trainer: Trainer, train: Dataset, *, engine: str = "numpy") -> Callable[[TrainState, int], TrainState]:
    """The pure function `fold(state, batches) -> state`: the step folded until so many of the epoch's batches are.

    What the epoch's end brings is not done. A stopped state is returned as it is.
    """
    names, train, _ = encode_datasets(trainer, train, None)
    fold = _make_fold(trainer.resolve(train), train, engine)
    return lambda state, batches: fold(with_names(state, names), batches)


def _make_fold(trainer: Trainer, train: Dataset, engine: str) -> Callable[[TrainState, int], TrainState]:
    """The same, for a resolved trainer and encoded data."""
    advance = _make_advance(trainer, train, engine)

    check = make_check(trainer)

    def fold(state: TrainState, batches: int) -> TrainState:
        if state.stopped is not None:
            return state
        check(state)
        trained = advance(state, batches)
        if isinstance(trained, str):  # fold again, step by step: the state before the fault is wanted
            *_, trained = _one_by_one(trainer, advance, state, batches)
        return trained

    return fold


def _make_close(trainer: Trainer, train: Dataset, validation: Dataset | None, engine: str) -> tuple[Epoch, Measure | None]:
    """What the end of an epoch brings: its metrics, the scheduler's step, and the word on stopping; and how it measures."""
    trainer.check_data(train, "train")
    if validation is not None:
        trainer.check_data(validation, "validation")
    trainer.check_monitored(validation is not None)
    try_functions(trainer, train, validation, engine)
    measure = make_measure(trainer, validation, engine) if validation is not None else None

    def close(state: TrainState) -> TrainState:
        metrics = means(trainer, state.progress.sums.tolist(), state.progress.examples)
        if measure is not None:
            metrics |= {f"val_{name}": value for name, value in measure(state).items()}
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

    return close, measure


def _no_improvement(found: EarlyStoppingState, epoch: int, step: int) -> Stopped:
    best = f"best {found.best:.4g} in epoch {found.best_epoch}" if found.best_epoch else "no best value"
    return Stopped(StopReason.NO_IMPROVEMENT.value, epoch, step, f"{found.metric} for {found.wait} epochs, {best}")


def _start(
    trainer: Trainer,
    start: TrainState | None,
    train: Dataset,
    validation: Dataset | None,
    engine: str,
    measure: Measure | None,
) -> TrainState:
    """The state that a stream begins with; what of `start` could not be kept is warned of."""
    if start is None:
        return init_state(trainer.resolve(train), train)
    validated = validation is not None
    state, notes = adapt(trainer, start, train, validated)
    if measure is not None and not is_measured_by(measure, start, state):
        state, notes = adapt(trainer, start, train, validated, other_validation=True)
    for note in notes.values():
        warn(f"start: {note}")
    return _tried_again(trainer, state, train, engine)


def _tried_again(trainer: Trainer, state: TrainState, train: Dataset, engine: str) -> TrainState:
    """The state, which continues if a step that was not finite can be taken now, or is to be skipped or raised."""
    if state.stop_reason != StopReason.NON_FINITE:
        return state
    going = evolve(state, stopped=None)
    if trainer.non_finite != "stop":
        return going
    _, examples, _ = encode_datasets(trainer, train, None)
    done = state.progress.batches + 1
    if done > count_batches(examples, trainer.batch_size * trainer.accumulate):
        return going
    return state if isinstance(_make_advance(trainer.resolve(examples), examples, engine)(going, done), str) else going


def epochs(
    trainer: Trainer,
    train: Dataset,
    validation: Dataset | None = None,
    *,
    start: TrainState | None = None,
    engine: str = "numpy",
) -> Iterator[TrainState]:
    """The lazy stream of states epoch by epoch, from the initial one (or `start`) on; it ends after a stopped state.

    Args:
        engine: `"numpy"`, or `"jax"`, compiled; `"jax:gpu"`, `"jax:cpu:0"` name its device. Each goes on from the other's
            states.
    Raises: TypeError, ValueError: at the call, if trainer, data, start and engine do not fit together; EngineError: if the
        engine is not installed, or cannot compile a part of the trainer.
    """
    epoch, measure = _make_epoch(trainer, train, validation, engine)
    return announced(_generate(epoch, _start(trainer, start, train, validation, engine, measure)))


def _generate(function: Epoch, state: TrainState) -> Iterator[TrainState]:
    yield state
    while state.stopped is None:
        state = function(state)
        yield state


def steps(
    trainer: Trainer,
    train: Dataset,
    validation: Dataset | None = None,
    *,
    start: TrainState | None = None,
    engine: str = "numpy",
) -> Iterator[TrainState]:
    """The lazy stream of states step by step, from the initial one (or `start`) on; it ends after a stopped state.

    The state after an epoch's last step is that of `epochs`, with the metrics, the next learning rate and the verdict on
    stopping; states within an epoch have no metrics. The rest is as in `epochs`.
    """
    _, examples, validating = encode_datasets(check_trainer(trainer), train, validation)
    complete = trainer.resolve(examples)
    close, measure = _make_close(complete, examples, validating, engine)
    advance = _make_advance(complete, examples, engine)
    stop = count_batches(train, trainer.batch_size * trainer.accumulate)

    def step(state: TrainState) -> TrainState:
        if state.progress.batches < stop:
            state = _one_step(complete, advance, state)
        return close(state) if state.stopped is None and state.progress.batches == stop else state

    return announced(_generate(step, _start(trainer, start, train, validation, engine, measure)))
