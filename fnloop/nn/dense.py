"""The dense (fully connected, linear) layer."""

from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

import numpy as np

from fnloop.constants import ones
from fnloop.nn.initializers import VARIANCE, initial_weights
from fnloop.record import record
from fnloop.typing import Array, PositiveInt, choice


class DenseParams(NamedTuple):
    """The parameters of a dense layer, views into the flat vector: `weights` (D, K) and `biases` (K,)."""

    weights: Any
    biases: Any


@record
class Dense:
    """A linear map: y = x w + b.

        dx = dy wᵀ      dw = xᵀ dy      db = sum over examples of dy

    Shapes: `x` is (N, D) with D = `inputs`, `y` is (N, K) with K = `outputs`.
    """

    inputs: PositiveInt
    outputs: PositiveInt
    init: Annotated[str, choice(*VARIANCE)] = "glorot_uniform"

    params = DenseParams

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shape of each of the layer's parameters."""
        return (self.inputs, self.outputs), (self.outputs,)

    def initial(self, seed: int, layer: int) -> tuple[Array, ...]:
        """Random weights and zero biases, float64, flat."""
        return initial_weights(self.init, self.inputs, self.outputs, seed, layer), np.zeros(self.outputs)

    def forward(self, params: DenseParams, x: Any) -> tuple[Any, Callable[[Any, DenseParams, bool], Any]]:
        """The layer's value, and the function that takes dy back: it writes dw and db, and returns dx if it is wanted."""
        y = x.dot(params.weights)
        y += params.biases

        def backward(dy: Any, grads: DenseParams, wanted: bool) -> Any:
            np.dot(x.T, dy, out=grads.weights)
            np.dot(ones(len(dy), dy.dtype), dy, out=grads.biases)
            return np.dot(dy, params.weights.T) if wanted else None

        return y, backward
