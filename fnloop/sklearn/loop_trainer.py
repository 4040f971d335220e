"""The trainer of an estimator: given, made by a function, or the default."""

from typing import Any

import numpy as np

from fnloop.core.formatting import short
from fnloop.core.records import evolve
from fnloop.data.dataset import Dataset
from fnloop.engines.threads import own_threads
from fnloop.nn import Sequential, mlp
from fnloop.nn.layer import Layer
from fnloop.nn.model import Params
from fnloop.nn.normalization import BatchNorm
from fnloop.optimizers import AdamW
from fnloop.schedulers import CosineAnnealingLR
from fnloop.training.early_stopping import EarlyStopping
from fnloop.training.state import TrainState
from fnloop.training.trainer import Trainer

LOSSES = {"multilabel": "bce", "regression": "mse"}  # of the default trainer; for classification it depends on the outputs


def default_trainer(train: Dataset, outputs: int, task: str, epochs: int) -> Trainer:
    """Return the trainer of an estimator that is given none: an MLP whose batch size and decay follow from the rows.

    Args:
        train: The training data.
        outputs: The number of outputs.
        task: `"classification"`, `"multilabel"` or `"regression"`.
        epochs: The number of epochs.
    """
    features, batch_size = train.x.shape[1], 16
    while batch_size < 256 and len(train) > 200 * batch_size:
        batch_size *= 2
    steps = -(-len(train) // batch_size)
    layers: tuple[Layer, ...] = (BatchNorm(features), *mlp([features, 128, 128, outputs], "silu").layers)
    return Trainer(
        model=Sequential(features, layers),
        loss=LOSSES.get(task, "bce" if outputs == 1 else "cross_entropy"),
        optimizer=AdamW(b2=0.95, weight_decay=min(1.0, 20 / steps)),
        scheduler=CosineAnnealingLR(0.003, epochs),
        early_stopping=EarlyStopping("val_loss", patience=30),
        batch_size=batch_size,
        metrics=(),
    )


def choose_trainer(given: Any, train: Dataset, outputs: tuple[int, ...], task: str, epochs: int) -> Trainer:
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
