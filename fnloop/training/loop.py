"""Training as a fold: the step, the epoch, and the streams of states that they generate."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import ParamSpec, TypeVar

import toolz

from fnloop.core.formatting import short
from fnloop.core.iteration import take_until
from fnloop.data.batching import Batch
from fnloop.data.dataset import Dataset
from fnloop.engines import Fault
from fnloop.engines.threads import with_threads
from fnloop.training.advance import Advance, make_advance, make_update
from fnloop.training.encoding import encode, with_names
from fnloop.training.epoch_end import make_epoch_end
from fnloop.training.epoch_stream import EpochStream
from fnloop.training.non_finite import handle_fault, warn_non_finite
from fnloop.training.preparation import Preparation, encode_datasets, prepare
from fnloop.training.start import start_from
from fnloop.training.state import TrainState
from fnloop.training.state_checks import make_optimizer_check, make_plan
from fnloop.training.trainer import Trainer, check_trainer

P = ParamSpec("P")
T = TypeVar("T")

Step = Callable[[TrainState, Batch], TrainState]
Epoch = Callable[[TrainState], TrainState]


def make_step(trainer: Trainer, *, engine: str = "numpy") -> Step:
    """Return the pure function `step(state, batch) -> state`: one update by the mean gradient of the batch.

    It returns a stopped state unchanged.

    Args:
        trainer: The trainer.
        engine: `"numpy"` or `"jax"`, as in `epochs`.

    Raises:
        ValueError: If the trainer depends on training data, as with `class_weights="balanced"`. From the step, if the batch
            does not fit the model and the loss, or the state has the slots of another optimizer.
        EngineError: If the engine is not available. From the step, if it cannot compute a part of the trainer.
        NonFiniteError: From the step, under `non_finite="raise"`, if the loss, the gradient, the parameters, the slots or the
            buffers are not finite.

    Examples:
        >>> import numpy as np
        >>> from fnloop.nn import mlp
        >>> from fnloop.training.start import init_state
        >>> trainer = Trainer(model=mlp([2, 1]), loss="mse")
        >>> make_step(trainer)(init_state(trainer), Batch(np.ones((3, 2)), np.ones(3))).step
        1

    See Also:
        make_epoch, steps
    """
    check_trainer(trainer).check_resolved()
    check, update = make_optimizer_check(trainer), make_update(trainer, engine)

    def step(state: TrainState, batch: Batch) -> TrainState:
        if not isinstance(state, TrainState):
            raise TypeError(f"state must be a TrainState, got {short(state)}")
        if not isinstance(batch, Batch | Dataset):
            raise TypeError(f"batch must be a fl.Batch(x, y), got {short(batch)}")
        examples = encode(Dataset(batch.x, batch.y, batch.weights), state.names, "batch")
        trainer.check_data(examples, "batch")
        if state.stopped is not None:
            return state
        check(state)
        return _or_handle(trainer, state, update(state, Batch(examples.x, examples.y, examples.weights)))

    return _with_its_threads(trainer, engine, step)


def make_epoch(trainer: Trainer, train: Dataset, validation: Dataset | None = None, *, engine: str = "numpy") -> Epoch:
    """Return the pure function `epoch(state) -> state`: the fold of the step over the epoch's batches, then the epoch's end.

    A state within an epoch is trained to the end of it. A stopped state is returned unchanged.

    Args:
        trainer: The trainer.
        train: The training data.
        validation: The validation data, or None for metrics of the training data only.
        engine: `"numpy"` or `"jax"`, as in `epochs`.

    Raises:
        ValueError: If the data does not fit the model and the loss, or the run does not produce a metric that is monitored.
        EngineError: If the engine is not available, or cannot compute a part of the trainer.

    See Also:
        make_step, epochs
    """
    return make_prepared_epoch(prepare(trainer, train, validation, engine), engine)


def make_prepared_epoch(prepared: Preparation, engine: str) -> Epoch:
    """Return the function of `make_epoch`, for a trainer and data that are prepared."""
    trainer, names, train, measure, _ = prepared
    end_epoch, fold = make_epoch_end(trainer, measure), _make_fold(trainer, train, engine)
    batches = make_plan(trainer, train).batches

    def epoch(state: TrainState) -> TrainState:
        trained = fold(with_names(state, names), batches)
        return trained if is_stopped(trained) else end_epoch(trained)

    return _with_its_threads(trainer, engine, epoch)


def _with_its_threads(trainer: Trainer, engine: str, function: Callable[P, T]) -> Callable[P, T]:
    """Return a function that runs with the trainer's number of BLAS threads, on whose bits JAX does not depend.

    The engine sets the number, too, but metrics, schedules and policies of the user may also multiply matrices.
    """
    return partial(with_threads, trainer.blas_threads(), function) if engine == "numpy" else function


def make_fold(trainer: Trainer, train: Dataset, *, engine: str = "numpy") -> Callable[[TrainState, int], TrainState]:
    """Return the pure function `fold(state, batches) -> state`: the fold of the step over the epoch's first batches.

    The fold continues after the batches that the state has seen. It does not end the epoch. A stopped state is returned
    unchanged.
    """
    names, train, _ = encode_datasets(trainer, train, None)
    fold = _make_fold(trainer.resolve(train), train, engine)
    return lambda state, batches: fold(with_names(state, names), batches)


def _make_fold(trainer: Trainer, train: Dataset, engine: str) -> Callable[[TrainState, int], TrainState]:
    """Return the fold of `make_fold`, for a resolved trainer and encoded data."""
    advance, check = make_advance(trainer, train, engine), make_optimizer_check(trainer)

    def fold(state: TrainState, batches: int) -> TrainState:
        if is_stopped(state):
            return state
        check(state)
        result = advance(state, batches)
        if not isinstance(result, Fault):
            return result
        # Fold again, step by step: the fault is handled at the step that it happened in.
        one_by_one = toolz.iterate(lambda state: _advance_by_one(trainer, advance, state), state)
        last: TrainState = toolz.last(take_until(lambda s: is_stopped(s) or s.progress.batches >= batches, one_by_one))
        return last

    return _with_its_threads(trainer, engine, fold)


def _advance_by_one(trainer: Trainer, advance: Advance, state: TrainState) -> TrainState:
    return _or_handle(trainer, state, advance(state, state.progress.batches + 1))


def _or_handle(trainer: Trainer, state: TrainState, result: TrainState | Fault) -> TrainState:
    return handle_fault(trainer, state, result) if isinstance(result, Fault) else result


def is_stopped(state: TrainState) -> bool:
    """Return whether training stopped at a state."""
    return state.stopped is not None


def epochs(
    trainer: Trainer,
    train: Dataset,
    validation: Dataset | None = None,
    *,
    start: TrainState | None = None,
    engine: str = "numpy",
) -> EpochStream:
    """Return the lazy stream of states epoch by epoch, which starts with the initial state and ends with a stopped one.

    The stream has its `trainer`, `train`, `validation` and `engine`, so that `fl.record(path)` directly after it needs none.

    Args:
        trainer: The trainer.
        train: The training data.
        validation: The validation data, or None for metrics of the training data only.
        start: The state to continue from. It may be of another trainer or engine; a warning names each part of it that cannot
            be kept. Default: `None`, the initial state.
        engine: `"numpy"`, or `"jax"`, which compiles; `"jax:gpu"` or `"jax:cpu:0"` select a device.

    Raises:
        TypeError: At the call, if trainer, data or start are of another type.
        ValueError: At the call, if trainer, data and start do not fit together.
        EngineError: At the call, if the engine is not available, or cannot compute a part of the trainer.

    Examples:
        >>> from fnloop.nn import mlp
        >>> stream = epochs(Trainer(model=mlp([1, 1]), loss="mse"), Dataset([[1.0], [2.0]], [1.0, 2.0]))
        >>> [state.epoch for state in toolz.take(3, stream)]
        [0, 1, 2]

    See Also:
        steps, make_epoch
    """
    prepared = prepare(trainer, train, validation, engine)
    epoch = make_prepared_epoch(prepared, engine)
    first = start_from(prepared, start, train, engine)
    states = warn_non_finite(take_until(is_stopped, toolz.iterate(epoch, first)))
    return EpochStream(trainer, train, validation, engine, states)


def steps(
    trainer: Trainer,
    train: Dataset,
    validation: Dataset | None = None,
    *,
    start: TrainState | None = None,
    engine: str = "numpy",
) -> Iterator[TrainState]:
    """Return the lazy stream of states step by step, which starts with the initial state and ends with a stopped one.

    The state after the last step of an epoch is that of `epochs`, with metrics and the learning rate of the next epoch. States
    within an epoch have no metrics. Arguments and errors are those of `epochs`.

    Args:
        trainer: The trainer.
        train: The training data.
        validation: The validation data, or None for metrics of the training data only.
        start: The state to continue from. Default: `None`, the initial state.
        engine: `"numpy"` or `"jax"`, as in `epochs`.

    Examples:
        >>> from fnloop.nn import mlp
        >>> stream = steps(Trainer(model=mlp([1, 1]), loss="mse", batch_size=1), Dataset([[1.0], [2.0]], [1.0, 2.0]))
        >>> [(state.epoch, state.step) for state in toolz.take(4, stream)]
        [(0, 0), (0, 1), (1, 2), (1, 3)]

    See Also:
        epochs, make_step
    """
    prepared = prepare(trainer, train, validation, engine)
    resolved, _, examples, measure, _ = prepared
    batches = make_plan(resolved, examples).batches
    end_epoch, advance = make_epoch_end(resolved, measure), make_advance(resolved, examples, engine)

    def step(state: TrainState) -> TrainState:
        if state.progress.batches < batches:
            state = _advance_by_one(resolved, advance, state)
        return end_epoch(state) if not is_stopped(state) and state.progress.batches == batches else state

    first = start_from(prepared, start, train, engine)
    return warn_non_finite(take_until(is_stopped, toolz.iterate(_with_its_threads(resolved, engine, step), first)))
