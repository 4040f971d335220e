"""The NumPy engine: the loss with its hand-derived gradient, and the model's outputs over a dataset."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from fnloop.trainer import Trainer
from fnloop.typing import Array

ROWS = 1024  # examples of one forward pass, where no gradient is wanted

Gradient = Callable[[Array, Any, Any], tuple[Array, Array]]


def make_gradient(trainer: Trainer) -> Gradient:
    """The function (vector, x, y) -> (sums, gradient of the mean loss); sums are those of the loss and of each metric."""
    forward, loss, metrics = trainer.model.forward, trainer.loss.forward, trainer.measured()

    def gradient_of(vector: Array, x: Array, y: Array) -> tuple[Array, Array]:
        outputs, backward = forward(vector, x)
        losses, loss_backward = loss(outputs, y)
        gradient = np.empty_like(vector)
        backward(loss_backward(), gradient)
        sums = [losses.sum(dtype=np.float64)]
        for metric in metrics:
            sums += metric.sums(outputs, y)
        return np.array(sums, dtype=np.float64), gradient

    return gradient_of if trainer.accumulate == 1 else _accumulated(gradient_of, trainer.batch_size)


def _accumulated(gradient_of: Gradient, size: int) -> Gradient:
    """The same over micro-batches: each counts by its examples, so that the mean is that of one big batch."""

    def accumulated(vector: Array, x: Array, y: Array) -> tuple[Array, Array]:
        sums, gradient = gradient_of(vector, x[:size], y[:size])
        gradient *= min(size, len(x)) / len(x)
        for start in range(size, len(x), size):
            part = slice(start, start + size)
            more, addend = gradient_of(vector, x[part], y[part])
            addend *= len(x[part]) / len(x)
            sums, gradient = sums + more, gradient + addend
        return sums, gradient

    return accumulated


def outputs_over(trainer: Trainer, vector: Array, x: Array) -> Iterator[tuple[slice, Array]]:
    """The model's outputs, some rows at a time."""
    for start in range(0, len(x), ROWS):
        rows = slice(start, min(start + ROWS, len(x)))
        yield rows, trainer.model(vector, np.asarray(x[rows]).astype(trainer.dtype, copy=False))


def sums_over(trainer: Trainer, vector: Array, x: Array, y: Array) -> Array:
    """The sums over a dataset of the loss and of each metric."""
    total: Any = 0.0
    for rows, outputs in outputs_over(trainer, vector, x):
        targets = np.asarray(y[rows]).astype(trainer.dtype, copy=False)
        sums = [trainer.loss.forward(outputs, targets)[0].sum(dtype=np.float64)]
        for metric in trainer.measured():
            sums += metric.sums(outputs, targets)
        total = total + np.array(sums, dtype=np.float64)
    return total  # type: ignore[no-any-return]


def is_finite(array: Array) -> bool:
    """Whether every element is finite, at the cost of one dot product where it is."""
    return math.isfinite(np.dot(array, array)) or bool(np.isfinite(array).all())


