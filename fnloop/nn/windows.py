"""Windows over a series or an image, taken by one gather, and the sum that takes gradients back."""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Annotated, Any

import numpy as np
from toolz import interleave

from fnloop.core.arrays import AnyArray, Array, read_only
from fnloop.core.checks import Check, extents, integer
from fnloop.core.formatting import short
from fnloop.core.namespace import namespace


def size_over(dims: int) -> Check:
    """Return the check for a positive integer for each dimension, or one for all; it becomes a tuple."""

    def check(name: str, value: Any) -> tuple[int, ...]:
        size = extents(name, value)
        if len(size) not in (1, dims):
            raise ValueError(f"{name} must be a positive integer or {dims} of them, got {short(value)}")
        return size * dims if len(size) == 1 else size

    return check


def padding(name: str, value: Any) -> int | str:
    """Check a padding: the number of positions to add at each end, or `"same"`."""
    if isinstance(value, str):
        if value != "same":
            raise ValueError(f'{name} must be an integer of at least 0, or "same", got {short(value)}')
        return value
    number: int = integer(0)(name, value)
    return number


Size1d = Annotated[Any, size_over(1)]  # given as a number or several, held as tuple[int, ...]
Size2d = Annotated[Any, size_over(2)]
Padding = Annotated[Any, padding]  # held as int or "same"
Size = tuple[int, ...]


def padding_widths(extents: Size, size: Size, stride: Size, padding: int | str) -> tuple[tuple[int, int], ...]:
    """Return the number of positions that padding adds before and after each extent.

    `"same"` adds as many as ceil(extent / stride) windows need; if their number is odd, one more after than before.
    """
    if isinstance(padding, int):
        return ((padding, padding),) * len(extents)
    needed = [max(0, (-(-n // step) - 1) * step + s - n) for n, s, step in zip(extents, size, stride, strict=True)]
    return tuple((n // 2, n - n // 2) for n in needed)


@lru_cache(maxsize=64)
def count_values(extents: Size, size: Size, stride: Size, padding: int | str) -> Any:
    """Return the number of values of each window that are not padding, (W, 1), or one number for all windows."""
    widths = padding_widths(extents, size, stride, padding)
    if not any(map(any, widths)):
        return math.prod(size)
    is_value = np.pad(np.ones(extents), widths)
    index, _ = window_indices(is_value.shape, size, stride)
    return read_only(is_value.reshape(-1)[index].sum(1, keepdims=True))


@lru_cache(maxsize=64)
def window_indices(extents: Size, size: Size, stride: Size) -> tuple[Array, Size]:
    """Return the indices of each window's values, and the number of windows along each dimension.

    Shapes:
        The indices are (W, S), into the flattened extents: W windows of S values.

    Raises:
        ValueError: If a window is larger than the extents.
    """
    counts = tuple((n - s) // step + 1 for n, s, step in zip(extents, size, stride, strict=True))
    if min(counts) < 1:
        raise ValueError(f"windows of {size} are larger than what they move over, {extents}")
    corner, inside = np.indices(counts), np.indices(size)
    index = np.zeros((*counts, *size), np.intp)
    for n, first, offset, step in zip(extents, corner, inside, stride, strict=True):
        index = index * n + np.add.outer(first * step, offset)
    return read_only(index.reshape(math.prod(counts), math.prod(size))), counts


def windows(
    x: AnyArray, size: Size, stride: Size, padding: int | str = 0, padding_value: float = 0.0
) -> tuple[AnyArray, Size, Callable[[AnyArray], AnyArray]]:
    """Return the windows of x, their number along each dimension, and the backward function.

    The backward function adds up, for each value of x, the gradients of all windows that hold it.

    Args:
        x: Values (N, *extents, C), or (K, N, *extents, C) for K members of a population.
        size: The size of a window.
        stride: The distance between windows.
        padding: As in `padding_widths`.
        padding_value: The value of added positions.

    Shapes:
        The windows are (N, W, S, C), or (K, N, W, S, C): W windows of S values.

    Raises:
        ValueError: If a window is larger than the padded extents.
    """
    xp, dims, extents = namespace(x), len(size), slice(-1 - len(size), -1)
    leading, channels = x.shape[: -1 - dims], x.shape[-1]
    widths = padding_widths(x.shape[extents], size, stride, padding)
    if any(map(any, widths)):
        x = xp.pad(x, (*((0, 0) for _ in leading), *widths, (0, 0)), constant_values=padding_value)
    index, counts = window_indices(x.shape[extents], size, stride)
    if xp is not np:
        index = index.astype(np.int32)  # JAX caches a `take` across its settings of 64 bits, and then refuses 64-bit indices
    taken = xp.take(x.reshape(*leading, -1, channels), index, axis=-2, mode="clip")
    span = tuple(step * (count - 1) + 1 for step, count in zip(stride, counts, strict=True))

    def backward(d: AnyArray) -> AnyArray:
        dx: Any = np.zeros(x.shape, d.dtype)
        by_position = d.reshape(*leading, *counts, *size, channels)
        if stride == size:
            _add_tiles(dx, by_position, counts, size)
        else:
            for offset in np.ndindex(*size):
                at = tuple(slice(start, start + width, step) for start, width, step in zip(offset, span, stride, strict=True))
                dx[(..., *at, slice(None))] += by_position[(..., *offset, slice(None))]
        kept = (slice(before, extent - after) for extent, (before, after) in zip(x.shape[extents], widths, strict=True))
        return dx[(..., *kept, slice(None))]

    return taken, counts, backward


def _add_tiles(dx: Any, d: AnyArray, counts: Size, size: Size) -> None:
    """Add the gradients of windows that do not overlap, in one pass.

    Args:
        dx: The gradient of the values, (..., *extents, C), which is added to.
        d: The gradient of the windows, (..., *counts, *size, C).
        counts: The number of windows along each dimension.
        size: The size of a window.
    """
    dims, first = len(size), dx.ndim - 1 - len(size)
    covered = (slice(count * step) for count, step in zip(counts, size, strict=True))
    tiles = dx[(..., *covered, slice(None))].reshape(*dx.shape[:first], *interleave((counts, size)), dx.shape[-1])  # a view
    axes = interleave((range(first, first + dims), range(first + dims, first + 2 * dims)))
    tiles += d.transpose(*range(first), *axes, d.ndim - 1)
