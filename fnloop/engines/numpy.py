"""The NumPy engine: the update of flat buffers by a batch, the fold of it over batches, and outputs over a dataset."""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from fnloop.data import Dataset, batches_from
from fnloop.optimizers.elementwise import make_pass
from fnloop.parameters import layout_of
from fnloop.record import owned
from fnloop.state import TrainState
from fnloop.trainer import Trainer
from fnloop.typing import Array

ROWS = 1024  # examples of one forward pass, where no gradient is wanted

Sums = list[float]
Examples = tuple[Array, Array]
Update = Callable[[int, float, Array, Array], Sums]


class Moved(NamedTuple):
    """What a fold over batches makes: the parameters, the optimizer's slots, and the sums of the loss and the metrics."""

    vector: Array
    slots: tuple[Array, ...]
    sums: Sums


class Buffers(NamedTuple):
    """The arrays that updates are done in: the flat vector, the optimizer's slots, and room for the gradient."""

    vector: Array
    slots: tuple[Array, ...]
    gradient: Array


def make_run(trainer: Trainer, data: Dataset) -> Callable[[TrainState, Sequence[float], int], Moved | None]:
    """The function `run(state, rates, stop)`: the epoch's batches from the state's on to `stop`, folded at these rates.

    It returns None if on the way the loss, the gradient or the parameters were not finite.
    """
    size = trainer.batch_size * trainer.accumulate

    def run(state: TrainState, rates: Sequence[float], stop: int) -> Moved | None:
        at = state.running.batches
        return fold(trainer, state, rates, batches_from(data, size, trainer.seed, state.epoch, at, stop, trainer.dtype))

    return run


def fold(trainer: Trainer, state: TrainState, rates: Iterable[float], batches: Iterable[Examples]) -> Moved | None:
    """The update folded over batches, in place, in a copy of the state's arrays that nobody sees before all are done."""
    buffers = _copied(state.params.vector, state.optimizer.slots)
    update, sums = make_update(trainer, buffers), state.running.sums.tolist()
    for count, lr, (x, y) in zip(itertools.count(state.optimizer.count + 1), rates, batches, strict=False):
        more = update(count, lr, x, y)
        if not more:
            return None
        sums = add(sums, more) if sums else more
    if not is_finite(buffers.vector):
        return None
    return Moved(owned(buffers.vector), tuple(owned(slot) for slot in buffers.slots), sums)


def _copied(vector: Array, slots: Sequence[Array]) -> Buffers:
    return Buffers(vector.copy(), tuple(slot.copy() for slot in slots), np.empty_like(vector))


def make_update(trainer: Trainer, buffers: Buffers) -> Update:
    """The function `update(count, lr, x, y)`, which does the count-th update in the buffers.

    It returns the sums over the batch of the loss and the metrics, or none if the loss or the gradient is not finite; then the
    buffers are not to be used again. That the parameters are finite is for the caller to see: once they are not, they stay so.
    """
    vector, slots, gradient = buffers
    gradient_of = make_gradient(trainer, vector, gradient)
    run_pass = make_pass(trainer.optimizer, gradient, slots, vector, layout_of(trainer.model))

    def update(count: int, lr: float, x: Array, y: Array) -> Sums:
        sums = gradient_of(x, y)
        if not (math.isfinite(sums[0]) and is_finite(gradient)):
            return []

        def move(direction: Array, room: Array, here: Array) -> None:
            np.multiply(direction, lr, out=room)
            np.subtract(here, room, out=here)

        run_pass(count, lr, move)
        return sums

    return update


def make_gradient(trainer: Trainer, vector: Array, gradient: Array) -> Callable[[Array, Array], Sums]:
    """The function of a batch that writes the gradient of the mean loss and returns the sums of the loss and each metric."""
    forward, loss, metrics = trainer.model.forward, trainer.loss.forward, trainer.measured()
    params, grads = trainer.model.views(vector), trainer.model.views(gradient)

    def gradient_of(x: Array, y: Array) -> Sums:
        outputs, backward = forward(params, x)
        losses, loss_backward = loss(outputs, y)
        backward(loss_backward(), grads)
        return _sums(metrics, losses, outputs, y)

    return gradient_of if trainer.accumulate == 1 else _accumulated(gradient_of, gradient, trainer.batch_size)


def _accumulated(gradient_of: Callable[[Array, Array], Sums], gradient: Array, size: int) -> Callable[[Array, Array], Sums]:
    """The same over micro-batches: each counts by its examples, so that the mean is that of one big batch."""

    def accumulated(x: Array, y: Array) -> Sums:
        total, mean = [0.0], np.zeros_like(gradient)
        for start in range(0, len(x), size):
            part = slice(start, start + size)
            sums = gradient_of(x[part], y[part])
            mean += gradient * (len(x[part]) / len(x))
            total = add(total, sums) if start else sums
        gradient[:] = mean
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


def make_measure(trainer: Trainer, data: Dataset) -> Callable[[TrainState], Sums]:
    """The function of a state that returns the sums over the dataset of the loss and of each metric."""

    def measure(state: TrainState) -> Sums:
        total: Sums = []
        for rows, outputs in _outputs(trainer, state, data.x):
            targets = np.asarray(data.y[rows]).astype(trainer.dtype, copy=False)
            sums = _sums(trainer.measured(), trainer.loss.forward(outputs, targets)[0], outputs, targets)
            total = add(total, sums) if total else sums
        return total

    return measure


def outputs_over(trainer: Trainer, state: TrainState, x: Array) -> Array:
    """The model's outputs for each row of x."""
    return np.concatenate([outputs for _, outputs in _outputs(trainer, state, x)])


def _outputs(trainer: Trainer, state: TrainState, x: Array) -> Iterator[tuple[slice, Array]]:
    for start in range(0, len(x), ROWS):
        rows = slice(start, start + ROWS)
        yield rows, trainer.model(state.params.vector, np.asarray(x[rows]).astype(trainer.dtype, copy=False))
