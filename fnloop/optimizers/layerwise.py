"""Transformations that look at one array of parameters at a time, and LAMB, which is made of one."""

from typing import Any

from fnloop.calling import explained
from fnloop.namespace import namespace
from fnloop.optimizers.adam import Adam
from fnloop.optimizers.chain import Chain, chain
from fnloop.optimizers.elementwise import Elementwise, Now, global_norm
from fnloop.optimizers.hints import HINTS, TRANSFORMS
from fnloop.optimizers.transforms import add_decayed_weights
from fnloop.record import record
from fnloop.typing import NonNegative, Positive


@record
class ClipByNorm(Elementwise):
    """See `clip_by_norm`."""

    max_norm: Positive

    needs = "arrays"

    def scalars(self, now: Now) -> Any:
        xp, norm = namespace(now.gradient), global_norm(now.gradient)
        return self.max_norm / xp.maximum(norm, self.max_norm)

    def kernel(self, gradient: Any, slots: Any, params: Any, scalars: Any) -> tuple[Any, Any]:
        gradient *= scalars
        return gradient, ()


@explained(TRANSFORMS)
def clip_by_norm(max_norm: float) -> ClipByNorm:
    """Shorten each array's gradient to a norm of at most `max_norm`, its direction kept: g min(1, max_norm / |g|).

    Args:
        max_norm: above 0; in the units of the gradient.
    See Also: clip_by_global_norm, which keeps the proportions of the arrays
    """
    return ClipByNorm(max_norm)


@record
class AdaptiveGradClip(Elementwise):
    """See `adaptive_grad_clip`."""

    clipping: Positive
    eps: Positive = 1e-3

    needs = "arrays"

    def scalars(self, now: Now) -> Any:
        xp = namespace(now.gradient)
        norm, bound = unit_norms(now.gradient), self.clipping * xp.maximum(unit_norms(now.params), self.eps)
        return bound / xp.maximum(norm, bound)

    def kernel(self, gradient: Any, slots: Any, params: Any, scalars: Any) -> tuple[Any, Any]:
        gradient *= scalars
        return gradient, ()


@explained(TRANSFORMS)
def adaptive_grad_clip(clipping: float, *, eps: float = 1e-3) -> AdaptiveGradClip:
    """Shorten the gradient of each unit to a share of the unit's own norm: g min(1, clipping max(|w|, eps) / |g|).

    A unit is what leads to one output: a column of (D, K), the last axis of a larger array; a bias counts as one unit.

    Args:
        clipping: largest ratio of the norms, above 0; unitless.
        eps: so that units at zero can move, above 0; in the units of the parameters.
    Source: Brock et al. 2021, High-performance large-scale image recognition without normalization, equation 3.
    """
    return AdaptiveGradClip(clipping, eps)


def unit_norms(array: Any) -> Any:
    """The norm of each unit, in a shape that broadcasts against the array."""
    xp, axes = namespace(array), _within_units(array)
    return xp.sqrt(xp.sum(xp.square(array), axis=axes, keepdims=axes is not None))


def _within_units(array: Any) -> tuple[int, ...] | None:
    """The axes along which a unit lies: all but the last, or all of what is a vector."""
    is_vector = sum(extent > 1 for extent in array.shape) <= 1
    return None if is_vector else tuple(range(array.ndim - 1))


@record
class Centralize(Elementwise):
    """See `centralize`."""

    needs = "arrays"

    def scalars(self, now: Now) -> Any:
        if now.gradient.ndim < 2:
            return None
        return namespace(now.gradient).mean(now.gradient, axis=tuple(range(now.gradient.ndim - 1)))

    def kernel(self, gradient: Any, slots: Any, params: Any, scalars: Any) -> tuple[Any, Any]:
        return (gradient if scalars is None else gradient - scalars), ()


def centralize() -> Centralize:
    """Take from the gradient of each unit's weights their mean; biases stay as they are.

    A unit is what leads to one output: a column of (D, K), the last axis of a larger array.

    Source: Yong et al. 2020, Gradient centralization: a new optimization technique for deep neural networks, equation 1.
    """
    return Centralize()


@record
class ScaleByTrustRatio(Elementwise):
    """See `scale_by_trust_ratio`."""

    trust_coefficient: Positive = 1.0
    eps: NonNegative = 0.0

    needs = "arrays"

    def scalars(self, now: Now) -> Any:
        xp = namespace(now.gradient)
        size, step = global_norm(now.params), global_norm(now.gradient)
        there = (size > 0) & (step > 0)
        return xp.where(there, self.trust_coefficient * size / (xp.where(there, step, 1) + self.eps), 1).astype(step.dtype)

    def kernel(self, gradient: Any, slots: Any, params: Any, scalars: Any) -> tuple[Any, Any]:
        gradient *= scalars
        return gradient, ()


@explained(TRANSFORMS)
def scale_by_trust_ratio(*, trust_coefficient: float = 1.0, eps: float = 0.0) -> ScaleByTrustRatio:
    """Let each array's step be in proportion to its size: g trust_coefficient |w| / (|g| + eps); g where |w| or |g| is 0.

    Args:
        trust_coefficient: above 0; unitless.
        eps: at least 0; in the units of the direction that comes in.
    Source: You, Gitman & Ginsburg 2017, Large batch training of convolutional networks (LARS).
    """
    return ScaleByTrustRatio(trust_coefficient, eps)


@explained(HINTS)
def LAMB(*, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-6, weight_decay: float = 0.0) -> Chain:
    """AdamW whose step is, array by array, in proportion to the parameters: for large batches.

        direction = |w| u / |u|,   u = Adam's direction + weight_decay w

    Args:
        b1, b2, eps: as of `Adam`.
        weight_decay: at least 0.
    Source: You et al. 2020, Large batch optimization for deep learning: training BERT in 76 minutes, Algorithm 2.
    """
    return chain(Adam(b1=b1, b2=b2, eps=eps), add_decayed_weights(weight_decay), scale_by_trust_ratio())
