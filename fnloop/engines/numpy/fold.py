"""The NumPy engine: the update of flat buffers by a batch, the fold of it over batches, and outputs over a dataset."""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from fnloop.core.arrays import Array, read_only
from fnloop.core.random import Stream, uniform
from fnloop.data.batching import batches_from
from fnloop.data.dataset import Dataset
from fnloop.engines.threads import with_threads
from fnloop.metrics.metric import make_merge
from fnloop.nn import Context
from fnloop.optimizers.kernel_pass import make_pass
from fnloop.training.state import TrainState
from fnloop.training.trainer import Trainer

LINE = 64  # bytes of a cache line, and of the widest registers
ROWS = 1024  # examples of one forward pass, where no gradient is wanted

Sums = list[float]
Examples = tuple[Array, Array, Array | None]
Kept = tuple[Array, ...]
Update = Callable[[int, float, Examples, Kept, int], tuple[Sums | str, Kept]]
Gradient = Callable[[Examples, Kept, int], tuple[Sums, Kept]]


class Moved(NamedTuple):
    """What a fold over batches makes: the parameters, the model's buffers, the optimizer's slots, the sums of loss and
    metrics.
    """

    vector: Array
    buffers: Kept
    slots: tuple[Array, ...]
    sums: Sums


class Work(NamedTuple):
    """The arrays that updates are done in: the flat vector, the optimizer's slots, and room for the gradient."""

    vector: Array
    slots: tuple[Array, ...]
    gradient: Array


# What may be not finite, in the order in which a step computes it.
CAUSES = LOSS, GRADIENT, PARAMETERS, SLOTS, BUFFERS = tuple(
    f"the {name}" for name in ("loss", "gradient", "parameters", "optimizer's slots", "model's buffers")
)

Run = Callable[[TrainState, Sequence[float], int], Moved | str]


def make_run(trainer: Trainer, data: Dataset) -> Run:
    """The function `run(state, rates, stop)`: the epoch's batches from the state's on to `stop`, folded at these rates.

    If on the way the loss, the gradient, the parameters, the buffers or the slots are not finite, it returns the name of it.
    """
    size = trainer.batch_size * trainer.accumulate

    def run(state: TrainState, rates: Sequence[float], stop: int) -> Moved | str:
        at = state.progress.batches
        return fold(trainer, state, rates, batches_from(data, size, trainer.seed, state.epoch, at, stop, trainer.dtype))

    return run


def fold(trainer: Trainer, state: TrainState, rates: Sequence[float], batches: Iterable[Examples]) -> Moved | str:
    """The update folded over batches, in place, in a copy of the state's arrays that nobody sees before all are done."""
    return with_threads(trainer.blas_threads(), _fold, trainer, state, rates, batches)


def _fold(trainer: Trainer, state: TrainState, rates: Sequence[float], batches: Iterable[Examples]) -> Moved | str:
    work = _copied(state.params.vector, state.optimizer.slots)
    keeps_non_finite = trainer.optimizer.keeps_non_finite and len(rates) > 1  # of a single step the cause is wanted
    update, sums, buffers = make_update(trainer, work, keeps_non_finite), state.progress.sums.tolist(), state.buffers
    merge = make_merge(trainer.summed_metrics(), trainer.model.outputs)
    first = state.optimizer.count + 1, state.step
    for count, step, lr, examples in zip(*map(itertools.count, first), rates, batches, strict=False):
        more, buffers = update(count, lr, examples, buffers, step)
        if isinstance(more, str):
            return more
        sums = merge(sums, more) if sums else more
    for cause, arrays in ((PARAMETERS, (work.vector,)), (SLOTS, work.slots), (BUFFERS, buffers)):
        if not all(map(is_finite, arrays)):
            return cause
    return Moved(_handed_over(work.vector), tuple(map(read_only, buffers)), tuple(map(_handed_over, work.slots)), sums)


def _copied(vector: Array, slots: Sequence[Array]) -> Work:
    return Work(_aligned(vector, vector), tuple(_aligned(slot, slot) for slot in slots), _aligned(vector, 0))


