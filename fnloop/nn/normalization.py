"""Normalisation: values brought to mean 0 and variance 1, then scaled and shifted by parameters."""

from dataclasses import KW_ONLY
from typing import Annotated, Any, NamedTuple

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.checks import Positive, PositiveInt, real
from fnloop.core.namespace import namespace
from fnloop.core.records import frozen
from fnloop.core.sums import mean, total
from fnloop.nn.layer import Backward, Context, expect


class NormParams(NamedTuple):
    """The parameters of a normalisation, views into the flat vector: `scale` and `shift`, both (C,)."""

    scale: Any
    shift: Any


class Normalization:
    """What the normalisations share: their parameters."""

    __slots__ = ()
    params = NormParams
    features: PositiveInt

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shape of each of the layer's parameters."""
        return (self.features,), (self.features,)

    def initial(self, seed: int, address: int) -> tuple[Array, ...]:
        """A scale of ones and a shift of zeros, float64."""
        return np.ones(self.features), np.zeros(self.features)


@frozen
class LayerNorm(Normalization):
    """Normalise each vector over its last axis: y = scale (x - mean) / sqrt(variance + eps) + shift.

        dx = (dz - mean dz - z mean(dz z)) / sqrt(variance + eps),  with z the normalised x and dz = dy scale

    A variance beyond the dtype, of values above about 1e18 in float32, makes the values NaN.

    Args:
        features: C, the last extent.
        eps: above 0; in the units of the variance.
    Shapes: `x` and `y` are (N, ..., C).
    Source: Ba, Kiros & Hinton 2016.
    """

    features: PositiveInt
    _: KW_ONLY
    eps: Positive = 1e-5

    def forward(self, params: NormParams, x: Any) -> tuple[Any, Backward]:
        """The layer's value, and the function that takes dy back."""
        expect(x, ..., self.features)
        centred = x - x.mean(-1, keepdims=True)
        root = _root((centred * centred).mean(-1, keepdims=True) + self.eps)
        z = centred / root

        def backward(dy: Any, grads: NormParams, wanted: bool) -> Any:
            dz = _parameters(dy, z, grads, params)
            return (dz - dz.mean(-1, keepdims=True) - z * (dz * z).mean(-1, keepdims=True)) / root if wanted else None

        return z * params.scale + params.shift, backward


@frozen
class BatchNorm(Normalization):
    """Normalise each channel over the batch: y = scale (x - mean) / sqrt(variance + eps) + shift.

    In training mean and variance are those of the batch, over all axes but the last, and the running moments, which are the
    state's `buffers`, follow: moment' = (1 - momentum) moment + momentum (the batch's), with n - 1 in the variance's
    denominator. Outside training the running moments are used instead. The gradient goes through the batch's moments; dx is
    as in `LayerNorm`, over the batch, and so is the limit of the variance.

    A batch with one value for each channel has no variance. It is normalised by the running moments, as outside training, and
    leaves them as they are: a last batch of one example changes nothing.

    Args:
        features: C, the last extent.
        momentum: of the running moments, in (0, 1].
        eps: above 0; in the units of the variance.
    Shapes: `x` and `y` are (N, ..., C); the buffers are the running mean and variance, both (C,).
    Source: Ioffe & Szegedy 2015.
    """

    features: PositiveInt
    _: KW_ONLY
    momentum: Annotated[float, real("(0, 1]")] = 0.1
    eps: Positive = 1e-5

    @property
    def buffers(self) -> tuple[Array, ...]:
        """The running mean and variance before anything is seen."""
        return np.zeros(self.features), np.ones(self.features)

    def forward(self, params: NormParams, x: Any, context: Context) -> tuple[Any, Backward, tuple[Any, ...]]:
        """The layer's value, the function that takes dy back, and the running moments."""
        expect(x, ..., self.features)
        running_mean, running_variance = context.buffers
        n = x.size // self.features
        if context.draw is None or n == 1:
            root = (running_variance + self.eps) ** 0.5
            z = (x - running_mean) / root

            def backward_at(dy: Any, grads: NormParams, wanted: bool) -> Any:
                dz = _parameters(dy, z, grads, params)
                return dz / root if wanted else None

            return z * params.scale + params.shift, backward_at, context.buffers
        here = mean(x)
        centred = x - here
        spread = mean(centred * centred)
        root = _root(spread + self.eps)
        z = centred / root

        def backward(dy: Any, grads: NormParams, wanted: bool) -> Any:
            dz = _parameters(dy, z, grads, params)
            return (dz - mean(dz) - z * mean(dz * z)) / root if wanted else None

        keep = 1 - self.momentum
        unbiased = n / (n - 1) * spread
        moved = keep * running_mean + self.momentum * here, keep * running_variance + self.momentum * unbiased
        return z * params.scale + params.shift, backward, moved


def _parameters(dy: Any, z: Any, grads: NormParams, params: NormParams) -> Any:
    """Write the gradients of scale and shift, and return that of z."""
    grads.scale[...] = total(dy * z)
    grads.shift[...] = total(dy)
    return dy * params.scale


def _root(variance: Any) -> Any:
    """The deviation; NaN for a variance that is not finite, which would make zeros of the values."""
    return namespace(variance).where(variance < np.inf, variance, np.nan) ** 0.5
