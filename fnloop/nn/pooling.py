"""Pooling: reduce each window of a series or an image to one value, channel by channel."""

import math
from abc import abstractmethod
from collections.abc import Callable
from functools import reduce
from typing import Any

import attrs
import numpy as np

from fnloop.core.arrays import AnyArray
from fnloop.core.formatting import short
from fnloop.core.records import frozen
from fnloop.core.sums import total
from fnloop.nn.layer import Context, Forward, Layer, WithBackward, expect
from fnloop.nn.windows import Padding, Size1d, Size2d, count_values, windows

_kernel_size = attrs.Factory(lambda self: self.kernel_size, takes_self=True)


class Pool(Layer):
    """The common part of pooling over windows; a subclass defines how to reduce a window."""

    __slots__ = ()
    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: int | str
    padding_value = 0.0
    random = False
    stacks = True

    def __attrs_post_init__(self) -> None:
        if self.padding != "same" and 2 * int(self.padding) > min(self.kernel_size):
            raise ValueError(
                f"padding must be at most half of kernel_size={short(self.kernel_size)}, so that each window covers a value, "
                f"got {short(self.padding)}"
            )

    @abstractmethod
    def reduce(self, taken: AnyArray, count: Any) -> WithBackward:
        """Return a value for each window, and the function from its dy to the gradient of the windows.

        Args:
            taken: The windows, (N, W, S, C), or (K, N, W, S, C) for K members of a population: W windows of S values.
            count: The number of values of each window that are not padding, (W, 1), or one number for all windows.
        """

    def forward(self, params: Any, x: AnyArray, context: Context) -> Forward:
        """Return the values of the windows, the backward function, and no buffers."""
        expect(x, *(None for _ in self.kernel_size), None, members=context.members)
        taken, counts, add_back = windows(x, self.kernel_size, self.stride, self.padding, self.padding_value)
        first = x.ndim - 1 - len(counts)
        y, reduce_backward = self.reduce(taken, count_values(x.shape[first:-1], self.kernel_size, self.stride, self.padding))
        return (
            y.reshape(*x.shape[:first], *counts, x.shape[-1]),
            lambda dy, grads, need_dx: add_back(reduce_backward(dy.reshape(y.shape))) if need_dx else None,
            (),
        )


class MaxPool(Pool):
    """Take the maximum of each window; values that are equally large share the gradient equally."""

    __slots__ = ()
    padding_value = -math.inf

    def reduce(self, taken: AnyArray, count: Any) -> WithBackward:
        """Return the maximum of each window, and its backward function."""
        in_turn = isinstance(taken, np.ndarray) and taken.shape[-1] > 1
        y = _in_turn(np.maximum, taken) if in_turn else taken.max(-2)

        def backward(dy: AnyArray) -> AnyArray:
            largest = (taken == y[..., None, :]).astype(dy.dtype)
            largest *= (dy / _in_turn(np.add, largest))[..., None, :]
            return largest

        return y, backward


def _in_turn(function: Callable[[AnyArray, AnyArray], AnyArray], taken: AnyArray) -> AnyArray:
    """Combine the values of each window one by one, a fraction of the time of a reduction by NumPy for few channels."""
    return reduce(function, (taken[..., i, :] for i in range(taken.shape[-2])))


class AvgPool(Pool):
    """Take the mean of each window."""

    __slots__ = ()

    def reduce(self, taken: AnyArray, count: Any) -> WithBackward:
        """Return the mean of each window, and its backward function."""
        weight = 1 / count if isinstance(count, int) else (1 / count).astype(taken.dtype)
        return total(taken, taken.ndim - 2) * weight, lambda dy: np.broadcast_to((dy * weight)[..., None, :], taken.shape)


@frozen
class MaxPool1d(MaxPool):
    """Take the maximum of each window of a series, channel by channel; equally large values share the gradient equally.

    Args:
        kernel_size: The length of a window.
        stride: The distance between windows. Default: `kernel_size`.
        padding: The number of positions to add at each end, at most half of the window, or `"same"`, as in `Conv1d`. Added
            positions have no value: they are never the maximum, and a mean does not count them. Default: `0`.

    Shapes:
        `x` is (N, T, C). `y` is (N, (T + 2 padding - kernel_size) // stride + 1, C): values at the end that do not fill a
        window are ignored. With `"same"`, `y` is (N, ceil(T / stride), C).

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If a number is out of range, or `padding` is more than half of the window.
    """

    kernel_size: Size1d
    stride: Size1d = attrs.field(default=_kernel_size, metadata={"default": "kernel_size"})
    padding: Padding = 0


@frozen
class MaxPool2d(MaxPool):
    """Take the maximum of each window of an image, channel by channel; equally large values share the gradient equally.

    Args:
        kernel_size: The height and width of a window: a number for both, or a pair.
        stride: The distance between windows, a number or a pair. Default: `kernel_size`.
        padding: The number of positions to add at each edge, or `"same"`, as in `MaxPool1d`. Default: `0`.

    Shapes:
        `x` is (N, height, width, C), `y` is (N, height', width', C), each extent as in `MaxPool1d`.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If a number is out of range, or `padding` is more than half of the window.
    """

    kernel_size: Size2d
    stride: Size2d = attrs.field(default=_kernel_size, metadata={"default": "kernel_size"})
    padding: Padding = 0


@frozen
class AvgPool1d(AvgPool):
    """Take the mean of each window of a series, channel by channel.

    Args:
        kernel_size: The length of a window.
        stride: The distance between windows. Default: `kernel_size`.
        padding: The number of positions to add at each end, or `"same"`, as in `MaxPool1d`. Default: `0`.

    Shapes:
        `x` is (N, T, C), `y` is as in `MaxPool1d`.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If a number is out of range, or `padding` is more than half of the window.
    """

    kernel_size: Size1d
    stride: Size1d = attrs.field(default=_kernel_size, metadata={"default": "kernel_size"})
    padding: Padding = 0


@frozen
class AvgPool2d(AvgPool):
    """Take the mean of each window of an image, channel by channel.

    Args:
        kernel_size: The height and width of a window: a number for both, or a pair.
        stride: The distance between windows, a number or a pair. Default: `kernel_size`.
        padding: The number of positions to add at each edge, or `"same"`, as in `MaxPool1d`. Default: `0`.

    Shapes:
        `x` is (N, height, width, C), `y` is as in `MaxPool2d`.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If a number is out of range, or `padding` is more than half of the window.
    """

    kernel_size: Size2d
    stride: Size2d = attrs.field(default=_kernel_size, metadata={"default": "kernel_size"})
    padding: Padding = 0


@frozen
class GlobalAvgPool(Layer):
    """Take the mean over all positions of a series, an image, or the vectors of an `Embedding`, channel by channel.

    The rounding error does not grow with the number of positions; their sum must not overflow the dtype.

    Shapes:
        `x` is (N, ..., C), `y` is (N, C).
    """

    random = False
    stacks = True

    def forward(self, params: Any, x: AnyArray, context: Context) -> Forward:
        """Return the means, the backward function, and no buffers."""
        expect(x, ..., None, None, members=context.members)
        leading = 1 + (context.members > 1)
        positions = x.shape[leading:-1]
        weight = 1 / math.prod(positions)

        def backward(dy: AnyArray, grads: Any, need_dx: bool) -> AnyArray | None:
            dx = dy.reshape(*x.shape[:leading], *(1 for _ in positions), -1) * weight
            return np.broadcast_to(dx, x.shape) if need_dx else None

        return total(x, leading) * weight, backward, ()
