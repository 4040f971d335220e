"""The state that a stream starts from: the initial one, or one that the trainer continues from."""

from fnloop.core.arrays import read_only
from fnloop.core.digest import stable_repr
from fnloop.core.records import evolve
from fnloop.core.warnings import warn
from fnloop.data.dataset import Dataset
from fnloop.data.names import Names
from fnloop.engines import Fault
from fnloop.engines.threads import with_threads
from fnloop.training.adapt import adapt
from fnloop.training.advance import make_advance
from fnloop.training.early_stopping import NO_EARLY_STOPPING
from fnloop.training.encoding import find_names
from fnloop.training.measurement import is_consistent
from fnloop.training.preparation import Preparation
from fnloop.training.state import StopReason, TrainState, epoch_start
from fnloop.training.state_checks import make_plan
from fnloop.training.trainer import Trainer, check_trainer


def init_state(trainer: Trainer, train: Dataset | None = None) -> TrainState:
    """Return the state before training: a pure function of the trainer.

    Args:
        trainer: The trainer.
        train: The training data, whose column names and classes the state then has, as the states of `epochs` and `steps` do.
            Default: `None`, for data without names.

    Raises:
        TypeError: If trainer or data are of another type.
        ValueError: If the classes of the data do not fit the model.

    Examples:
        >>> from fnloop.nn import mlp
        >>> init_state(Trainer(model=mlp([2, 1]), loss="mse"))
        TrainState(epoch=0, step=0, lr=0.001, 3 parameters)
    """
    check_trainer(trainer)
    names = Names() if train is None else find_names(trainer.loss, trainer.model.outputs, train)
    params = with_threads(trainer.blas_threads(), trainer.model.init, trainer.seed, trainer.dtype)
    scheduler = trainer.scheduler.init()
    return TrainState(
        params=params,
        buffers=tuple(read_only(buffer.astype(trainer.dtype)) for buffer in trainer.model.buffers),
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


def start_from(prepared: Preparation, start: TrainState | None, train: Dataset, engine: str) -> TrainState:
    """Return the first state of a stream, and warn of each part of `start` that could not be kept.

    Args:
        prepared: The trainer and the data of the run.
        start: The state to continue from; None for the initial state.
        train: The training data, not encoded.
        engine: The engine, which retries the step that stopped `start`.
    """
    trainer, measure = prepared.trainer, prepared.measure
    if start is None:
        return init_state(trainer, train)
    has_validation = measure is not None
    state, notes = adapt(trainer, start, train, has_validation)
    if measure is not None and not is_consistent(measure, start, state):
        state, notes = adapt(trainer, start, train, has_validation, other_validation=True)
    for note in notes.values():
        warn(f"start: {note}")
    return _retry(trainer, state, prepared.train, engine)


def _retry(trainer: Trainer, state: TrainState, train: Dataset, engine: str) -> TrainState:
    """Let a state that a fault stopped continue, unless the trainer stops at faults and the step fails again."""
    if state.stop_reason != StopReason.NON_FINITE:
        return state
    continued = evolve(state, stopped=None)
    if trainer.non_finite != "stop":
        return continued
    stop = state.progress.batches + 1
    if stop > make_plan(trainer, train).batches:
        return continued
    result = make_advance(trainer, train, engine)(continued, stop)
    return state if isinstance(result, Fault) else continued
