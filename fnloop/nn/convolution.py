"""Convolutions over series and images, as one gather of windows and one matrix product."""

import math
from dataclasses import KW_ONLY
from typing import Annotated, Any

import numpy as np

from fnloop.core.arrays import AnyArray, Array
from fnloop.core.checks import Flag, PositiveInt, choice
from fnloop.core.records import frozen
from fnloop.core.stacking import product
from fnloop.nn.dense import DenseParams, WeightParams, sum_rows
from fnloop.nn.initializers import INITIALIZERS, initial_weights
from fnloop.nn.layer import Context, Forward, Layer, expect
from fnloop.nn.windows import Padding, Size1d, Size2d, windows


class Convolution(Layer):
    """The common part of convolutions over any number of dimensions."""

    __slots__ = ()
    inputs: PositiveInt
    outputs: PositiveInt
    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: int | str
    init: str
    bias: bool
    random = False
    stacks = True

    @property
    def params(self) -> type[DenseParams] | type[WeightParams]:
        """The type of the layer's parameters."""
        return DenseParams if self.bias else WeightParams

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shape of each of the layer's parameters."""
        return ((*self.kernel_size, self.inputs, self.outputs), (self.outputs,))[: 1 + self.bias]

    def initial(self, seed: int, address: int) -> tuple[Array, ...]:
        """Return random weights and zero biases, float64."""
        weights = initial_weights(self.init, self.shapes[0], seed, address)
        return (weights, np.zeros(self.outputs))[: 1 + self.bias]

    def forward(self, params: Any, x: AnyArray, context: Context) -> Forward:
        """Return the outputs, the backward function, and no buffers."""
        expect(x, *(None for _ in self.kernel_size), self.inputs, members=context.members)
        taken, counts, add_back = windows(x, self.kernel_size, self.stride, self.padding)
        fan_in = math.prod(self.kernel_size) * self.inputs
        *members, n = x.shape[: -1 - len(counts)]
        rows, w = taken.reshape(*members, -1, fan_in), params.weights.reshape(*members, fan_in, self.outputs)
        y = product(rows, w)
        if self.bias:
            y += params.biases if y.ndim == 2 else params.biases[:, None]

        def backward(dy: AnyArray, grads: Any, need_dx: bool) -> AnyArray | None:
            dy = dy.reshape(y.shape)
            product(rows.mT, dy, grads.weights.reshape(w.shape))
            if self.bias:
                sum_rows(dy, grads.biases)
            return add_back(product(dy, w.mT)) if need_dx else None

        return y.reshape(*members, n, *counts, self.outputs), backward, ()


@frozen
class Conv1d(Convolution):
    """Apply a linear map to each window of a series.

        y_t = b + sum_i x_(t stride + i - padding) w_i

    Args:
        inputs: The number of input channels.
        outputs: The number of output channels.
        kernel_size: The length of a window.
        stride: The distance between windows. Default: `1`.
        padding: The number of zeros to add at each end, or `"same"`: as many as ceil(T / stride) windows need, half at each
            end, with one more at the far end if their number is odd. With stride 1, `"same"` keeps the length. Default: `0`.
        init: Initializer of the weights, as in `Dense`. Default: `"he_uniform"`.
        bias: Whether to add b. Default: `True`.

    Shapes:
        `x` is (N, T, `inputs`), channels last. `y` is (N, (T + 2 padding - kernel_size) // stride + 1, `outputs`), or
        (N, ceil(T / stride), `outputs`) with `"same"`. The weights are (kernel_size, `inputs`, `outputs`).

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If a number is out of range, or `init` or `padding` is unknown.

    Examples:
        >>> from fnloop.nn import Sequential
        >>> Sequential((100, 3), [Conv1d(3, 8, 5, padding="same")]).shape
        (100, 8)

    Source: LeCun et al. 1989; as a matrix product, Chellapilla, Puri & Simard 2006.
    """

    inputs: PositiveInt
    outputs: PositiveInt
    kernel_size: Size1d
    _: KW_ONLY
    stride: Size1d = (1,)
    padding: Padding = 0
    init: Annotated[str, choice(*INITIALIZERS)] = "he_uniform"
    bias: Flag = True


@frozen
class Conv2d(Convolution):
    """Apply a linear map to each window of an image.

        y_st = b + sum_ij x_(s stride + i - padding, t stride + j - padding) w_ij

    Args:
        inputs: The number of input channels.
        outputs: The number of output channels.
        kernel_size: The height and width of a window: a number for both, or a pair.
        stride: The distance between windows, a number or a pair. Default: `1`.
        padding: The number of zeros to add at each edge, or `"same"`, as in `Conv1d`. Default: `0`.
        init: Initializer of the weights, as in `Dense`. Default: `"he_uniform"`.
        bias: Whether to add b. Default: `True`.

    Shapes:
        `x` is (N, height, width, `inputs`), channels last. `y` is (N, height', width', `outputs`), each extent as in `Conv1d`.
        The weights are (*kernel_size, `inputs`, `outputs`).

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If a number is out of range, or `init` or `padding` is unknown.

    Examples:
        >>> from fnloop.nn import Sequential
        >>> Sequential((28, 28, 1), [Conv2d(1, 8, 3)]).shape
        (26, 26, 8)

    Source: LeCun et al. 1989.
    """

    inputs: PositiveInt
    outputs: PositiveInt
    kernel_size: Size2d
    _: KW_ONLY
    stride: Size2d = (1, 1)
    padding: Padding = 0
    init: Annotated[str, choice(*INITIALIZERS)] = "he_uniform"
    bias: Flag = True
