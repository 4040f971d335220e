"""The fold on NumPy: `toolz.reduce` of an update over batches, in place in copies of the carry's arrays."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import toolz

from fnloop.core.arrays import Array, read_only
from fnloop.data.batching import batches_from
from fnloop.data.dataset import Dataset
from fnloop.engines.base import Carry, Computation, Examples, Fault, Fold, Step
from fnloop.engines.numpy.gradient import make_gradient
from fnloop.engines.numpy.memory import keep_freed_memory
from fnloop.metrics.metric import make_merge
from fnloop.optimizers.kernel_pass import ApplyDirection, make_pass

ALIGNMENT = 64  # bytes of a cache line, and of the widest registers

Update = Callable[[Carry, tuple[float, Examples]], Carry]


def make_fold(computation: Computation, data: Dataset) -> Fold:
    """Return the function `fold(carry, rates, epoch, first) -> carry` over batches of an epoch of the data."""
    keep_freed_memory()
    size, seed, dtype = computation.update_size, computation.seed, computation.dtype

    def fold(carry: Carry, rates: Sequence[float], epoch: int, first: int) -> Carry:
        batches = batches_from(data, size, seed, epoch, first, first + len(rates), dtype)
        return fold_batches(computation, carry, rates, batches)

    return fold


def make_step(computation: Computation) -> Step:
    """Return the function `step(carry, lr, examples) -> carry`: the fold over one batch."""
    keep_freed_memory()
    return lambda carry, lr, examples: fold_batches(computation, carry, [lr], [examples])


def fold_batches(computation: Computation, carry: Carry, rates: Sequence[float], batches: Iterable[Examples]) -> Carry:
    """Fold the update over batches, each at its learning rate; the given carry's arrays stay unchanged."""
    start = copied(carry)
    skips_check = computation.optimizer.keeps_non_finite and len(rates) > 1  # a single step reports its fault exactly
    update = make_update(computation, start, checks_gradient=not skips_check)
    return _finish(toolz.reduce(update, zip(rates, batches, strict=True), start))


def make_update(computation: Computation, start: Carry, *, checks_gradient: bool) -> Update:
    """Return the function `update(carry, (lr, examples)) -> carry`, which writes into the vector and the slots of `start`.

    A loss that is not finite ends in a fault, and so does a gradient if it is checked. Parameters and slots are not checked:
    once they are not finite they stay so, and the end of the fold finds them. An optimizer whose slots keep every gradient
    that is not finite makes the check of each gradient unnecessary.

    Args:
        computation: The computation.
        start: A carry whose vector and slots can be written.
        checks_gradient: Whether each gradient is checked.
    """
    vector, slots, gradient = start.vector, start.slots, aligned(start.vector)
    gradient_of = make_gradient(computation, vector, gradient)
    run_pass = make_pass(computation.optimizer.parts, gradient, slots, vector, computation.model.layout)
    merge = make_merge(computation.metrics, computation.model.outputs)

    def update(carry: Carry, batch: tuple[float, Examples]) -> Carry:
        _, buffers, _, count, step, sums, fault = carry
        if fault is not None:
            return carry
        lr, examples = batch
        batch_sums, buffers = gradient_of(examples, buffers, step)
        if not math.isfinite(batch_sums[0]):
            return carry._replace(fault=Fault.LOSS)
        if checks_gradient and not is_finite(gradient):
            return carry._replace(fault=Fault.GRADIENT)

        run_pass(count + 1, lr, descend(lr))
        return Carry(vector, buffers, slots, count + 1, step + 1, merge(sums, batch_sums) if sums else batch_sums)

    return update


def descend(lr: Any) -> ApplyDirection:
    """Return the function that moves parameters against a direction, at a learning rate.

    Args:
        lr: The learning rate, or a column of them.
    """

    def apply(direction: Array, factor: Any, scratch: Array, params: Array) -> None:
        np.multiply(direction, lr * factor, out=scratch)
        np.subtract(params, scratch, out=params)

    return apply


def is_finite(array: Array) -> bool:
    """Return whether every element is finite, at the cost of one dot product if so."""
    array = array.reshape(-1)
    return math.isfinite(np.dot(array, array)) or bool(np.isfinite(array).all())


def copied(carry: Carry) -> Carry:
    """Copy the arrays that updates write into, aligned to cache lines."""
    vector, *slots = map(aligned, (carry.vector, *carry.slots))
    return carry._replace(vector=vector, slots=tuple(slots))


def _finish(carry: Carry) -> Carry:
    """Check that the arrays are finite, and freeze them."""
    if carry.fault is not None:
        return carry
    for fault, arrays in (
        (Fault.PARAMETERS, (carry.vector,)),
        (Fault.SLOTS, carry.slots),
        (Fault.BUFFERS, carry.buffers),
    ):
        if not all(map(is_finite, arrays)):
            return carry._replace(fault=fault)
    return carry._replace(
        vector=freeze(carry.vector), buffers=tuple(map(read_only, carry.buffers)), slots=tuple(map(freeze, carry.slots))
    )


def aligned(values: Array) -> Array:
    """Return a copy that starts at a cache line: passes over several such arrays take up to 20 % less time."""
    memory = np.empty(values.size + ALIGNMENT // values.itemsize, values.dtype)
    start = -memory.__array_interface__["data"][0] % ALIGNMENT // values.itemsize
    array = memory[start : start + values.size].reshape(values.shape)
    array[...] = values
    return array


def freeze(array: Array) -> Array:
    """Freeze an aligned array, with the memory that it is a part of."""
    array.base.flags.writeable = False  # type: ignore[union-attr]
    return read_only(array)
