"""The sums of a population over a dataset on NumPy, some rows at a time, for all members at once."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.stacking import can_stack, members_that_fit, repeated, split_evenly
from fnloop.data.dataset import Dataset
from fnloop.engines.base import ROWS, Arrays, Computation, PopulationMeasure, Sums, apply_weights
from fnloop.engines.numpy.measure import make_measure
from fnloop.engines.numpy.population_gradient import stacked_loss, sum_up_members
from fnloop.metrics.metric import make_merge
from fnloop.nn import Context
from fnloop.nn.values import values_of


def make_population_measure(computation: Computation, data: Dataset) -> PopulationMeasure:
    """Return the function `measure(vectors, buffers)`: the sums of each member, as its own `make_measure` computes them.

    Args:
        computation: The computation of any member.
        data: The data.
    """
    model, dtype, measure_one = computation.model, computation.dtype, make_measure(computation, data)
    measure_together = _make_measure_together(computation, data)
    numbers = model.size + min(len(data), ROWS) * values_of(model)
    at_once = members_that_fit(numbers, dtype) if can_stack(model) else 1

    def measure(vectors: Sequence[Array], buffers: Sequence[Arrays]) -> list[Sums]:
        sums: list[Sums] = []
        for group in split_evenly(list(zip(vectors, buffers, strict=True)), at_once):
            sums += measure_together(*zip(*group, strict=True)) if len(group) > 1 else [measure_one(*group[0])]
        return sums

    return measure


def _make_measure_together(computation: Computation, data: Dataset) -> PopulationMeasure:
    """Return the function that computes all members at once."""
    model, loss, metrics, dtype = computation.model, computation.loss, computation.metrics, computation.dtype
    merge = make_merge(metrics, model.outputs)

    def measure(vectors: Sequence[Array], buffers: Sequence[Arrays]) -> list[Sums]:
        members = len(vectors)
        params, context = model.views(np.stack(vectors)), Context(_stack_buffers(buffers), members=members)
        total: list[Array] = []
        for start in range(0, len(data), ROWS):
            x, y, weights = (_part(array, start, members, dtype) for array in (data.x, data.y, data.weights))
            outputs = model.forward(params, x, context)[0]
            losses, _ = apply_weights(stacked_loss(loss, outputs, y), weights)
            sums = sum_up_members(metrics, losses, outputs, y)
            total = merge(total, sums) if total else sums
        of_members: list[Sums] = np.array(total).T.tolist()
        return of_members

    return measure


def _part(array: Array | None, start: int, members: int, dtype: str) -> Any:
    """Return some rows, with a copy for each member."""
    return None if array is None else repeated(np.asarray(array[start : start + ROWS]).astype(dtype, copy=False), members)


def _stack_buffers(buffers: Sequence[Arrays]) -> Arrays:
    return tuple(np.stack(arrays) for arrays in zip(*buffers, strict=True))
