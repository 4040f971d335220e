"""Outputs and sums over a dataset on JAX, in parts of few sizes: a new number of rows compiles nothing.

Whole chunks of rows are summed up on the device. Of the rest, which is padded, only the outputs are computed there, and NumPy
sums up those of the true rows: the sums of a metric have no mask that could leave the padding out.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from jax import lax

from fnloop.core.arrays import AnyArray, Array
from fnloop.core.stacking import repeated
from fnloop.data.dataset import Dataset
from fnloop.engines.base import ROWS, Computation, Sums, apply_weights
from fnloop.engines.jax.gradient import make_forward
from fnloop.engines.numpy.population_gradient import stacked_loss, sum_up_members
from fnloop.engines.threads import with_threads
from fnloop.nn import Context, Model

SIZES = 16, 128, ROWS  # rows of a chunk whose outputs are computed
CHUNKS = 16, 1  # chunks of `ROWS` rows that one call sums up


class Parts(NamedTuple):
    """The examples of a dataset in parts.

    Args:
        chunks: Features, targets and, if there are any, weights of whole chunks, on the device.
        features: The features of the other rows, padded, on the device; None without such rows.
        rest: The other rows; None without such rows.
    """

    chunks: Sequence[tuple[AnyArray, ...]]
    features: AnyArray | None
    rest: Dataset | None


def cut(rows: int) -> list[tuple[int, int]]:
    """Return the start and the end of each part with whole chunks.

    Examples:
        >>> cut(20_000)
        [(0, 16384), (16384, 17408), (17408, 18432), (18432, 19456)]
    """
    parts, start = [], 0
    for size in (chunks * ROWS for chunks in CHUNKS):
        while start + size <= rows:
            parts.append((start, start + size))
            start += size
    return parts


def padded(x: Array, dtype: str, size: int | None = None) -> Array:
    """Return at most `ROWS` rows with zeros after them.

    Args:
        x: The rows.
        dtype: The dtype of the result.
        size: The rows of the result. Default: None, the next power of 2, at least 16: what is measured in each epoch has less
            padding than a prediction.

    Examples:
        >>> [len(padded(np.ones((n, 2)), "float32")) for n in (1, 17, 500)]
        [16, 32, 512]
    """
    chunk = np.zeros((size or max(SIZES[0], 1 << (len(x) - 1).bit_length()), *x.shape[1:]), dtype)
    chunk[: len(x)] = x
    return chunk


def sum_up_rest(computation: Computation, rest: Dataset, outputs: Array) -> list[Sums]:
    """Return the sums of each member over the rows that are no whole chunk.

    Args:
        computation: What is computed.
        rest: The rows.
        outputs: The outputs of each member for them, and for padding after them, (K, N, ...).
    """
    outputs, dtype = np.ascontiguousarray(outputs[:, : len(rest)]), computation.dtype
    of_members = [
        None if array is None else repeated(np.asarray(array).astype(dtype, copy=False), len(outputs))
        for array in (rest.y, rest.weights)
    ]

    def sums_of(targets: Array, weights: Array | None) -> list[Sums]:
        losses, _ = apply_weights(stacked_loss(computation.loss, outputs, targets), weights)
        sums: list[Sums] = np.array(sum_up_members(computation.metrics, losses, outputs, targets), np.float64).T.tolist()
        return sums

    return with_threads(computation.threads, sums_of, *of_members)


def make_measure(computation: Computation) -> Callable[..., AnyArray]:
    """Return the function `measure(vector, buffers, x, y, weights=None) -> sums` of whole chunks, with a row of sums for each.

    Values between layers stay small: it computes `ROWS` rows at a time.

    Shapes:
        sums: (chunks, 1 + the width of the metrics).
    """
    model, forward = computation.model, make_forward(computation)

    def measure(vector: AnyArray, buffers: Any, *examples: AnyArray) -> AnyArray:
        def sums_of(*chunk: AnyArray) -> AnyArray:
            _, (sums, _) = forward(model.views(vector), Context(buffers), *chunk)
            return sums

        chunks = tuple(array.reshape(-1, ROWS, *array.shape[1:]) for array in examples)
        return lax.map(lambda chunk: sums_of(*chunk), chunks)

    return measure


def make_outputs(model: Model) -> Callable[..., AnyArray]:
    """Return the function `outputs(vector, buffers, x) -> outputs` for each row of x."""

    def outputs(vector: AnyArray, buffers: Any, x: AnyArray) -> AnyArray:
        return model(vector, x, buffers).reshape(-1, *model.shape)

    return outputs


def padded_chunks(x: Array, dtype: str) -> Iterator[Array]:
    """Yield the rows of an array in chunks of few sizes, the last one with zeros after them: few programs serve any number.

    Args:
        x: The array.
        dtype: The dtype of the chunks.

    Examples:
        >>> [len(chunk) for chunk in padded_chunks(np.ones((1030, 2)), "float32")]
        [1024, 16]
    """
    for start in range(0, max(1, len(x)), ROWS):
        rows = x[start : start + ROWS]
        yield padded(rows, dtype, next(size for size in SIZES if size >= len(rows)))
