"""Convolutions over series and images: one gather of windows and one matrix product."""

import math
from dataclasses import KW_ONLY
from typing import Annotated, Any

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.checks import Flag, PositiveInt, choice
from fnloop.core.records import frozen
from fnloop.nn.dense import DenseParams, WeightParams, sum_rows
from fnloop.nn.initializers import INITIALIZERS, initial_weights
from fnloop.nn.layer import Backward, expect
from fnloop.nn.windows import OverImages, OverSeries, Padding, windows


class Convolution:
    """What convolutions share over any number of dimensions."""

    __slots__ = ()
    inputs: PositiveInt
    outputs: PositiveInt
    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: int | str
    init: str
    bias: bool

    @property
    def params(self) -> type[DenseParams] | type[WeightParams]:
        """The record of the layer's parameters."""
        return DenseParams if self.bias else WeightParams

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shape of each of the layer's parameters."""
        return ((*self.kernel_size, self.inputs, self.outputs), (self.outputs,))[: 1 + self.bias]

    def initial(self, seed: int, address: int) -> tuple[Array, ...]:
        """Random weights and zero biases, float64."""
        weights = initial_weights(self.init, self.shapes[0], seed, address)
        return (weights, np.zeros(self.outputs))[: 1 + self.bias]

    def forward(self, params: Any, x: Any) -> tuple[Any, Backward]:
        """The layer's value, and the function that takes dy back: it writes dw and db, and returns dx if it is wanted."""
        expect(x, *(None for _ in self.kernel_size), self.inputs)
        taken, counts, put_back = windows(x, self.kernel_size, self.stride, self.padding)
        fan_in = math.prod(self.kernel_size) * self.inputs
        rows, w = taken.reshape(-1, fan_in), params.weights.reshape(fan_in, self.outputs)
        y = rows.dot(w)
        if self.bias:
            y += params.biases

        def backward(dy: Any, grads: Any, wanted: bool) -> Any:
            dy = dy.reshape(-1, self.outputs)
            np.dot(rows.T, dy, out=grads.weights.reshape(fan_in, self.outputs))
            if self.bias:
                sum_rows(dy, grads.biases)
            return put_back(np.dot(dy, w.T)) if wanted else None

        return y.reshape(len(x), *counts, self.outputs), backward


@frozen
class Conv1d(Convolution):
    """A linear map of each window of a series: y_t = b + sum_i x_(t stride + i - padding) w_i, with zeros beyond the ends.

    Args:
        inputs, outputs: channels.
        kernel_size: the window's length; stride: the distance between windows.
        padding: the number of zeros to add at either end, or `"same"`: as many as ceil(T / stride) windows need, shared by
            both ends, with one more at the far end where they are odd. At stride 1 the length then stays.
        init: of the weights, as in `Dense`.
        bias: whether there is a b.
    Shapes: `x` is (N, T, `inputs`), channels last; `y` is (N, (T + 2 padding - kernel_size) // stride + 1, `outputs`), or (N,
        ceil(T / stride), `outputs`) with `"same"`; the weights are (kernel_size, `inputs`, `outputs`).
    Source: LeCun et al. 1989; the product of windows is Chellapilla, Puri & Simard 2006.
    """

    inputs: PositiveInt
    outputs: PositiveInt
    kernel_size: OverSeries
    _: KW_ONLY
    stride: OverSeries = (1,)
    padding: Padding = 0
    init: Annotated[str, choice(*INITIALIZERS)] = "he_uniform"
    bias: Flag = True


@frozen
class Conv2d(Convolution):
    """A linear map of each window of an image: y_st = b + sum_ij x_(s stride + i - padding, t stride + j - padding) w_ij.

    Args:
        inputs, outputs: channels.
        kernel_size, stride: numbers for both height and width, or a pair of them; padding, init, bias: as in `Conv1d`.
    Shapes: `x` is (N, height, width, `inputs`), channels last; `y` is (N, height', width', `outputs`), each extent as in
        `Conv1d`; the weights are (*kernel_size, `inputs`, `outputs`).
    Source: as in `Conv1d`.
    """

    inputs: PositiveInt
    outputs: PositiveInt
    kernel_size: OverImages
    _: KW_ONLY
    stride: OverImages = (1, 1)
    padding: Padding = 0
    init: Annotated[str, choice(*INITIALIZERS)] = "he_uniform"
    bias: Flag = True
