"""Outputs and sums over a dataset on JAX, some rows at a time."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from jax import lax
from jax import numpy as jnp

from fnloop.core.arrays import AnyArray, Array
from fnloop.engines.base import ROWS, Computation
from fnloop.engines.jax.gradient import make_forward
from fnloop.nn import Context, Model

SIZES = 16, 128, ROWS  # rows of a chunk


def make_measure(computation: Computation) -> Callable[..., AnyArray]:
    """Return the function `measure(vector, buffers, x, y, weights=None) -> sums`, with a row of sums for each chunk.

    Shapes:
        sums: (chunks, 1 + the width of the metrics).
    """
    model, forward = computation.model, make_forward(computation)

    def measure(vector: AnyArray, buffers: Any, *examples: AnyArray) -> AnyArray:
        def sums_of(*chunk: AnyArray) -> AnyArray:
            _, (sums, _) = forward(model.views(vector), Context(buffers), *chunk)
            return sums

        return jnp.concatenate(_in_chunks(sums_of, *examples))

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
        chunk = np.zeros((next(size for size in SIZES if size >= len(rows)), *x.shape[1:]), dtype)
        chunk[: len(rows)] = rows
        yield chunk


def _in_chunks(function: Callable[..., AnyArray], *arrays: AnyArray) -> list[AnyArray]:
    """Apply a function to `ROWS` rows at a time, so that the values between layers stay small."""
    full = len(arrays[0]) // ROWS * ROWS
    chunks = tuple(array[:full].reshape(-1, ROWS, *array.shape[1:]) for array in arrays)
    done = [lax.map(lambda chunk: function(*chunk), chunks)] if full else []
    return [*done, function(*(array[full:] for array in arrays))[None]] if full < len(arrays[0]) else done