def _aligned(like: Array, values: Any) -> Array:
    """An array of these values that begins with a cache line: passes over many such take up to a fifth less time."""
    room = np.empty(like.size + LINE // like.itemsize, like.dtype)
    start = -room.__array_interface__["data"][0] % LINE // like.itemsize
    array = room[start : start + like.size]
    array[:] = values
    return array


def _handed_over(array: Array) -> Array:
    """The array and the room that it lies in, frozen."""
    array.base.flags.writeable = False  # type: ignore[union-attr]
    return read_only(array)


def make_update(trainer: Trainer, work: Work, keeps_non_finite: bool) -> Update:
    """The function `update(count, lr, examples, buffers, step)`, which does the count-th update in the work's arrays.

    It returns the sums over the batch of the loss and the metrics, and the new buffers; in place of the sums the name of the
    loss or the gradient if that is not finite: then the arrays are not to be used again. That parameters and slots are finite
    is for the caller to see: once they are not, they stay so. If the optimizer `keeps_non_finite`,
    so that a non-finite gradient leaves a slot non-finite, the gradient is not checked.
    """
    vector, slots, gradient = work
    gradient_of = make_gradient(trainer, vector, gradient)
    run_pass = make_pass(trainer.optimizer.parts, gradient, slots, vector, trainer.model.layout)

    def update(count: int, lr: float, examples: Examples, buffers: Kept, step: int) -> tuple[Sums | str, Kept]:
        sums, buffers = gradient_of(examples, buffers, step)
        if not math.isfinite(sums[0]):
            return LOSS, buffers
        if not (keeps_non_finite or is_finite(gradient)):
            return GRADIENT, buffers

        def move(array: Array, factor: float, room: Array, here: Array) -> None:
            np.multiply(array, lr * factor, out=room)
            np.subtract(here, room, out=here)

        run_pass(count, lr, move)
        return sums, buffers

    return update


def make_gradient(trainer: Trainer, vector: Array, gradient: Array) -> Gradient:
    """The function `gradient_of(examples, buffers, step)`, which writes the gradient of the mean loss over the examples.

    It returns the sums of the loss and each metric, and the new buffers.
    """
    forward, loss, metrics = trainer.model.forward, trainer.loss.forward, trainer.summed_metrics()
    params, grads = trainer.model.views(vector), trainer.model.views(gradient)

    def gradient_of(examples: Examples, buffers: Kept, place: int) -> tuple[Sums, Kept]:
        x, y, weights = examples
        outputs, backward, buffers = forward(params, x, Context(buffers, _draws(trainer.seed, place)))
        losses, loss_backward = weighted(loss(outputs, y), weights)
        backward(loss_backward(), grads, False)
        return _sums(metrics, losses, outputs, y), buffers

    return gradient_of if trainer.accumulate == 1 else _accumulated(gradient_of, gradient, trainer)


def _draws(seed: int, place: int) -> Callable[[int, int], Array]:
    """What layers draw for the (micro-)batch that comes behind `place` others."""
    return lambda n, address: uniform(n, seed, Stream.DROPOUT, place, address)


def weighted(loss: tuple[Any, Callable[[], Any]], weights: Any) -> tuple[Any, Callable[[], Any]]:
    """The examples' losses and their way back, each example times its weight if there are any."""
    losses, backward = loss
    return loss if weights is None else (losses * weights, lambda: backward() * weights[:, None])


def _accumulated(gradient_of: Gradient, gradient: Array, trainer: Trainer) -> Gradient:
    """The same over micro-batches: each counts by its examples, so that the mean is that of one big batch."""
    size, most = trainer.batch_size, trainer.accumulate
    merge = make_merge(trainer.summed_metrics(), trainer.model.outputs)

    def accumulated(examples: Examples, buffers: Kept, step: int) -> tuple[Sums, Kept]:
        x, y, weights = examples
        total, mean, n = [0.0], np.zeros_like(gradient), len(x)
        for i, start in enumerate(range(0, n, size)):
            part = slice(start, start + size)
            micro = x[part], y[part], None if weights is None else weights[part]
            sums, buffers = gradient_of(micro, buffers, step * most + i)
            mean += gradient * (len(micro[0]) / n)
            total = merge(total, sums) if start else sums
        gradient[:] = mean
        return total, buffers

    return accumulated


def _sums(metrics: Sequence[Any], losses: Array, outputs: Array, y: Array) -> Sums:
    sums = [float(np.add.reduce(losses, dtype=np.float64))]
    for metric in metrics:
        sums += metric.sums(outputs, y)
    return sums


def is_finite(array: Array) -> bool:
    """Whether every element is finite, at the cost of one dot product where it is."""
    return math.isfinite(np.dot(array, array)) or bool(np.isfinite(array).all())


def make_measure(trainer: Trainer, data: Dataset) -> Callable[[TrainState], Sums]:
    """The function of a state that returns the sums over the dataset of the loss and of each metric."""

    def measure(state: TrainState) -> Sums:
        total: Sums = []
        merge = make_merge(trainer.summed_metrics(), trainer.model.outputs)
        for rows, outputs in _outputs(trainer, state, data.x):
            targets = np.asarray(data.y[rows]).astype(trainer.dtype, copy=False)
            weights = None if data.weights is None else data.weights[rows].astype(trainer.dtype, copy=False)
            losses, _ = weighted(trainer.loss.forward(outputs, targets), weights)
            sums = _sums(trainer.summed_metrics(), losses, outputs, targets)
            total = merge(total, sums) if total else sums
        return total

    return partial(with_threads, trainer.blas_threads(), measure)


def outputs_over(trainer: Trainer, state: TrainState, x: Array) -> Array:
    """The model's outputs for each row of x."""
    parts = with_threads(trainer.blas_threads(), lambda: list(_outputs(trainer, state, x)))
    return np.concatenate([outputs for _, outputs in parts])


def _outputs(trainer: Trainer, state: TrainState, x: Array) -> Iterator[tuple[slice, Array]]:
    for start in range(0, len(x), ROWS):
        rows = slice(start, start + ROWS)
        here = np.asarray(x[rows]).astype(trainer.dtype, copy=False)
        yield rows, trainer.model(state.params.vector, here, state.buffers)
