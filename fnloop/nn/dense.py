"""The dense (fully connected, linear) layer."""

from dataclasses import KW_ONLY
from typing import Annotated, Any, NamedTuple

import numpy as np

from fnloop.core.arrays import AnyArray, Array
from fnloop.core.checks import Flag, PositiveInt, choice
from fnloop.core.constants import ones
from fnloop.core.records import frozen
from fnloop.core.stacking import for_blas, product
from fnloop.core.sums import total
from fnloop.nn.initializers import INITIALIZERS, initial_weights
from fnloop.nn.layer import Context, Forward, Layer


class DenseParams(NamedTuple):
    """The parameters of a layer with weights and biases, views into the flat vector.

    Attributes:
        weights: (D, K) for `Dense`.
        biases: (K,) for `Dense`.
    """

    weights: Any
    biases: Any


class WeightParams(NamedTuple):
    """The parameters of a layer without biases, a view into the flat vector.

    Attributes:
        weights: (D, K) for `Dense`.
    """

    weights: Any


TRANSPOSE_BY_COPY = range(1 << 17, 1 << 20)  # multiplications of products that BLAS does twice as fast from a copy
SUM_BY_BLAS = 4096  # rows up to which a sum by BLAS keeps its digits


@frozen
class Dense(Layer):
    """Apply a linear map: y = x w + b, or y = x w without a bias.

        dx = dy wᵀ      dw = xᵀ dy      db = sum over examples of dy

    Args:
        inputs: D, the number of inputs.
        outputs: K, the number of outputs.
        init: Initializer of the weights: `glorot_`, `he_` or `lecun_` with `uniform` or `normal`, or `orthogonal`. Biases
            start at zero. Default: `"glorot_uniform"`.
        bias: Whether to add b. Before a `BatchNorm`, which adds a shift, it has no effect. Default: `True`.

    Shapes:
        `x` is (N, D), `y` is (N, K), w is (D, K), b is (K,).

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If `inputs` or `outputs` is below 1, or `init` is unknown.

    Examples:
        >>> Dense(3, 2).shapes
        ((3, 2), (2,))
    """

    inputs: PositiveInt
    outputs: PositiveInt
    _: KW_ONLY
    init: Annotated[str, choice(*INITIALIZERS)] = "glorot_uniform"
    bias: Flag = True

    random = False
    stacks = True

    @property
    def params(self) -> type[DenseParams] | type[WeightParams]:
        """The type of the layer's parameters."""
        return DenseParams if self.bias else WeightParams

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shape of each of the layer's parameters."""
        return ((self.inputs, self.outputs), (self.outputs,))[: 1 + self.bias]

    def initial(self, seed: int, address: int) -> tuple[Array, ...]:
        """Return random weights and zero biases, float64."""
        weights = initial_weights(self.init, (self.inputs, self.outputs), seed, address)
        return (weights, np.zeros(self.outputs))[: 1 + self.bias]

    def forward(self, params: Any, x: AnyArray, context: Context) -> Forward:
        """Return the outputs, the backward function, and no buffers."""
        if x.ndim != params.weights.ndim:
            raise ValueError(f"Dense takes (N, {self.inputs}); put a Flatten before it for more dimensions")
        y = product(x, params.weights)
        if self.bias:
            y += params.biases if y.ndim == 2 else params.biases[:, None]

        def backward(dy: AnyArray, grads: Any, need_dx: bool) -> AnyArray | None:
            product(x.mT, dy, grads.weights)
            if self.bias:
                sum_rows(dy, grads.biases)
            if not need_dx:
                return None
            transposed = params.weights.mT
            by_copy = dy.shape[-2] * self.inputs * self.outputs in TRANSPOSE_BY_COPY
            return product(dy, transposed.copy() if by_copy else transposed)

        return y, backward, ()


def sum_rows(dy: Array, out: Array) -> None:
    """Write the sum over the rows of dy to `out`: by BLAS if there are few rows, else in a way whose error does not grow."""
    rows = dy.shape[-2]
    if rows > SUM_BY_BLAS:
        out[...] = total(dy, keep=dy.ndim - 2)
    elif dy.ndim == 2:
        ones(rows, dy.dtype).dot(dy, out)
    else:
        np.matmul(ones(rows, dy.dtype), for_blas(dy), out=out)
