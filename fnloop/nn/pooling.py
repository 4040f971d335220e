"""Pooling: one value for each window of a series or an image, channel by channel."""

import math
from collections.abc import Callable
from typing import Any

import attrs
import numpy as np

from fnloop.core.formatting import short
from fnloop.core.records import frozen
from fnloop.core.sums import total
from fnloop.nn.layer import Backward, Plain, expect
from fnloop.nn.windows import OverImages, OverSeries, Padding, filled, windows

_same = attrs.Factory(lambda self: self.kernel_size, takes_self=True)


class Pool(Plain):
    """What pooling over windows has in common. A subclass says what is made of each window, and how its dy is shared."""

    __slots__ = ()
    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: int | str
    outside = 0.0  # the value of the places that padding adds

    def __attrs_post_init__(self) -> None:
        if self.padding != "same" and 2 * int(self.padding) > min(self.kernel_size):
            raise ValueError(
                f"padding must be at most half of kernel_size={short(self.kernel_size)}, so that no window lies outside, "
                f"got {short(self.padding)}"
            )

    def reduce(self, taken: Any, inside: Any) -> tuple[Any, Callable[[Any], Any]]:
        """The values (N, W, C) of the windows (N, W, S, C), and the function that shares dy (N, W, C) among them.

        `inside` is the number of values of each window that are no padding, (W, 1), or one number for all.
        """
        raise NotImplementedError

    def forward(self, params: Any, x: Any) -> tuple[Any, Backward]:
        """The values of the windows, and the function that takes dy back to dx."""
        expect(x, *(None for _ in self.kernel_size), None)
        taken, counts, put_back = windows(x, self.kernel_size, self.stride, self.padding, self.outside)
        y, share = self.reduce(taken, filled(x.shape[1:-1], self.kernel_size, self.stride, self.padding))
        return (
            y.reshape(len(x), *counts, x.shape[-1]),
            lambda dy, grads, wanted: put_back(share(dy.reshape(y.shape))) if wanted else None,
        )


class MaxPool(Pool):
    """The largest value of each window; where several are the largest, they share the gradient equally."""

    __slots__ = ()
    outside = -math.inf

    def reduce(self, taken: Any, inside: Any) -> tuple[Any, Callable[[Any], Any]]:
        y = taken.max(2)

        def share(dy: Any) -> Any:
            largest = taken == y[:, :, None]
            return largest * (dy / largest.sum(2, dtype=dy.dtype))[:, :, None]

        return y, share


class AvgPool(Pool):
    """The mean of each window."""

    __slots__ = ()

    def reduce(self, taken: Any, inside: Any) -> tuple[Any, Callable[[Any], Any]]:
        part = 1 / inside if isinstance(inside, int) else (1 / inside).astype(taken.dtype)
        return total(taken, 2) * part, lambda dy: np.broadcast_to((dy * part)[:, :, None], taken.shape)


@frozen
class MaxPool1d(MaxPool):
    """The largest value of each window of a series, channel by channel; ties share the gradient equally.

    Args:
        kernel_size: the window's length; stride: the distance between windows, by default that length.
        padding: the number of places to add at either end, at most half of the window, or `"same"`, as in `Conv1d`. Added
            places have no value: no maximum is one of theirs, and a mean does not count them.
    Shapes: `x` is (N, T, C), `y` is (N, (T + 2 padding - kernel_size) // stride + 1, C): what does not fill a window is left
        out; with `"same"`, `y` is (N, ceil(T / stride), C).
    Raises: ValueError: if padding is more than half of the window.
    """

    kernel_size: OverSeries
    stride: OverSeries = attrs.field(default=_same, metadata={"default": "kernel_size"})
    padding: Padding = 0


@frozen
class MaxPool2d(MaxPool):
    """The largest value of each window of an image, as in `MaxPool1d`.

    Shapes: `x` is (N, height, width, C), `y` is (N, height', width', C).
    """

    kernel_size: OverImages
    stride: OverImages = attrs.field(default=_same, metadata={"default": "kernel_size"})
    padding: Padding = 0


@frozen
class AvgPool1d(AvgPool):
    """The mean of each window of a series; arguments and shapes are those of `MaxPool1d`."""

    kernel_size: OverSeries
    stride: OverSeries = attrs.field(default=_same, metadata={"default": "kernel_size"})
    padding: Padding = 0


@frozen
class AvgPool2d(AvgPool):
    """The mean of each window of an image; arguments and shapes are those of `MaxPool2d`."""

    kernel_size: OverImages
    stride: OverImages = attrs.field(default=_same, metadata={"default": "kernel_size"})
    padding: Padding = 0


@frozen
class GlobalAvgPool(Plain):
    """The mean over all places, channel by channel: of a series, an image, or the vectors of an `Embedding`.

    The sum over the places must be within the dtype; it keeps its digits however many they are.

    Shapes: `x` is (N, ..., C), `y` is (N, C).
    """

    def forward(self, params: Any, x: Any) -> tuple[Any, Backward]:
        """The means, and the function that takes dy back to dx."""
        expect(x, ..., None, None)
        between = x.shape[1:-1]
        share = 1 / math.prod(between)

        def backward(dy: Any, grads: Any, wanted: bool) -> Any:
            each = dy.reshape(len(x), *(1 for _ in between), -1) * share
            return np.broadcast_to(each, x.shape) if wanted else None

        return total(x, 1) * share, backward
