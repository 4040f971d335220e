"""The dense (fully connected, linear) layer."""

from dataclasses import KW_ONLY
from typing import Annotated, Any, NamedTuple

import numpy as np

from fnloop.constants import ones
from fnloop.nn.initializers import INITIALIZERS, initial_weights
from fnloop.nn.layer import Backward
from fnloop.record import record
from fnloop.typing import Array, PositiveInt, choice


class DenseParams(NamedTuple):
    """The parameters of a layer with weights and biases, views into the flat vector: of `Dense`, `weights` (D, K) and `biases`
    (K,).
    """

    weights: Any
    biases: Any


COPIED = range(1 << 17, 1 << 20)  # multiplications of a product


@record
class Dense:
    """A linear map: y = x w + b.

        dx = dy wᵀ      dw = xᵀ dy      db = sum over examples of dy

    Args:
        init: of the weights, `glorot_`, `he_` or `lecun_` with `uniform` or `normal`, or `orthogonal`; biases start at zero.
    Shapes: `x` is (N, D) with D = `inputs`, `y` is (N, K) with K = `outputs`.
    """

    inputs: PositiveInt
    outputs: PositiveInt
    _: KW_ONLY
    init: Annotated[str, choice(*INITIALIZERS)] = "glorot_uniform"

    params = DenseParams

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shape of each of the layer's parameters."""
        return (self.inputs, self.outputs), (self.outputs,)

    def initial(self, seed: int, address: int) -> tuple[Array, ...]:
        """Random weights and zero biases, float64."""
        return initial_weights(self.init, (self.inputs, self.outputs), seed, address), np.zeros(self.outputs)

    def forward(self, params: DenseParams, x: Any) -> tuple[Any, Backward]:
        """The layer's value, and the function that takes dy back: it writes dw and db, and returns dx if it is wanted."""
        if x.ndim != 2:
            raise ValueError(f"Dense takes (N, {self.inputs}); where there are more dimensions, Flatten stands before it")
        y = x.dot(params.weights)
        y += params.biases

        def backward(dy: Any, grads: DenseParams, wanted: bool) -> Any:
            x.T.dot(dy, grads.weights)
            ones(len(dy), dy.dtype).dot(dy, grads.biases)
            return dy.dot(_transposed(params.weights, len(dy))) if wanted else None

        return y, backward


def _transposed(weights: Any, n: int) -> Any:
    """The transposed weights; copied for a product with n rows that is neither tiny nor large: BLAS is then twice as fast."""
    return weights.T.copy() if n * weights.size in COPIED else weights.T
