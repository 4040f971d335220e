"""Normalization to mean 0 and variance 1, followed by a learned scale and shift."""

import math
from dataclasses import KW_ONLY
from typing import Annotated, Any, NamedTuple

import numpy as np

from fnloop.core.arrays import AnyArray, Array
from fnloop.core.checks import Positive, PositiveInt, real
from fnloop.core.namespace import namespace
from fnloop.core.records import frozen
from fnloop.core.sums import mean, total
from fnloop.nn.layer import Context, Forward, Layer, expect


class NormParams(NamedTuple):
    """The parameters of a normalization, views into the flat vector.

    Attributes:
        scale: (C,), a factor for each channel.
        shift: (C,), added to each channel.
    """

    scale: Any
    shift: Any


class Normalization(Layer):
    """The common part of normalizations: their parameters."""

    __slots__ = ()
    params = NormParams
    random = False
    features: PositiveInt

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shapes of scale and shift."""
        return (self.features,), (self.features,)

    def initial(self, seed: int, address: int) -> tuple[Array, ...]:
        """Return a scale of ones and a shift of zeros, float64."""
        return np.ones(self.features), np.zeros(self.features)


@frozen
class LayerNorm(Normalization):
    """Normalize each vector over its last axis: y = scale (x - mean) / sqrt(variance + eps) + shift.

        dx = (dz - mean dz - z mean(dz z)) / sqrt(variance + eps),  with z the normalized x and dz = dy scale

    If the variance overflows, which values above about 1e18 cause in float32, y is NaN.

    Args:
        features: C, the number of channels.
        eps: Added to the variance; above 0, in its units. Default: `1e-5`.

    Shapes:
        `x` and `y` are (N, ..., C).

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If `features` or `eps` is out of range.

    Source: Ba, Kiros & Hinton 2016.
    """

    features: PositiveInt
    _: KW_ONLY
    eps: Positive = 1e-5

    stacks = True

    def forward(self, params: NormParams, x: AnyArray, context: Context) -> Forward:
        """Return the scaled and shifted vectors, the backward function, and no buffers."""
        expect(x, ..., self.features)
        centred = x - x.mean(-1, keepdims=True)
        root = _root((centred * centred).mean(-1, keepdims=True) + self.eps)
        z = centred / root

        def backward(dy: AnyArray, grads: NormParams, need_dx: bool) -> AnyArray | None:
            dz = _write_gradients(dy, z, grads, params)
            return (dz - dz.mean(-1, keepdims=True) - z * (dz * z).mean(-1, keepdims=True)) / root if need_dx else None

        return z * _like(params.scale, x) + _like(params.shift, x), backward, ()


@frozen
class BatchNorm(Normalization):
    """Normalize each channel over the batch: y = scale (x - mean) / sqrt(variance + eps) + shift.

    In training, mean and variance are those of the batch, over all axes but the last, and the gradient flows through them: dx
    is as in `LayerNorm`, but over the batch. The running mean and variance, the layer's buffers, are updated:

        moment' = (1 - momentum) moment + momentum (moment of the batch; its variance with n - 1 in the denominator)

    Outside training, the running mean and variance are used. A training batch with one value for each channel, such as a last
    batch of one example, has no variance: it is normalized as outside training, and does not change the buffers. If the
    variance overflows, y is NaN, as in `LayerNorm`.

    Args:
        features: C, the number of channels.
        momentum: Weight of the batch in the running mean and variance, in (0, 1]. Default: `0.1`.
        eps: Added to the variance; above 0, in its units. Default: `1e-5`.

    Shapes:
        `x` and `y` are (N, ..., C); the running mean and variance are (C,).

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If an argument is out of range.

    Source: Ioffe & Szegedy 2015.
    """

    features: PositiveInt
    _: KW_ONLY
    momentum: Annotated[float, real("(0, 1]")] = 0.1
    eps: Positive = 1e-5

    stacks = True

    @property
    def buffers(self) -> tuple[Array, ...]:
        """The initial running mean and variance: zeros and ones."""
        return np.zeros(self.features), np.ones(self.features)

    def forward(self, params: NormParams, x: AnyArray, context: Context) -> Forward:
        """Return the scaled and shifted values, the backward function, and the new running mean and variance."""
        expect(x, ..., self.features)
        running_mean, running_variance = context.buffers
        scale, shift, keep = _like(params.scale, x), _like(params.shift, x), params.scale.ndim - 1
        n = math.prod(x.shape[keep:-1])
        if context.draw is None or n == 1:
            root = (_like(running_variance, x) + self.eps) ** 0.5
            z = (x - _like(running_mean, x)) / root

            def backward_running(dy: AnyArray, grads: NormParams, need_dx: bool) -> AnyArray | None:
                dz = _write_gradients(dy, z, grads, params)
                return dz / root if need_dx else None

            return z * scale + shift, backward_running, context.buffers
        batch_mean = mean(x, keep)
        centred = x - _like(batch_mean, x)
        variance = mean(centred * centred, keep)
        root = _like(_root(variance + self.eps), x)
        z = centred / root

        def backward(dy: AnyArray, grads: NormParams, need_dx: bool) -> AnyArray | None:
            dz = _write_gradients(dy, z, grads, params)
            return (dz - _like(mean(dz, keep), x) - z * _like(mean(dz * z, keep), x)) / root if need_dx else None

        rest = 1 - self.momentum
        unbiased = n / (n - 1) * variance
        updated = rest * running_mean + self.momentum * batch_mean, rest * running_variance + self.momentum * unbiased
        return z * scale + shift, backward, updated


def _write_gradients(dy: AnyArray, z: AnyArray, grads: NormParams, params: NormParams) -> AnyArray:
    """Write the gradients of scale and shift, and return the gradient of z."""
    keep = params.scale.ndim - 1
    grads.scale[...] = total(dy * z, keep)
    grads.shift[...] = total(dy, keep)
    return dy * _like(params.scale, dy)


def _like(channels: AnyArray, x: AnyArray) -> AnyArray:
    """Return (C,), or (K, C) for K members of a population, in a shape that broadcasts against x, (..., C) or (K, ..., C)."""
    return channels if channels.ndim == 1 else channels.reshape(len(channels), *(1,) * (x.ndim - 2), -1)


def _root(variance: AnyArray) -> AnyArray:
    """Return the standard deviation; NaN for an infinite variance, which would make all values zero."""
    return namespace(variance).where(variance < np.inf, variance, np.nan) ** 0.5
