"""Euclidean norms without overflow or underflow, and the scalings that clips and trust ratios apply."""

import math
from typing import Any, NamedTuple

import numpy as np

from fnloop.core.arrays import AnyArray
from fnloop.core.namespace import namespace
from fnloop.core.sums import total


class Norm(NamedTuple):
    """A norm as a product of two numbers, since the product may exceed the range of the dtype.

    Attributes:
        peak: About the largest absolute value; 1 if all elements are 0, or one is not finite.
        ratio: The norm of the array divided by `peak`: 0 for zeros, else at least 1.
        dtype: The dtype of the array.
    """

    peak: Any
    ratio: Any
    dtype: Any

    @property
    def value(self) -> Any:
        """The norm, infinite if it exceeds the range of the dtype."""
        with np.errstate(over="ignore"):
            return self.peak * self.ratio

    @property
    def is_float(self) -> bool:
        """Whether peak and ratio are Python floats: arithmetic of NumPy scalars takes ten times as long."""
        return type(self.peak) is float


class Scaling(NamedTuple):
    """A division of an array, then a multiplication: two steps where one factor would exceed the range of the dtype."""

    divisor: Any
    factor: Any


def norm_of(array: AnyArray, units: bool = False) -> Norm:
    """Return the norm of an array, or of each of its units.

    Args:
        array: The array, of any shape.
        units: Whether to return the norm over all axes but the last, in a shape that broadcasts. Default: False.
    """
    if isinstance(array, np.ndarray) and not units and array.itemsize <= 8:
        return _float_norm(array)
    xp = namespace(array)
    axes = tuple(range(array.ndim - 1)) if units else None
    scaled = xp.abs(array)
    peak = xp.max(scaled, axis=axes, keepdims=units, initial=0)
    # XLA divides by multiplying with the reciprocal, which must not be subnormal: it flushes such numbers to 0.
    scale = xp.where((peak > 0) & xp.isfinite(peak), xp.minimum(peak, np.finfo(peak.dtype).max / 16), 1)
    scaled /= scale
    scaled *= scaled
    return Norm(scale, xp.sqrt(total(scaled).reshape(peak.shape) if units else xp.sum(scaled)), array.dtype)


def _float_norm(array: Any) -> Norm:
    scaled = np.abs(array)
    peak = float(scaled.max(initial=0))
    scale = min(peak, float(np.finfo(array.dtype).max) / 16) if 0 < peak < math.inf else 1.0
    scaled /= scale
    scaled *= scaled
    return Norm(scale, math.sqrt(np.add.reduce(scaled, axis=None)), array.dtype)


def clip_scaling(norm: Norm, bound: Any) -> Scaling:
    """Return the scaling that limits an array's norm to a bound: none if the norm is within it. NaN stays NaN.

    Args:
        norm: The norm of the array.
        bound: Above 0, a number or an array of the norm's shape. It is at least the smallest normal number of the dtype; a
            bound above the largest number limits only norms that exceed it.
    """
    info = np.finfo(norm.dtype)
    smallest, largest = float(info.tiny), float(info.max)
    if norm.is_float:
        return _float_clip_scaling(norm, max(float(bound), smallest), smallest)
    xp = namespace(norm.peak)
    if isinstance(bound, float):
        limit, excess = min(max(bound, smallest), largest), min(max(bound / largest, 1.0), largest)
    else:
        limit, excess = xp.clip(bound, smallest, largest), xp.clip(bound / largest, 1.0, largest)
    value = norm.value
    if isinstance(value, np.ndarray):
        factor = limit / np.maximum(value, limit)
        if np.all((factor >= smallest) & (value <= largest)):
            return Scaling(1.0, factor)
    with np.errstate(all="ignore"):
        # By ldexp, since XLA turns a / b / c into a / (b c), which overflows here.
        far = xp.minimum(limit * 2.0**-64 / (xp.ldexp(norm.peak, -64) * norm.ratio) * excess, 1)
        direct = xp.where(value <= largest, limit / xp.maximum(value, limit), far)
        small = direct < smallest
        return Scaling(xp.where(small, norm.peak, 1), xp.where(small, limit / norm.ratio, direct))


def _float_clip_scaling(norm: Norm, bound: float, smallest: float) -> Scaling:
    value = norm.peak * norm.ratio
    if value <= bound:
        return Scaling(1.0, 1.0)
    factor = bound / value if value < math.inf else bound / norm.peak / norm.ratio
    return Scaling(norm.peak, bound / norm.ratio) if factor < smallest else Scaling(1.0, factor)


def ratio_scaling(norm: Norm, other: Norm, coefficient: float, eps: float) -> Scaling:
    """Return the scaling of an array by coefficient * other / (norm + eps): none if one of the norms is 0."""
    if norm.is_float:
        return _float_ratio_scaling(norm, other, coefficient, eps)
    xp = namespace(norm.peak)
    both = (other.ratio > 0) & (norm.ratio > 0)
    with np.errstate(all="ignore"):
        direct = coefficient * other.value / (xp.where(both, norm.value, 1) + eps)
        divisor = xp.maximum(norm.peak, eps)
        rest = xp.where(both, norm.peak / divisor * norm.ratio + eps / divisor, 1)
        factor = coefficient * other.ratio / rest
        direct = xp.where(_is_normal(direct), direct, other.peak / divisor * factor)
        one_step = ~both | _is_normal(direct)
    return Scaling(
        xp.where(one_step, 1, divisor).astype(norm.peak.dtype),
        xp.where(both, xp.where(one_step, direct, other.peak * factor), 1).astype(norm.peak.dtype),
    )


def _float_ratio_scaling(norm: Norm, other: Norm, coefficient: float, eps: float) -> Scaling:
    if not (other.ratio > 0 and norm.ratio > 0):
        return Scaling(1.0, 1.0)
    info, divisor = np.finfo(norm.dtype), max(norm.peak, eps)
    factor = coefficient * other.ratio / (norm.peak / divisor * norm.ratio + eps / divisor)
    for direct in (coefficient * other.value / (norm.value + eps), other.peak / divisor * factor):
        if info.tiny <= direct <= info.max:
            return Scaling(1.0, direct)
    return Scaling(divisor, other.peak * factor)


def _is_normal(number: Any) -> Any:
    """Return whether a number of at least 0 is normal: neither 0 nor subnormal, infinite or NaN."""
    info = np.finfo(number.dtype)
    return (number >= info.tiny) & (number <= info.max)


def rescale(array: AnyArray, scaling: Scaling) -> AnyArray:
    """Apply a scaling in place, and return the array; NumPy skips steps that change nothing."""
    divisor, factor = scaling
    if not (isinstance(array, np.ndarray) and (divisor == 1 if isinstance(divisor, float) else np.all(divisor == 1))):
        array /= divisor
    if not (isinstance(factor, float) and factor == 1):
        array *= factor
    return array


def within_range(bound: Any, array: AnyArray) -> Any:
    """Return a bound, or infinity if it exceeds the range of an array's dtype."""
    largest = float(np.finfo(array.dtype).max)
    if hasattr(bound, "__array_namespace__"):
        return namespace(bound).where(bound <= largest, bound, np.inf)
    return bound if bound <= largest else np.inf
