"""Outputs and sums over a dataset on NumPy, some rows at a time."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from fnloop.core.arrays import Array
from fnloop.data.dataset import Dataset
from fnloop.engines.base import ROWS, Arrays, Computation, Measure, Sums, apply_weights
from fnloop.engines.numpy.gradient import sum_up
from fnloop.engines.numpy.memory import keep_freed_memory
from fnloop.metrics.metric import make_merge


def make_measure(computation: Computation, data: Dataset) -> Measure:
    """Return the function `measure(vector, buffers) -> sums` of the loss and the metrics over the dataset."""
    keep_freed_memory()
    add = _make_sums(computation, data)
    return lambda vector, buffers: add(_in_chunks(computation, vector, buffers, data.x))


def sums_of_outputs(computation: Computation, data: Dataset, outputs: Array) -> Sums:
    """Return the sums of the loss and the metrics over the dataset, from the outputs for all of its rows.

    Args:
        computation: What is computed; its dtype is that of the outputs.
        data: The dataset.
        outputs: The outputs, (N, K).
    """
    parts = (slice(start, start + ROWS) for start in range(0, len(outputs), ROWS))
    return _make_sums(computation, data)((rows, outputs[rows]) for rows in parts)


def _make_sums(computation: Computation, data: Dataset) -> Callable[[Iterable[tuple[slice, Array]]], Sums]:
    """Return the function from the outputs of some rows at a time to the sums over all of them."""
    loss, metrics, dtype = computation.loss, computation.metrics, computation.dtype
    merge = make_merge(metrics, computation.model.outputs)

    def add(chunks: Iterable[tuple[slice, Array]]) -> Sums:
        total: Sums = []
        for rows, outputs in chunks:
            targets = np.asarray(data.y[rows]).astype(dtype, copy=False)
            weights = None if data.weights is None else data.weights[rows].astype(dtype, copy=False)
            losses, _ = apply_weights(loss.forward(outputs, targets), weights)
            sums = sum_up(metrics, losses, outputs, targets)
            total = merge(total, sums) if total else sums
        return total

    return add


def compute_outputs(computation: Computation, vector: Array, buffers: Arrays, x: Array) -> Array:
    """Return the model's outputs for each row of x."""
    return np.concatenate([outputs for _, outputs in _in_chunks(computation, vector, buffers, x)])


def _in_chunks(computation: Computation, vector: Array, buffers: Arrays, x: Array) -> Iterator[tuple[slice, Array]]:
    """Yield the outputs for at most `ROWS` rows at a time, so that the values between layers stay small."""
    for start in range(0, len(x), ROWS):
        rows = slice(start, start + ROWS)
        yield rows, computation.model(vector, np.asarray(x[rows]).astype(computation.dtype, copy=False), buffers)
