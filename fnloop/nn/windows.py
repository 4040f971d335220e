"""Windows over a series or an image: what stands in each, taken by one gather, and how it goes back."""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Annotated, Any

import numpy as np

from fnloop.core.arrays import Array, read_only
from fnloop.core.checks import Check, extents, integer
from fnloop.core.formatting import short
from fnloop.core.namespace import namespace


def spread(dims: int) -> Check:
    """The check for as many positive integers as dimensions; one number stands for all of them."""

    def check(name: str, value: Any) -> tuple[int, ...]:
        checked = extents(name, value)
        if len(checked) not in (1, dims):
            raise ValueError(f"{name} must be a positive integer or {dims} of them, got {short(value)}")
        return checked * dims if len(checked) == 1 else checked

    return check


def padding(name: str, value: Any) -> int | str:
    """The check for a padding: the number of places to add at either end, or `"same"`."""
    if isinstance(value, str):
        if value != "same":
            raise ValueError(f'{name} must be an integer of at least 0, or "same", got {short(value)}')
        return value
    number: int = integer(0)(name, value)
    return number


OverSeries = Annotated[Any, spread(1)]  # given as a number or several, held as tuple[int, ...]
OverImages = Annotated[Any, spread(2)]
Padding = Annotated[Any, padding]  # held as int or "same"
Size = tuple[int, ...]


def margins(extents: Size, size: Size, stride: Size, padding: int | str) -> tuple[tuple[int, int], ...]:
    """The places that padding adds before and after each extent.

    `"same"` adds as many as ceil(extent / stride) windows need; where that is odd, one more after than before.
    """
    if isinstance(padding, int):
        return ((padding, padding),) * len(extents)
    needed = [max(0, (-(-n // step) - 1) * step + s - n) for n, s, step in zip(extents, size, stride, strict=True)]
    return tuple((n // 2, n - n // 2) for n in needed)


@lru_cache(maxsize=64)
def filled(extents: Size, size: Size, stride: Size, padding: int | str) -> Any:
    """The number of places of each window that are not added by padding, (W, 1), or one number for all windows."""
    added = margins(extents, size, stride, padding)
    if not any(map(any, added)):
        return math.prod(size)
    there = np.pad(np.ones(extents), added)
    index, _ = places(there.shape, size, stride)
    return read_only(there.reshape(-1)[index].sum(1, keepdims=True))


@lru_cache(maxsize=64)
def places(extents: tuple[int, ...], size: tuple[int, ...], stride: tuple[int, ...]) -> tuple[Array, tuple[int, ...]]:
    """What each window takes, as indices (windows, window size) into the flattened extents; and how many windows there are
    each way.
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
    x: Any, size: Size, stride: Size, padding: int | str = 0, outside: float = 0.0
) -> tuple[Any, Size, Callable[[Any], Any]]:
    """The windows of x (N, *extents, C), their counts each way, and the way back, which adds up the shares of each place.

    Args:
        padding: as in `margins`; outside: the value of the places that it adds.
    Shapes: the windows are (N, W, S, C), with W the product of the counts and S that of the size.
    """
    xp, dims, (n, *_, channels) = namespace(x), len(size), x.shape
    added = margins(x.shape[1:-1], size, stride, padding)
    if any(map(any, added)):
        x = xp.pad(x, ((0, 0), *added, (0, 0)), constant_values=outside)
    index, counts = places(x.shape[1:-1], size, stride)
    taken = xp.take(x.reshape(n, -1, channels), index, axis=1, mode="clip")
    last = tuple(step * (count - 1) + 1 for step, count in zip(stride, counts, strict=True))

    def backward(d: Any) -> Any:
        dx, each = np.zeros(x.shape, d.dtype), d.reshape(n, *counts, *size, channels)
        for offset in np.ndindex(*size):
            at = tuple(slice(o, o + width, step) for o, width, step in zip(offset, last, stride, strict=True))
            dx[(slice(None), *at)] += each[(slice(None), *(slice(None),) * dims, *offset)]
        inner = (slice(before, extent - after) for extent, (before, after) in zip(x.shape[1:-1], added, strict=True))
        return dx[(slice(None), *inner)]

    return taken, counts, backward
