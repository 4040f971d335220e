"""Outputs and sums over a dataset on JAX, some rows at a time."""

from collections.abc import Callable
from typing import Any

from jax import lax
from jax import numpy as jnp

from fnloop.core.arrays import AnyArray
from fnloop.engines.base import ROWS, Computation
from fnloop.engines.jax.gradient import make_forward
from fnloop.nn import Context


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


def make_outputs(computation: Computation) -> Callable[..., AnyArray]:
    """Return the function `outputs(vector, buffers, x) -> outputs` for each row of x."""
    model = computation.model

    def outputs(vector: AnyArray, buffers: Any, x: AnyArray) -> AnyArray:
        chunks = _in_chunks(lambda chunk: model(vector, chunk, buffers), x)
        return jnp.concatenate([chunk.reshape(-1, *model.shape) for chunk in chunks])

    return outputs


def _in_chunks(function: Callable[..., AnyArray], *arrays: AnyArray) -> list[AnyArray]:
    """Apply a function to `ROWS` rows at a time, so that the values between layers stay small."""
    full = len(arrays[0]) // ROWS * ROWS
    chunks = tuple(array[:full].reshape(-1, ROWS, *array.shape[1:]) for array in arrays)
    done = [lax.map(lambda chunk: function(*chunk), chunks)] if full else []
    return [*done, function(*(array[full:] for array in arrays))[None]] if full < len(arrays[0]) else done
