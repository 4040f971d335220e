"""Gradient noise that is a function of seed, update and array."""

from collections.abc import Sequence
from dataclasses import KW_ONLY
from typing import Any

from fnloop.core.arrays import AnyArray
from fnloop.core.checks import NonNegative, Seed
from fnloop.core.random import Stream
from fnloop.core.records import frozen
from fnloop.optimizers.elementwise import Transformation
from fnloop.optimizers.kernel import Scalars, StepContext


@frozen
class add_noise(Transformation):
    """Add normal noise that decays: g + sigma_t n with sigma_t² = eta / t^gamma for the t-th update, from 1.

    The noise is addressed by the seed, the update and the array, so a repeated update draws the same noise.

    Args:
        eta: Variance of the noise in the first update, at least 0; in the units of the squared gradient.
        gamma: Decay exponent, at least 0; unitless. Default: 0.55.
        seed: Seed of the noise, in [0, 2^64). Default: 0.

    Raises:
        ValueError: If a parameter is outside its interval. The message has its name and value.

    Source: Neelakantan et al. 2015, Adding gradient noise improves learning for very deep networks, equation 1.
    """

    _: KW_ONLY
    eta: NonNegative
    gamma: NonNegative = 0.55
    seed: Seed = 0

    depends_on = "arrays"
    per_element_scalars = True

    def scalars(self, context: StepContext) -> Scalars:
        """Return the noise, in the array's shape."""
        deviation = (self.eta / (1.0 * context.count) ** self.gamma) ** 0.5
        noise = context.normal(context.gradient.size, self.seed, Stream.NOISE, context.count, context.place)
        return (deviation * noise).reshape(context.gradient.shape).astype(context.gradient.dtype)

    def kernel(self, gradient: AnyArray, slots: Sequence[AnyArray], params: AnyArray, scalars: Scalars) -> tuple[Any, Any]:
        """Return the gradient with the noise."""
        gradient += scalars
        return gradient, ()
