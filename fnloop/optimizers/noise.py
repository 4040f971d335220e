"""Gradient noise, drawn by address."""

from typing import Any

from fnloop.core.checks import NonNegative, Seed
from fnloop.core.random import Stream
from fnloop.core.records import frozen
from fnloop.core.signatures import explain_calls
from fnloop.optimizers.argument_hints import TRANSFORMATION_HINTS
from fnloop.optimizers.elementwise import Elementwise
from fnloop.optimizers.kernel import StepContext


@frozen
class AddNoise(Elementwise):
    """See `add_noise`."""

    eta: NonNegative
    gamma: NonNegative
    seed: Seed

    depends_on = "arrays"
    per_element_scalars = True

    def scalars(self, context: StepContext) -> Any:
        deviation = (self.eta / (1.0 * context.count) ** self.gamma) ** 0.5
        drawn = context.normal(context.gradient.size, self.seed, Stream.NOISE, context.count, context.place)
        return (deviation * drawn).reshape(context.gradient.shape).astype(context.gradient.dtype)

    def kernel(self, gradient: Any, slots: Any, params: Any, scalars: Any) -> tuple[Any, Any]:
        gradient += scalars
        return gradient, ()


@explain_calls(TRANSFORMATION_HINTS)
def add_noise(*, eta: float, gamma: float = 0.55, seed: int = 0) -> AddNoise:
    """Add normal noise that fades: g + sigma_t n with sigma_t² = eta / t^gamma for the t-th update, from 1.

    The noise is addressed by the seed, the update and the array: a step taken again draws the same.

    Args:
        eta: variance in the first update, at least 0; in the units of the gradient squared.
        gamma: how it fades, at least 0; unitless.
        seed: in [0, 2^64).
    Source: Neelakantan et al. 2015, Adding gradient noise improves learning for very deep networks, equation 1.
    """
    return AddNoise(eta, gamma, seed)
