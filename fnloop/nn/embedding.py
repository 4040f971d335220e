"""Embedding: a learned vector for each index."""

from typing import Any, NamedTuple

import numpy as np

from fnloop.core.arrays import AnyArray, Array
from fnloop.core.checks import PositiveInt
from fnloop.core.constants import indices
from fnloop.core.formatting import short
from fnloop.core.random import Stream, normal
from fnloop.core.records import frozen
from fnloop.nn.layer import Context, Forward, Layer


class EmbeddingParams(NamedTuple):
    """The parameters of an `Embedding`, a view into the flat vector.

    Attributes:
        vectors: (V, E), a vector for each index.
    """

    vectors: Any


@frozen
class Embedding(Layer):
    """Look up the learned vector of each index: y = vectors[x].

    Indices are numbers of the model's dtype, which is exact up to 2^24 in float32. The gradients of an index that occurs
    several times are added up. Vectors start with standard normal values.

    Args:
        inputs: V, the number of indices.
        outputs: E, the length of a vector.

    Shapes:
        `x` is (N, ...), whole numbers in [0, V); `y` is (N, ..., E).

    Raises:
        TypeError: If an argument is not an integer.
        ValueError: If a number is below 1; before training also for data that are not whole numbers in [0, V).
    """

    inputs: PositiveInt
    outputs: PositiveInt

    params = EmbeddingParams
    random = False
    stacks = True

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shape of the vectors, (V, E)."""
        return ((self.inputs, self.outputs),)

    def initial(self, seed: int, address: int) -> tuple[Array, ...]:
        """Return standard normal vectors, float64."""
        return (normal(self.inputs * self.outputs, seed, Stream.INITIAL, address).reshape(self.shapes[0]),)

    def check_values(self, x: Array) -> None:
        """Check that values are indices.

        Raises:
            ValueError: If a value is not a whole number in [0, V).
        """
        if not np.array_equal(x, np.floor(x)) or x.min() < 0 or x.max() >= self.inputs:
            raise ValueError(
                f"x must be whole numbers in [0, {self.inputs}) for {short(self)}, got values from {x.min()} to {x.max()}"
            )

    def forward(self, params: EmbeddingParams, x: AnyArray, context: Context) -> Forward:
        """Return the vectors, the backward function, and no buffers."""
        index = x.astype(np.int32)
        if context.members > 1:
            y = np.stack([own.take(rows, axis=0) for own, rows in zip(params.vectors, index, strict=True)])
        else:
            y = params.vectors.take(index, axis=0)

        def backward(dy: AnyArray, grads: EmbeddingParams, need_dx: bool) -> AnyArray | None:
            grads.vectors[...] = 0
            for member in np.ndindex(grads.vectors.shape[:-2]):  # one, (), or the index of each in a population
                _add_rows(grads.vectors[member], index[member], dy[member])
            return np.zeros(x.shape, dy.dtype) if need_dx else None

        return y, backward, ()


def _add_rows(vectors: Array, index: Array, rows: Array) -> None:
    """Add each row to the vector of its index, value by value: NumPy adds to a flat array several times as fast."""
    values = index.astype(np.intp)[..., None] * vectors.shape[1] + indices(vectors.shape[1], np.dtype(np.intp))
    np.add.at(vectors.reshape(-1), values.reshape(-1), rows.reshape(-1))
