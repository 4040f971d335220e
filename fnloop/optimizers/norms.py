"""Euclidean norms that neither overflow nor vanish, and what an array is scaled by to have another."""

import math
from typing import Any, NamedTuple

import numpy as np

from fnloop.core.namespace import namespace
from fnloop.core.sums import total


class Norm(NamedTuple):
    """A norm as a product of two numbers, since the product may be beyond the dtype.

    `peak` is about the largest element in size, and 1 where all are 0 or one is not finite; `ratio` is the norm of the array
    divided by it: 0 for zeros, else at least 1.
    """

    peak: Any
    ratio: Any
    dtype: Any  # of the array

    @property
    def value(self) -> Any:
        """The product, infinite where it is beyond the dtype."""
        with np.errstate(over="ignore"):
            return self.peak * self.ratio

    @property
    def plain(self) -> bool:
        """Whether it is of one NumPy array, in Python's floats: arithmetic of NumPy's scalars takes ten times as long."""
        return type(self.peak) is float


class Scaling(NamedTuple):
    """By what to divide an array, and by what to multiply it then: in two steps where one number could not hold both."""

    divisor: Any
    factor: Any


def norm_of(array: Any, units: bool = False) -> Norm:
    """The norm of an array; or of each of its units, which lie along all axes but the last, in a shape that broadcasts."""
    if isinstance(array, np.ndarray) and not units and array.itemsize <= 8:
        return _plain_norm(array)
    xp = namespace(array)
    axes = tuple(range(array.ndim - 1)) if units else None
    scaled = xp.abs(array)
    peak = xp.max(scaled, axis=axes, keepdims=units, initial=0)
    # XLA divides by multiplying with the reciprocal, which must not be a subnormal number: it takes these for 0.
    scale = xp.where((peak > 0) & xp.isfinite(peak), xp.minimum(peak, np.finfo(peak.dtype).max / 16), 1)
    scaled /= scale
    scaled *= scaled
    return Norm(scale, xp.sqrt(total(scaled).reshape(peak.shape) if units else xp.sum(scaled)), array.dtype)


def _plain_norm(array: Any) -> Norm:
    scaled = np.abs(array)
    peak = float(scaled.max(initial=0))
    scale = min(peak, float(np.finfo(array.dtype).max) / 16) if 0 < peak < math.inf else 1.0
    scaled /= scale
    scaled *= scaled
    return Norm(scale, math.sqrt(np.add.reduce(scaled, axis=None)), array.dtype)


def shortening(norm: Norm, bound: Any) -> Scaling:
    """What makes an array's norm at most the bound: nothing, if it is. NaN stays NaN: it is never made to look finite.

    Args:
        bound: above 0, a number or an array of the norm's shape; below the smallest normal number it counts as that, and above
            the largest number only what is longer still is shortened.
    """
    info = np.finfo(norm.dtype)
    smallest, largest = float(info.tiny), float(info.max)
    if norm.plain:
        return _plain_shortening(norm, max(float(bound), smallest), smallest)
    xp = namespace(norm.peak)
    if isinstance(bound, float):
        limit, beyond = min(max(bound, smallest), largest), min(max(bound / largest, 1.0), largest)
    else:
        limit, beyond = xp.clip(bound, smallest, largest), 1.0
    value = norm.value
    if isinstance(value, np.ndarray):
        factor = limit / np.maximum(value, limit)
        if np.all((factor >= smallest) & (value <= largest)):
            return Scaling(1.0, factor)
    with np.errstate(all="ignore"):
        # By ldexp, for XLA makes a / b / c into a / (b c), which overflows here.
        far = xp.minimum(limit * 2.0**-64 / (xp.ldexp(norm.peak, -64) * norm.ratio) * beyond, 1)
        direct = xp.where(value <= largest, limit / xp.maximum(value, limit), far)
        small = direct < smallest
        return Scaling(xp.where(small, norm.peak, 1), xp.where(small, limit / norm.ratio, direct))


def _plain_shortening(norm: Norm, bound: float, smallest: float) -> Scaling:
    value = norm.peak * norm.ratio
    if value <= bound:
        return Scaling(1.0, 1.0)
    factor = bound / value if value < math.inf else bound / norm.peak / norm.ratio
    return Scaling(norm.peak, bound / norm.ratio) if factor < smallest else Scaling(1.0, factor)


def rescaling(norm: Norm, other: Norm, coefficient: float, eps: float) -> Scaling:
    """What gives an array the norm `coefficient other norm / (norm + eps)`; nothing, where one of the norms is 0."""
    if norm.plain:
        return _plain_rescaling(norm, other, coefficient, eps)
    xp = namespace(norm.peak)
    there = (other.ratio > 0) & (norm.ratio > 0)
    with np.errstate(all="ignore"):
        direct = coefficient * other.value / (xp.where(there, norm.value, 1) + eps)
        divisor = xp.maximum(norm.peak, eps)
        rest = xp.where(there, norm.peak / divisor * norm.ratio + eps / divisor, 1)
        share = coefficient * other.ratio / rest
        direct = xp.where(_is_normal(direct), direct, other.peak / divisor * share)
        held = ~there | _is_normal(direct)
    return Scaling(
        xp.where(held, 1, divisor).astype(norm.peak.dtype),
        xp.where(there, xp.where(held, direct, other.peak * share), 1).astype(norm.peak.dtype),
    )


def _plain_rescaling(norm: Norm, other: Norm, coefficient: float, eps: float) -> Scaling:
    if not (other.ratio > 0 and norm.ratio > 0):
        return Scaling(1.0, 1.0)
    info, divisor = np.finfo(norm.dtype), max(norm.peak, eps)
    share = coefficient * other.ratio / (norm.peak / divisor * norm.ratio + eps / divisor)
    for direct in (coefficient * other.value / (norm.value + eps), other.peak / divisor * share):
        if info.tiny <= direct <= info.max:
            return Scaling(1.0, direct)
    return Scaling(divisor, other.peak * share)


def _is_normal(number: Any) -> Any:
    """Whether a number of at least 0 is one with all its digits: neither 0 nor subnormal, infinite or NaN."""
    info = np.finfo(number.dtype)
    return (number >= info.tiny) & (number <= info.max)


def scaled_by(array: Any, scaling: Scaling) -> Any:
    """The array divided and multiplied, written over it; NumPy spares what changes nothing."""
    divisor, factor = scaling
    if not (isinstance(array, np.ndarray) and (divisor == 1 if isinstance(divisor, float) else np.all(divisor == 1))):
        array /= divisor
    if not (isinstance(factor, float) and factor == 1):
        array *= factor
    return array


def within_range(bound: float, array: Any) -> float:
    """A bound that an array's dtype can hold: infinite if it is beyond."""
    return bound if bound <= float(np.finfo(array.dtype).max) else np.inf
