"""The sums of a population over a dataset on NumPy, some rows at a time, for all members at once."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.stacking import can_stack, repeated
from fnloop.data.dataset import Dataset
from fnloop.engines.base import ROWS, Arrays, Computation, PopulationMeasure, Sums, apply_weights
from fnloop.engines.numpy.measure import make_measure
from fnloop.engines.numpy.population_gradient import stacked_loss, sum_up_members
from fnloop.metrics.metric import make_merge
from fnloop.nn import Context


def make_population_measure(computation: Computation, data: Dataset) -> PopulationMeasure:
    """Return the function `measure(vectors, buffers)`: the sums of each member, as its own `make_measure` computes them.

    Args:
        computation: The computation of any member.
        data: The data.
    """
    if not can_stack(computation.model):
        measure_one = make_measure(computation, data)
        return lambda vectors, buffers: [measure_one(*member) for member in zip(vectors, buffers, strict=True)]
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
