"""The dense (fully connected, linear) layer."""

from dataclasses import KW_ONLY
from typing import Annotated, Any, NamedTuple

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.checks import Flag, PositiveInt, choice
from fnloop.core.constants import ones
from fnloop.core.records import frozen
from fnloop.core.sums import total
from fnloop.nn.initializers import INITIALIZERS, initial_weights
from fnloop.nn.layer import Backward


class DenseParams(NamedTuple):
    """The parameters of a layer with weights and biases, views into the flat vector: of `Dense`, `weights` (D, K) and `biases`
    (K,).
    """

    weights: Any
    biases: Any


class WeightParams(NamedTuple):
    """The parameters of a layer with weights alone, a view into the flat vector: of `Dense`, `weights` (D, K)."""

    weights: Any


COPIED = range(1 << 17, 1 << 20)  # multiplications of a product
MANY = 4096  # rows of a sum


@frozen
class Dense:
    """A linear map: y = x w + b, or y = x w without a bias.

        dx = dy wᵀ      dw = xᵀ dy      db = sum over examples of dy

    Args:
        inputs, outputs: D and K, at least 1.
        init: of the weights, `glorot_`, `he_` or `lecun_` with `uniform` or `normal`, or `orthogonal`; biases start at zero.
        bias: whether there is a b; before a `BatchNorm`, which has a shift of its own, it has no effect.
    Shapes: `x` is (N, D) with D = `inputs`, `y` is (N, K) with K = `outputs`.
    """

    inputs: PositiveInt
    outputs: PositiveInt
    _: KW_ONLY
    init: Annotated[str, choice(*INITIALIZERS)] = "glorot_uniform"
    bias: Flag = True

    @property
    def params(self) -> type[DenseParams] | type[WeightParams]:
        """The record of the layer's parameters."""
        return DenseParams if self.bias else WeightParams

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shape of each of the layer's parameters."""
        return ((self.inputs, self.outputs), (self.outputs,))[: 1 + self.bias]

    def initial(self, seed: int, address: int) -> tuple[Array, ...]:
        """Random weights and zero biases, float64."""
        weights = initial_weights(self.init, (self.inputs, self.outputs), seed, address)
        return (weights, np.zeros(self.outputs))[: 1 + self.bias]

    def forward(self, params: Any, x: Any) -> tuple[Any, Backward]:
        """The layer's value, and the function that takes dy back: it writes dw and db, and returns dx if it is wanted."""
        if x.ndim != 2:
            raise ValueError(f"Dense takes (N, {self.inputs}); where there are more dimensions, Flatten stands before it")
        y = x.dot(params.weights)
        if self.bias:
            y += params.biases

        def backward(dy: Any, grads: Any, wanted: bool) -> Any:
            x.T.dot(dy, grads.weights)
            if self.bias:
                sum_rows(dy, grads.biases)
            return dy.dot(_transposed(params.weights, len(dy))) if wanted else None

        return y, backward


def sum_rows(dy: Any, biases: Any) -> None:
    """Write the sum of dy over its rows, by BLAS where there are few, without its growing error where there are many."""
    if len(dy) <= MANY:
        ones(len(dy), dy.dtype).dot(dy, biases)
    else:
        biases[...] = total(dy)


def _transposed(weights: Any, n: int) -> Any:
    """The transposed weights; copied for a product with n rows that is neither tiny nor large: BLAS is then twice as fast."""
    return weights.T.copy() if n * weights.size in COPIED else weights.T
