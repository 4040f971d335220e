"""Transformations that stand before or behind an optimizer in a chain."""

from typing import Any

from fnloop.core.checks import NonNegative, Positive, real
from fnloop.core.namespace import namespace
from fnloop.core.records import frozen
from fnloop.core.signatures import explain_calls
from fnloop.optimizers.argument_hints import TRANSFORMATION_HINTS
from fnloop.optimizers.elementwise import Elementwise
from fnloop.optimizers.kernel import StepContext
from fnloop.optimizers.norms import scaled_by, shortening, within_range


@frozen
class ClipByGlobalNorm(Elementwise):
    """See `clip_by_global_norm`."""

    max_norm: Positive

    depends_on = "norm"

    def scalars(self, context: StepContext) -> Any:
        return shortening(context.norm, self.max_norm)

    def kernel(self, gradient: Any, slots: Any, params: Any, scalars: Any) -> tuple[Any, Any]:
        return scaled_by(gradient, scalars), ()


@explain_calls(TRANSFORMATION_HINTS)
def clip_by_global_norm(max_norm: float) -> ClipByGlobalNorm:
    """Shorten the gradient to a norm of at most `max_norm`, its direction kept: g min(1, max_norm / |g|).

    A zero gradient stays zero; NaN and infinity stay visible, as NaN. No finite gradient is too large or too small for it.

    Args:
        max_norm: above 0; in the units of the gradient.
    Source: Pascanu, Mikolov & Bengio 2013, Algorithm 1.
    """
    return ClipByGlobalNorm(max_norm)


@frozen
class AddDecayedWeights(Elementwise):
    """See `add_decayed_weights`."""

    weight_decay: NonNegative

    def kernel(self, gradient: Any, slots: Any, params: Any, scalars: Any) -> tuple[Any, Any]:
        gradient += self.weight_decay * params
        return gradient, ()


@explain_calls(TRANSFORMATION_HINTS)
def add_decayed_weights(weight_decay: float) -> AddDecayedWeights:
    """Add the decayed parameters: g + weight_decay * params. Behind an optimizer the decay is decoupled; before it, it is L2.

    Args:
        weight_decay: at least 0.
    """
    return AddDecayedWeights(weight_decay)


@frozen
class ClipByValue(Elementwise):
    """See `clip_by_value`."""

    max_value: Positive

    def kernel(self, gradient: Any, slots: Any, params: Any, scalars: Any) -> tuple[Any, Any]:
        bound = within_range(self.max_value, gradient)
        return namespace(gradient).clip(gradient, -bound, bound), ()


@explain_calls(TRANSFORMATION_HINTS)
def clip_by_value(max_value: float) -> ClipByValue:
    """Cut each element to [-max_value, max_value]; this turns the gradient, `clip_by_global_norm` does not. NaN stays NaN.

    Args:
        max_value: above 0; in the units of the gradient.
    """
    return ClipByValue(max_value)


@frozen
class AddL1Penalty(Elementwise):
    """See `add_l1_penalty`."""

    l1: NonNegative

    def kernel(self, gradient: Any, slots: Any, params: Any, scalars: Any) -> tuple[Any, Any]:
        gradient += self.l1 * namespace(params).sign(params)
        return gradient, ()


@explain_calls(TRANSFORMATION_HINTS)
def add_l1_penalty(l1: float) -> AddL1Penalty:
    """Add the gradient of the penalty l1 * sum |params|: g + l1 * sign(params). It draws parameters to zero; stands first.

    Args:
        l1: at least 0.
    Source: Tibshirani 1996, Regression shrinkage and selection via the lasso.
    """
    return AddL1Penalty(l1)


@explain_calls(TRANSFORMATION_HINTS)
def add_l2_penalty(l2: float) -> AddDecayedWeights:
    """Add the gradient of the penalty l2 / 2 * sum params²: g + l2 * params. It is `add_decayed_weights` by its
    other name, and stands first; behind an optimizer it is decay.

    Args:
        l2: at least 0.
    Source: Hoerl & Kennard 1970, Ridge regression.
    """
    return AddDecayedWeights(real("[0, inf)")("l2", l2))
