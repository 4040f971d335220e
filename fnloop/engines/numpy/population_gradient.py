"""The gradients of a population on NumPy: at once where the model takes a leading axis, else member by member."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.stacking import can_stack
from fnloop.engines.base import Arrays, Computation, Examples, apply_weights
from fnloop.engines.numpy.gradient import make_draw, make_gradient, refuse_draw
from fnloop.losses import Loss
from fnloop.losses.loss import Backward
from fnloop.metrics import Metric
from fnloop.nn import Context

BUFFERED = 8192  # numbers that NumPy casts and adds at a time

StackedSums = list[Any]  # like `Sums`, an array (K,) in the place of each number
PopulationGradient = Callable[[Examples, Arrays, int], tuple[StackedSums, Arrays]]


def make_population_gradient(computations: Sequence[Computation], matrix: Array, gradient: Array) -> PopulationGradient:
    """Return the function `gradient_of(examples, buffers, step) -> (sums, buffers)`, which writes into `gradient`.

    Args:
        computations: A computation for each member. They differ only in the seed and the optimizer.
        matrix: The parameters, (K, P), read at each call.
        gradient: The array (K, P) that each call overwrites.
    """
    first = computations[0]
    if first.accumulate > 1 or not can_stack(first.model):
        return _make_one_by_one(computations, matrix, gradient)
    model, loss, metrics, members = first.model, first.loss, first.metrics, len(computations)
    params, grads = model.views(matrix), model.views(gradient)
    draws_of = _make_draws([computation.seed for computation in computations]) if model.random else None

    def gradient_of(examples: Examples, buffers: Arrays, index: int) -> tuple[StackedSums, Arrays]:
        x, y, weights = examples
        draw = refuse_draw if draws_of is None else draws_of(index)
        outputs, backward, buffers = model.forward(params, x, Context(buffers, draw, members=members))
        losses, loss_backward = apply_weights(stacked_loss(loss, outputs, y), weights)
        backward(loss_backward(), grads, False)
        return sum_up_members(metrics, losses, outputs, y), buffers

    return gradient_of


def stacked_loss(loss: Loss, outputs: Array, targets: Array) -> tuple[Array, Backward]:
    """Return what the loss's `forward` returns for the outputs of all members, (K, N, ...)."""
    if can_stack(loss):
        return loss.forward(outputs, targets)
    results = [loss.forward(o, t) for o, t in zip(outputs, targets, strict=True)]
    return np.stack([losses for losses, _ in results]), lambda: np.stack([backward() for _, backward in results])


def sum_up_members(metrics: Sequence[Metric], losses: Array, outputs: Array, targets: Array) -> StackedSums:
    """Return the sums of the losses, followed by those of each metric, an array (K,) each.

    Args:
        metrics: The metrics.
        losses: The losses, (K, N).
        outputs: The outputs, (K, N, ...).
        targets: The targets, (K, N, ...).
    """
    if losses.shape[1] <= BUFFERED:  # NumPy adds each row as if it were alone
        sums: StackedSums = [np.add.reduce(losses.astype(np.float64), axis=1)]
    else:
        sums = [np.array([np.add.reduce(row, dtype=np.float64) for row in losses])]
    for metric in metrics:
        if can_stack(metric):
            sums += [np.broadcast_to(statistics, len(losses)) for statistics in metric.sums(outputs, targets)]
        else:
            of_members = [metric.sums(o, t) for o, t in zip(outputs, targets, strict=True)]
            sums += [np.array(statistics) for statistics in zip(*of_members, strict=True)]
    return sums


def _make_draws(seeds: Sequence[int]) -> Callable[[int], Callable[[int, int], Array]]:
    """Return the function from the index of a batch to the function that layers draw with, (K, n)."""

    def draws_of(index: int) -> Callable[[int, int], Array]:
        draws = [make_draw(seed, index) for seed in seeds]
        return lambda n, address: np.stack([draw(n, address) for draw in draws])

    return draws_of


def _make_one_by_one(computations: Sequence[Computation], matrix: Array, gradient: Array) -> PopulationGradient:
    """Return the gradients of the members, computed one by one."""
    members = [make_gradient(computation, matrix[k], gradient[k]) for k, computation in enumerate(computations)]

    def gradient_of(examples: Examples, buffers: Arrays, index: int) -> tuple[StackedSums, Arrays]:
        x, y, weights = examples
        results = [
            gradient_of_member((x[k], y[k], None if weights is None else weights[k]), tuple(b[k] for b in buffers), index)
            for k, gradient_of_member in enumerate(members)
        ]
        sums = [np.array(values) for values in zip(*(sums for sums, _ in results), strict=True)]
        return sums, tuple(np.stack(arrays) for arrays in zip(*(new for _, new in results), strict=True))

    return gradient_of
