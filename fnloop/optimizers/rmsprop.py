"""RMSprop: the gradient relative to its running size."""

from collections.abc import Sequence
from dataclasses import KW_ONLY
from typing import Any

from fnloop.core.arrays import AnyArray
from fnloop.core.checks import Decay, Flag, Positive
from fnloop.core.namespace import namespace
from fnloop.core.records import frozen
from fnloop.optimizers.adam import running_sum_decay
from fnloop.optimizers.elementwise import Elementwise
from fnloop.optimizers.kernel import Scalars, StepContext


@frozen
class RMSprop(Elementwise):
    """Scale the gradient by the root of its running mean square, optionally with momentum.

        nu' = alpha nu + (1 - alpha) g²        mu' = alpha mu + (1 - alpha) g if centered, else 0
        direction = m' = momentum m + g / (sqrt(nu' - mu'²) + eps)

    Args:
        alpha: Decay rate of the mean square, in [0, 1); unitless. Default: 0.99.
        eps: Added to the denominator; above 0, in the units of the gradient. Default: 1e-8.
        momentum: Decay rate of the momentum, in [0, 1). The default, 0, has no slot.
        centered: Whether to scale by the standard deviation of the gradient, without its running mean. Default: False.

    Shapes:
        gradient, nu, mu, m (the slot `momentum`), direction: (P,).

    Raises:
        ValueError: If a parameter is outside its interval. The message has its name and value.

    Source: Tieleman & Hinton 2012, lecture 6.5; centered: Graves 2013, Generating sequences with recurrent neural networks.
    """

    _: KW_ONLY
    alpha: Decay = 0.99
    eps: Positive = 1e-8
    momentum: Decay = 0.0
    centered: Flag = False

    keeps_non_finite = True

    @property
    def slots(self) -> tuple[str, ...]:  # type: ignore[override]
        """The mean square, and the mean and the momentum if they are used."""
        return ("nu", *(("mu",) if self.centered else ()), *(("momentum",) if self.momentum else ()))

    def scalars(self, context: StepContext) -> Scalars:
        """Return the decay rate of the moments, and the factor of a running sum with its root."""
        before = context.before or self
        return running_sum_decay(self.alpha, before.alpha), 1 - self.alpha, (1 - self.alpha) ** 0.5

    def kernel(self, gradient: AnyArray, slots: Sequence[AnyArray], params: AnyArray, scalars: Scalars) -> tuple[Any, Any]:
        """Return the direction and the new slots."""
        # The moments are running sums: nu / (1 - alpha), mu / (1 - alpha).
        xp = namespace(gradient)
        (nu, *rest), (decay, factor, root) = slots, scalars
        nu *= decay
        nu += gradient * gradient
        variance, new_slots = nu, [nu]
        if self.centered:
            mu = rest.pop(0)
            mu *= decay
            mu += gradient
            new_slots.append(mu)
            square = mu * mu
            square *= factor
            variance = xp.maximum(nu - square, 0)  # of a constant gradient, rounding could make it negative
        scale = xp.sqrt(variance)
        scale *= root
        scale += self.eps
        gradient /= scale
        if not rest:
            return gradient, new_slots
        (momentum,) = rest
        momentum *= self.momentum
        momentum += gradient
        return momentum, [*new_slots, momentum]
