"""RMSprop: the gradient beside its own running size."""

from dataclasses import KW_ONLY
from typing import Any

from fnloop.core.checks import Decay, Flag, Positive
from fnloop.core.namespace import namespace
from fnloop.core.records import frozen
from fnloop.optimizers.adam import sum_decay
from fnloop.optimizers.elementwise import Elementwise
from fnloop.optimizers.kernel import StepContext


@frozen
class RMSprop(Elementwise):
    """Scale the gradient by the root of its running mean square, and follow a running sum of that if wanted.

        v' = alpha v + (1 - alpha) g²          a' = alpha a + (1 - alpha) g where centered, else 0
        direction = m' = momentum m + g / (sqrt(v' - a'²) + eps)

    Args:
        alpha: decay of the mean square, in [0, 1); unitless.
        eps: keeps the quotient finite, above 0; in the units of the gradient.
        momentum: in [0, 1); 0 keeps no slot for it.
        centered: take the running mean of the gradient off, so that what is left is its variance.
    Shapes: gradient, slots and direction are (P,).
    Raises: ValueError: if a parameter lies outside its interval; the message carries the name and the value.
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
        return ("nu", *(("mu",) if self.centered else ()), *(("momentum",) if self.momentum else ()))

    def scalars(self, context: StepContext) -> Any:
        before = context.before or self
        return sum_decay(self.alpha, before.alpha), 1 - self.alpha, (1 - self.alpha) ** 0.5

    def kernel(self, gradient: Any, slots: Any, params: Any, scalars: Any) -> tuple[Any, Any]:
        # The slots of means are running sums: v / (1 - alpha), a / (1 - alpha).
        xp = namespace(gradient)
        (v, *rest), (decay, share, root) = slots, scalars
        v *= decay
        v += gradient * gradient
        spread, kept = v, [v]
        if self.centered:
            a = rest.pop(0)
            a *= decay
            a += gradient
            kept.append(a)
            square = a * a
            square *= share
            spread = xp.maximum(v - square, 0)  # of a gradient that stays, rounding could leave less than nothing
        scale = xp.sqrt(spread)
        scale *= root
        scale += self.eps
        gradient /= scale
        if not rest:
            return gradient, kept
        (m,) = rest
        m *= self.momentum
        m += gradient
        return m, [*kept, m]
