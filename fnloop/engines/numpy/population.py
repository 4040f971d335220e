"""The fold of a population on NumPy: K models of one kind, whose parameters are the rows of a matrix."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from fnloop.core.arrays import Array, read_only
from fnloop.core.columns import column
from fnloop.core.stacking import repeated
from fnloop.data.batching import member_orders
from fnloop.data.dataset import Dataset
from fnloop.engines.base import Carry, Computation, Examples, PopulationFold
from fnloop.engines.numpy.fold import aligned, descend, is_finite
from fnloop.engines.numpy.memory import keep_freed_memory
from fnloop.engines.numpy.population_gradient import make_population_gradient
from fnloop.metrics.metric import make_merge
from fnloop.optimizers.combining import combine
from fnloop.optimizers.kernel_pass import make_pass


def make_population_fold(
    computations: Sequence[Computation], data: Dataset, rows: Sequence[Array] | None = None
) -> PopulationFold:
    """Return the function `fold(carries, rates, epoch, first) -> carries` over batches of an epoch, for all members at once.

    A member's new carry has the bits of its own `make_fold`; it is None if anything was not finite. All members must have seen
    as many batches and made as many updates.

    Args:
        computations: A computation for each member. They differ only in the seed and the optimizer.
        data: The training data.
        rows: For each member the rows that it trains on, equally many; None (the default) for all rows.
    """
    keep_freed_memory()
    seeds = [computation.seed for computation in computations]
    size, dtype = computations[0].update_size, computations[0].dtype

    def fold(carries: Sequence[Carry], rates: Sequence[Sequence[float]], epoch: int, first: int) -> list[Carry | None]:
        batches = stacked_batches(data, size, seeds, epoch, first, first + len(rates[0]), dtype, rows)
        return _fold_batches(computations, carries, rates, batches)

    return fold


def _fold_batches(
    computations: Sequence[Computation],
    carries: Sequence[Carry],
    rates: Sequence[Sequence[float]],
    batches: Iterator[Examples],
) -> list[Carry | None]:
    matrix = aligned(np.stack([carry.vector for carry in carries]))
    slots = [aligned(np.stack(arrays)) for arrays in zip(*(carry.slots for carry in carries), strict=True)]
    buffers = tuple(np.stack(arrays) for arrays in zip(*(carry.buffers for carry in carries), strict=True))
    gradient = np.empty_like(matrix)
    gradient_of = make_population_gradient(computations, matrix, gradient)
    run_pass = _make_pass(computations, gradient, slots, matrix)
    checks_gradient = not all(computation.optimizer.keeps_non_finite for computation in computations)
    merge = make_merge(computations[0].metrics, computations[0].model.outputs)
    sums = [np.array(values) for values in zip(*(carry.sums for carry in carries), strict=True)]
    count, step, sound = carries[0].optimizer_count, carries[0].step, np.ones(len(carries), bool)
    for lr, examples in zip(_columns(rates), batches, strict=True):
        batch_sums, buffers = gradient_of(examples, buffers, step)
        if checks_gradient and not is_finite(gradient):
            sound &= np.isfinite(gradient).all(1)
        run_pass(count + 1, lr)
        sums = merge(sums, batch_sums) if sums else batch_sums
        count, step = count + 1, step + 1
    sound &= np.isfinite(sums[0])
    for array in (matrix, *slots, *buffers):
        if not is_finite(array):
            sound &= np.isfinite(array.reshape(len(carries), -1)).all(1)
    of_members = np.array(sums).T.tolist()
    return [
        Carry(
            vector=read_only(matrix[k].copy()),
            buffers=tuple(read_only(array[k].copy()) for array in buffers),
            slots=tuple(read_only(array[k].copy()) for array in slots),
            optimizer_count=count,
            step=step,
            sums=of_members[k],
        )
        if sound[k]
        else None
        for k in range(len(carries))
    ]


def _columns(rates: Sequence[Sequence[float]]) -> Iterator[Any]:
    """Yield the rates of all members for each batch; equal ones are one column, which keeps its arrays."""
    before, lr = None, None
    for of_batch in zip(*rates, strict=True):
        if of_batch != before:
            before, lr = of_batch, column(of_batch)
        yield lr


def _make_pass(
    computations: Sequence[Computation], gradient: Array, slots: Sequence[Array], matrix: Array
) -> Callable[[int, Any], None]:
    """Return the function `run(count, lr)` of one pass for all members, or of one for each where kernels depend on values."""
    combined = combine([computation.optimizer for computation in computations])
    if combined is not None:
        run_combined = make_pass(combined, gradient, slots, matrix, block=matrix.size)
        return lambda count, lr: run_combined(count, lr, descend(lr))
    layout = computations[0].model.layout
    passes = [
        make_pass(computation.optimizer.parts, gradient[k], [slot[k] for slot in slots], matrix[k], layout)
        for k, computation in enumerate(computations)
    ]

    def run(count: int, lr: Any) -> None:
        for run_member, rate in zip(passes, getattr(lr, "values", [lr] * len(passes)), strict=True):
            run_member(count, rate, descend(rate))

    return run


def stacked_batches(
    data: Dataset,
    size: int,
    seeds: Sequence[int],
    epoch: int,
    first: int,
    stop: int,
    dtype: str,
    rows: Sequence[Array] | None = None,
) -> Iterator[Examples]:
    """Yield `(x, y, weights)` of a range of an epoch's batches, (K, B, ...): for each member the batch of its own order.

    Args:
        data: The examples.
        size: Examples in a batch.
        seeds: The seed of each member's order.
        epoch: The epoch, counted from 0.
        first: Index of the first batch.
        stop: Index after the last batch.
        dtype: The dtype of the arrays.
        rows: For each member its rows of the data, equally many; None (the default) for all rows.
    """
    orders = member_orders(len(data), seeds, epoch, rows)
    for start in range(first * size, min(stop * size, orders.shape[1]), size):
        batch = orders[:, start : start + size]
        yield tuple(  # type: ignore[misc]
            None if array is None else _gather(array, batch, len(seeds), dtype) for array in (data.x, data.y, data.weights)
        )


def _gather(array: Array, rows: Array, members: int, dtype: str) -> Array:
    """Return the rows of each member; `rows` is one row if all members have one order."""
    gathered = np.asarray(array).take(rows, axis=0).astype(dtype, copy=False)
    return read_only(gathered if len(rows) == members else repeated(gathered[0], members))
