"""Transformations that look at one array of parameters at a time, and LAMB, which is made of one."""

from typing import Any

import numpy as np

from fnloop.core.checks import NonNegative, Positive
from fnloop.core.namespace import namespace
from fnloop.core.records import frozen
from fnloop.core.signatures import explain_calls
from fnloop.core.sums import total
from fnloop.optimizers.adam import Adam
from fnloop.optimizers.argument_hints import OPTIMIZER_HINTS, TRANSFORMATION_HINTS
from fnloop.optimizers.chaining import Chain, chain
from fnloop.optimizers.elementwise import Elementwise
from fnloop.optimizers.kernel import StepContext
from fnloop.optimizers.norms import norm_of, rescaling, scaled_by, shortening
from fnloop.optimizers.transforms import add_decayed_weights


@frozen
class ClipByNorm(Elementwise):
    """See `clip_by_norm`."""

    max_norm: Positive

    depends_on = "arrays"

    def scalars(self, context: StepContext) -> Any:
        return shortening(norm_of(context.gradient), self.max_norm)

    def kernel(self, gradient: Any, slots: Any, params: Any, scalars: Any) -> tuple[Any, Any]:
        return scaled_by(gradient, scalars), ()


@explain_calls(TRANSFORMATION_HINTS)
def clip_by_norm(max_norm: float) -> ClipByNorm:
    """Shorten each array's gradient to a norm of at most `max_norm`, its direction kept: g min(1, max_norm / |g|).

    Args:
        max_norm: above 0; in the units of the gradient.
    See Also: clip_by_global_norm, which keeps the proportions of the arrays
    """
    return ClipByNorm(max_norm)


@frozen
class AdaptiveGradClip(Elementwise):
    """See `adaptive_grad_clip`."""

    clipping: Positive
    eps: Positive = 1e-3

    depends_on = "arrays"

    def scalars(self, context: StepContext) -> Any:
        xp, units = namespace(context.gradient), _has_units(context.gradient)
        with np.errstate(over="ignore"):
            own = norm_of(context.params, units)
            bound = xp.maximum(own.peak * (self.clipping * own.ratio), self.clipping * self.eps)
        return shortening(norm_of(context.gradient, units), bound)

    def kernel(self, gradient: Any, slots: Any, params: Any, scalars: Any) -> tuple[Any, Any]:
        return scaled_by(gradient, scalars), ()


@explain_calls(TRANSFORMATION_HINTS)
def adaptive_grad_clip(clipping: float, *, eps: float = 1e-3) -> AdaptiveGradClip:
    """Shorten the gradient of each unit to a share of the unit's own norm: g min(1, clipping max(|w|, eps) / |g|).

    A unit is what leads to one output: a column of (D, K), the last axis of a larger array; a bias counts as one unit.

    Args:
        clipping: largest ratio of the norms, above 0; unitless.
        eps: so that units at zero can move, above 0; in the units of the parameters.
    Source: Brock et al. 2021, High-performance large-scale image recognition without normalization, equation 3.
    """
    return AdaptiveGradClip(clipping, eps)


def _has_units(array: Any) -> bool:
    """Whether an array has a unit for each place of its last axis; what is a vector is one unit."""
    return len([extent for extent in array.shape if extent > 1]) > 1


@frozen
class Centralize(Elementwise):
    """See `centralize`."""

    depends_on = "arrays"

    def scalars(self, context: StepContext) -> Any:
        if context.gradient.ndim < 2:
            return None
        xp, n = namespace(context.gradient), context.gradient.size // context.gradient.shape[-1]
        with np.errstate(over="ignore", invalid="ignore"):
            mean = total(context.gradient) / n
            return xp.where(xp.isfinite(mean), mean, total(context.gradient / n))

    def kernel(self, gradient: Any, slots: Any, params: Any, scalars: Any) -> tuple[Any, Any]:
        return (gradient if scalars is None else gradient - scalars), ()


def centralize() -> Centralize:
    """Take from the gradient of each unit's weights their mean; biases stay as they are.

    A unit is what leads to one output: a column of (D, K), the last axis of a larger array.

    Source: Yong et al. 2020, Gradient centralization: a new optimization technique for deep neural networks, equation 1.
    """
    return Centralize()


@frozen
class ScaleByTrustRatio(Elementwise):
    """See `scale_by_trust_ratio`."""

    trust_coefficient: Positive = 1.0
    eps: NonNegative = 0.0

    depends_on = "arrays"

    def scalars(self, context: StepContext) -> Any:
        return rescaling(norm_of(context.gradient), norm_of(context.params), self.trust_coefficient, self.eps)

    def kernel(self, gradient: Any, slots: Any, params: Any, scalars: Any) -> tuple[Any, Any]:
        return scaled_by(gradient, scalars), ()


@explain_calls(TRANSFORMATION_HINTS)
def scale_by_trust_ratio(*, trust_coefficient: float = 1.0, eps: float = 0.0) -> ScaleByTrustRatio:
    """Let each array's step be in proportion to its size: g trust_coefficient |w| / (|g| + eps); g where |w| or |g| is 0.

    Args:
        trust_coefficient: above 0; unitless.
        eps: at least 0; in the units of the direction that comes in.
    Source: You, Gitman & Ginsburg 2017, Large batch training of convolutional networks (LARS).
    """
    return ScaleByTrustRatio(trust_coefficient, eps)


@explain_calls(OPTIMIZER_HINTS)
def LAMB(*, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-6, weight_decay: float = 0.0) -> Chain:
    """AdamW whose step is, array by array, in proportion to the parameters: for large batches.

        direction = |w| u / |u|,   u = Adam's direction + weight_decay w

    Args:
        b1, b2, eps: as of `Adam`.
        weight_decay: at least 0.
    Source: You et al. 2020, Large batch optimization for deep learning: training BERT in 76 minutes, Algorithm 2.
    """
    return chain(Adam(b1=b1, b2=b2, eps=eps), add_decayed_weights(weight_decay), scale_by_trust_ratio())
