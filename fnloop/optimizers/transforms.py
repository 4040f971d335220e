"""Transformations that stand before or behind an optimizer in a chain."""

from typing import Any

from fnloop.optimizers.elementwise import Elementwise
from fnloop.record import record
from fnloop.typing import NonNegative, Positive


@record
class ClipByGlobalNorm(Elementwise):
    """See `clip_by_global_norm`."""

    max_norm: Positive

    needs_norm = True

    def scalars(self, count: Any, norm: Any) -> Any:
        xp = norm.__array_namespace__()
        return self.max_norm / xp.maximum(norm, self.max_norm)  # NaN stays NaN: it is never made to look finite

    def kernel(self, gradient: Any, slots: Any, params: Any, scalars: Any) -> tuple[Any, Any]:
        return gradient * scalars, ()


def clip_by_global_norm(max_norm: float) -> ClipByGlobalNorm:
    """Shorten the gradient to a norm of at most `max_norm`, its direction kept: g min(1, max_norm / |g|).

    A zero gradient stays zero; NaN and infinity stay visible, as NaN.

    Args:
        max_norm: above 0; in the units of the gradient.
    Source: Pascanu, Mikolov & Bengio 2013, Algorithm 1.
    """
    return ClipByGlobalNorm(max_norm)


@record
class AddDecayedWeights(Elementwise):
    """See `add_decayed_weights`."""

    weight_decay: NonNegative

    def kernel(self, gradient: Any, slots: Any, params: Any, scalars: Any) -> tuple[Any, Any]:
        return gradient + self.weight_decay * params, ()


def add_decayed_weights(weight_decay: float) -> AddDecayedWeights:
    """Add the decayed parameters: g + weight_decay * params. Behind an optimizer the decay is decoupled; before it, it is L2.

    Args:
        weight_decay: at least 0.
    """
    return AddDecayedWeights(weight_decay)
