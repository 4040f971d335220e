"""Transformations that depend on the norm of each array of parameters, and LAMB."""

from collections.abc import Sequence
from dataclasses import KW_ONLY
from typing import Any

import numpy as np

from fnloop.core.arrays import AnyArray
from fnloop.core.checks import Decay, NonNegative, Positive
from fnloop.core.namespace import namespace
from fnloop.core.records import frozen
from fnloop.core.sums import total
from fnloop.optimizers.adam import AdamW
from fnloop.optimizers.chaining import Composite
from fnloop.optimizers.elementwise import Elementwise, Transformation
from fnloop.optimizers.kernel import Scalars, StepContext
from fnloop.optimizers.norms import clip_scaling, norm_of, ratio_scaling, rescale


@frozen
class clip_by_norm(Transformation):
    """Scale each array's gradient down to a norm of at most `max_norm`, in the same direction: g min(1, max_norm / |g|).

    Args:
        max_norm: Largest norm of an array, above 0; in the units of the gradient.

    Raises:
        ValueError: If `max_norm` is not above 0.

    See Also:
        `clip_by_global_norm`, which keeps the proportions of the arrays
    """

    max_norm: Positive

    depends_on = "arrays"

    def scalars(self, context: StepContext) -> Scalars:
        """Return the scaling that limits the norm."""
        return clip_scaling(norm_of(context.gradient), self.max_norm)

    def kernel(self, gradient: AnyArray, slots: Sequence[AnyArray], params: AnyArray, scalars: Scalars) -> tuple[Any, Any]:
        """Return the scaled gradient."""
        return rescale(gradient, scalars), ()


@frozen
class adaptive_grad_clip(Transformation):
    """Limit the gradient of each unit relative to the norm of its weights: g min(1, clipping max(|w|, eps) / |g|).

    A unit is the weights of one output: a column of (D, K), the last axis of a larger array. A bias vector is one unit.

    Args:
        clipping: Largest ratio of the norms of gradient and weights, above 0; unitless.
        eps: Smallest norm of the weights that is used, so that units at zero can move; above 0, in the units of the
            parameters. Default: 1e-3.

    Raises:
        ValueError: If a parameter is not above 0.

    Source: Brock et al. 2021, High-performance large-scale image recognition without normalization, equation 3.
    """

    clipping: Positive
    _: KW_ONLY
    eps: Positive = 1e-3

    depends_on = "arrays"

    def scalars(self, context: StepContext) -> Scalars:
        """Return the scaling of each unit."""
        xp, units = namespace(context.gradient), _has_units(context.gradient)
        with np.errstate(over="ignore"):
            weights = norm_of(context.params, units)
            bound = xp.maximum(weights.peak * (self.clipping * weights.ratio), self.clipping * self.eps)
        return clip_scaling(norm_of(context.gradient, units), bound)

    def kernel(self, gradient: AnyArray, slots: Sequence[AnyArray], params: AnyArray, scalars: Scalars) -> tuple[Any, Any]:
        """Return the scaled gradient."""
        return rescale(gradient, scalars), ()


def _has_units(array: AnyArray) -> bool:
    """Return whether an array has a unit for each index of its last axis; a vector is one unit."""
    return len([extent for extent in array.shape if extent > 1]) > 1


@frozen
class centralize(Transformation):
    """Subtract from the gradient of each unit's weights their mean; biases are unchanged.

    A unit is the weights of one output: a column of (D, K), the last axis of a larger array.

    Source: Yong et al. 2020, Gradient centralization: a new optimization technique for deep neural networks, equation 1.
    """

    depends_on = "arrays"

    def scalars(self, context: StepContext) -> Scalars:
        """Return the mean of each unit, or None for a bias."""
        if context.gradient.ndim < 2:
            return None
        xp, n = namespace(context.gradient), context.gradient.size // context.gradient.shape[-1]
        with np.errstate(over="ignore", invalid="ignore"):
            mean = total(context.gradient) / n
            return xp.where(xp.isfinite(mean), mean, total(context.gradient / n))

    def kernel(self, gradient: AnyArray, slots: Sequence[AnyArray], params: AnyArray, scalars: Scalars) -> tuple[Any, Any]:
        """Return the gradient without the means."""
        return (gradient if scalars is None else gradient - scalars), ()


@frozen
class scale_by_trust_ratio(Transformation):
    """Scale each array's step in proportion to the array: g trust_coefficient |w| / (|g| + eps), or g if |w| or |g| is 0.

    Args:
        trust_coefficient: Ratio of the norms of step and array, above 0; unitless. Default: 1.
        eps: Added to |g|; at least 0, in the units of the incoming direction. Default: 0.

    Raises:
        ValueError: If a parameter is outside its interval. The message has its name and value.

    Source: You, Gitman & Ginsburg 2017, Large batch training of convolutional networks (LARS).
    """

    _: KW_ONLY
    trust_coefficient: Positive = 1.0
    eps: NonNegative = 0.0

    depends_on = "arrays"

    def scalars(self, context: StepContext) -> Scalars:
        """Return the scaling of the array."""
        return ratio_scaling(norm_of(context.gradient), norm_of(context.params), self.trust_coefficient, self.eps)

    def kernel(self, gradient: AnyArray, slots: Sequence[AnyArray], params: AnyArray, scalars: Scalars) -> tuple[Any, Any]:
        """Return the scaled gradient."""
        return rescale(gradient, scalars), ()


@frozen
class LAMB(Composite):
    """AdamW whose step is, array by array, in proportion to the parameters; for large batches.

        direction = |w| u / |u|,   u = Adam's direction + weight_decay w

    Args:
        b1: Decay rate of the first moment, in [0, 1); unitless. Default: 0.9.
        b2: Decay rate of the second moment, in [0, 1); unitless. Default: 0.999.
        eps: Added to the denominator; above 0, in the units of the gradient. Default: 1e-6.
        weight_decay: Decay before the scaling, at least 0. Default: 0.

    Shapes:
        gradient, mu, nu, direction: (P,).

    Raises:
        ValueError: If a parameter is outside its interval. The message has its name and value.

    Source: You et al. 2020, Large batch optimization for deep learning: training BERT in 76 minutes, Algorithm 2.
    """

    _: KW_ONLY
    b1: Decay = 0.9
    b2: Decay = 0.999
    eps: Positive = 1e-6
    weight_decay: NonNegative = 0.0

    @property
    def parts(self) -> tuple[Elementwise, ...]:
        """The parts of AdamW, then the scaling."""
        adamw = AdamW(b1=self.b1, b2=self.b2, eps=self.eps, weight_decay=self.weight_decay)
        return *adamw.parts, scale_by_trust_ratio()
