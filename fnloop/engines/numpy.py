"""The NumPy engine: the update of flat buffers by a batch, the fold of it over an epoch, and outputs over a dataset."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from fnloop.data import Batch
from fnloop.optimizers.elementwise import make_pass
from fnloop.trainer import Trainer
from fnloop.typing import Array

ROWS = 1024  # examples of one forward pass, where no gradient is wanted

Sums = list[float]
Update = Callable[["Buffers", "Buffers", "Gradient", int, float, Batch], Sums | None]


class Buffers(NamedTuple):
    """The arrays that an update reads or writes: the parameters with their views by layer, and the optimizer's slots."""

    vector: Array
    params: Sequence[Any]
    slots: Sequence[Array]


class Gradient(NamedTuple):
    """Where a gradient is written: the flat vector with its views by layer."""

    vector: Array
    layers: Sequence[Any]


def buffers(trainer: Trainer, vector: Array, slots: Sequence[Array]) -> Buffers:
    """Look at arrays as buffers."""
    return Buffers(vector, trainer.model.views(vector), slots)


def empty_buffers(trainer: Trainer, like: Buffers) -> Buffers:
    """New buffers of the same shapes, to be written."""
    return buffers(trainer, np.empty_like(like.vector), [np.empty_like(slot) for slot in like.slots])


def empty_gradient(trainer: Trainer, like: Buffers) -> Gradient:
    """Room for a gradient."""
    vector = np.empty_like(like.vector)
    return Gradient(vector, trainer.model.views(vector))


def make_update(trainer: Trainer) -> Update:
    """The function `update(source, target, gradient, count, lr, batch)`, which writes the count-th update of source to target.

    It returns the sums over the batch of the loss and the metrics, or None if loss, gradient or parameters are not finite;
    then the target is not to be used. The target may be the source itself.
    """
    gradient_of, run_pass = _make_gradient(trainer), make_pass(trainer.optimizer)

    def update(source: Buffers, target: Buffers, gradient: Gradient, count: int, lr: float, batch: Batch) -> Sums | None:
        sums = gradient_of(source.params, gradient, batch.x, batch.y)
        if not (math.isfinite(sums[0]) and is_finite(gradient.vector)):
            return None

        def move(direction: Array, params: Array, out: Array) -> None:
            np.subtract(params, lr * direction, out=out)

        if target is not source:
            for new, old in zip(target.slots, source.slots, strict=True):
                new[:] = old
        run_pass(gradient.vector, count, target.slots, source.vector, move, target.vector)
        return sums if is_finite(target.vector) else None

    return update


def _make_gradient(trainer: Trainer) -> Callable[[Sequence[Any], Gradient, Array, Array], Sums]:
    """The function that writes the gradient of the mean loss, and returns the sums of the loss and of each metric."""
    forward, loss, metrics = trainer.model.forward, trainer.loss.forward, trainer.measured()

    def gradient_of(params: Sequence[Any], gradient: Gradient, x: Array, y: Array) -> Sums:
        outputs, backward = forward(params, x)
        losses, loss_backward = loss(outputs, y)
        backward(loss_backward(), gradient.layers)
        return _sums(metrics, losses, outputs, y)

    return gradient_of if trainer.accumulate == 1 else _accumulated(gradient_of, trainer.batch_size)


def _accumulated(gradient_of: Callable[..., Sums], size: int) -> Callable[..., Sums]:
    """The same over micro-batches: each counts by its examples, so that the mean is that of one big batch."""

    def accumulated(params: Sequence[Any], gradient: Gradient, x: Array, y: Array) -> Sums:
        total, mean = [0.0], np.zeros_like(gradient.vector)
        for start in range(0, len(x), size):
            part = slice(start, start + size)
            sums = gradient_of(params, gradient, x[part], y[part])
            mean += gradient.vector * (len(x[part]) / len(x))
            total = add(total, sums) if start else sums
        gradient.vector[:] = mean
        return total

    return accumulated


def _sums(metrics: Sequence[Any], losses: Array, outputs: Array, y: Array) -> Sums:
    sums = [float(np.add.reduce(losses, dtype=np.float64))]
    for metric in metrics:
        sums += metric.sums(outputs, y)
    return sums


def add(a: Sums, b: Sums) -> Sums:
    """The sums over two batches together."""
    return [x + y for x, y in zip(a, b, strict=True)]


def is_finite(array: Array) -> bool:
    """Whether every element is finite, at the cost of one dot product where it is."""
    return math.isfinite(np.dot(array, array)) or bool(np.isfinite(array).all())


def outputs_over(trainer: Trainer, vector: Array, x: Array) -> Iterator[tuple[slice, Array]]:
    """The model's outputs, some rows at a time."""
    for start in range(0, len(x), ROWS):
        rows = slice(start, start + ROWS)
        yield rows, trainer.model(vector, np.asarray(x[rows]).astype(trainer.dtype, copy=False))


def sums_over(trainer: Trainer, vector: Array, x: Array, y: Array) -> Sums:
    """The sums over a dataset of the loss and of each metric."""
    total: Sums = []
    for rows, outputs in outputs_over(trainer, vector, x):
        targets = np.asarray(y[rows]).astype(trainer.dtype, copy=False)
        sums = _sums(trainer.measured(), trainer.loss.forward(outputs, targets)[0], outputs, targets)
        total = add(total, sums) if total else sums
    return total
