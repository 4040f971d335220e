"""Embedding: a vector for each of a number of things."""

from typing import Any, NamedTuple

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.checks import PositiveInt
from fnloop.core.formatting import short
from fnloop.core.random import Stream, normal
from fnloop.core.records import frozen
from fnloop.nn.layer import Backward


class EmbeddingParams(NamedTuple):
    """The parameters of an embedding, a view into the flat vector: `vectors` (V, E)."""

    vectors: Any


@frozen
class Embedding:
    """The learned vector of each index: y = vectors[x].

    Indices come as numbers of the model's dtype, exact to 2^24 in float32; gradients of an index that comes several times add
    up.

    Args:
        inputs: V, how many there are.
        outputs: E, the length of a vector; vectors start with standard normal values.
    Shapes: `x` is (N, ...) of whole numbers in [0, V), `y` is (N, ..., E).
    """

    inputs: PositiveInt
    outputs: PositiveInt

    params = EmbeddingParams

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shape of the layer's parameters."""
        return ((self.inputs, self.outputs),)

    def initial(self, seed: int, address: int) -> tuple[Array, ...]:
        """Standard normal vectors, float64."""
        return (normal(self.inputs * self.outputs, seed, Stream.INITIAL, address).reshape(self.shapes[0]),)

    def check_values(self, x: Array) -> None:
        """Refuse what is no index."""
        if not np.array_equal(x, np.floor(x)) or x.min() < 0 or x.max() >= self.inputs:
            raise ValueError(
                f"x must be whole numbers in [0, {self.inputs}) for {short(self)}, got values from {x.min()} to {x.max()}"
            )

    def forward(self, params: EmbeddingParams, x: Any) -> tuple[Any, Backward]:
        """The vectors, and the function that takes dy back."""
        index = x.astype(np.int32)

        def backward(dy: Any, grads: EmbeddingParams, wanted: bool) -> Any:
            grads.vectors[...] = 0
            np.add.at(grads.vectors, index, dy)
            return np.zeros(x.shape, dy.dtype) if wanted else None

        return params.vectors[index], backward
