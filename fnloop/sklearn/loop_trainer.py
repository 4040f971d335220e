"""The trainer of an estimator: given, made by a function, or the default."""

from typing import Any

import numpy as np

from fnloop.core.checks import Task
from fnloop.core.formatting import short
from fnloop.core.records import evolve
from fnloop.data.dataset import Dataset
from fnloop.engines.threads import own_threads
from fnloop.nn.model import Params
from fnloop.recipes.table import tabular
from fnloop.training.state import TrainState
from fnloop.training.trainer import Trainer


def default_trainer(train: Dataset, outputs: int, task: Task, epochs: int) -> Trainer:
    """Return the trainer of an estimator that is given none: that of `recipes.tabular`.

    Args:
        train: The training data.
        outputs: The number of outputs.
        task: The task.
        epochs: The number of epochs.
    """
    trainer = tabular(train, task=task, classes=max(2, outputs), epochs=epochs)  # two classes have one output
    return trainer.replace(metrics=())


def choose_trainer(given: Any, train: Dataset, outputs: tuple[int, ...], task: Task, epochs: int) -> Trainer:
    """Return the trainer that was given, that the given function makes, or the default.

    Args:
        given: A trainer, a function from `(n_features, n_outputs)` to one, or None.
        train: The training data.
        outputs: The numbers of outputs that fit the targets, the preferred one first.
        task: `"classification"`, `"multilabel"` or `"regression"`.
        epochs: The number of epochs.

    Raises:
        TypeError: If it is not a trainer.
        ValueError: If the trainer's outputs or its loss do not fit the targets.
    """
    trainer = default_trainer(train, outputs[0], task, epochs) if given is None else given
    if not isinstance(given, Trainer | None) and callable(given):
        trainer = _made(given, train.x.shape[1], outputs)
    if not isinstance(trainer, Trainer):
        raise TypeError(
            f"trainer must be a fl.Trainer, a function from (n_features, n_outputs) to one, or None, got {short(trainer)}"
        )
    if trainer.model.outputs not in outputs:
        expected = " or ".join(map(str, outputs))
        raise ValueError(f"trainer must have a model with {expected} outputs for these targets, got {trainer.model.outputs}")
    found = trainer.loss.task(trainer.model.outputs)
    if found not in {None, task, *({"quantiles"} if task == "regression" else ())}:
        raise ValueError(f"trainer must have a loss for {task}, got {short(trainer.loss)}, one for {found}")
    limit = own_threads() or trainer.blas_threads()
    return trainer if trainer.threads or trainer.blas_threads() <= limit else trainer.replace(threads=limit)


def _made(function: Any, features: int, outputs: tuple[int, ...]) -> Any:
    """Call the function with the first number of outputs, and with the next one if its loss needs more."""
    *first, last = outputs
    for count in first:
        try:
            return function(features, count)
        except ValueError:
            continue
    return function(features, last)


def choose_seed(random_state: Any, seed: int) -> int:
    """Return the seed of a fit.

    Args:
        random_state: A seed, a generator that one is drawn from, or None.
        seed: The seed if there is no random state.

    Raises:
        ValueError: If it is neither.
    """
    if random_state is None:
        return seed
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**31 - 1))
    if isinstance(random_state, int | np.integer) and random_state >= 0:
        return int(random_state)
    raise ValueError(f"random_state must be None, an integer of at least 0 or a RandomState, got {short(random_state)}")


def in_double(trainer: Trainer, state: TrainState) -> tuple[Trainer, TrainState]:
    """Return the trainer and the state in float64, for outputs that do not depend on which rows are computed together."""
    vector = state.params.vector.astype(np.float64)
    buffers = tuple(buffer.astype(np.float64) for buffer in state.buffers)
    return trainer.replace(dtype="float64"), evolve(state, params=Params(vector, state.params.model), buffers=buffers)
