"""Lion: the sign of a momentum."""

from collections.abc import Sequence
from dataclasses import KW_ONLY
from typing import Any

from fnloop.core.arrays import AnyArray
from fnloop.core.checks import Decay, NonNegative
from fnloop.core.namespace import namespace
from fnloop.core.records import frozen
from fnloop.optimizers.chaining import Composite
from fnloop.optimizers.elementwise import Elementwise
from fnloop.optimizers.kernel import Scalars
from fnloop.optimizers.transforms import add_decayed_weights


@frozen
class ScaleByLion(Elementwise):
    """Lion without the weight decay."""

    _: KW_ONLY
    b1: Decay = 0.9
    b2: Decay = 0.99

    slots = ("mu",)
    keeps_non_finite = True

    def kernel(self, gradient: AnyArray, slots: Sequence[AnyArray], params: AnyArray, scalars: Scalars) -> tuple[Any, Any]:
        """Return the sign of the mixed momentum, and the new momentum."""
        xp = namespace(gradient)
        (mu,) = slots
        mixed = mu * self.b1
        mixed += gradient * (1 - self.b1)
        gradient *= 1 - self.b2
        mu *= self.b2
        mu += gradient
        return xp.sign(mixed), (mu,)


@frozen
class Lion(Composite):
    """Follow the sign of gradient and momentum, with decoupled weight decay.

        direction = sign(b1 mu + (1 - b1) g) + weight_decay params        mu' = b2 mu + (1 - b2) g

    Every step has the same size, so the learning rate is 3 to 10 times smaller than Adam's, and the decay as much larger.

    Args:
        b1: Weight of the momentum in the direction, in [0, 1); unitless. Default: 0.9.
        b2: Decay rate of the momentum, in [0, 1); unitless. Default: 0.99.
        weight_decay: Decay per unit of the learning rate, at least 0. Default: 1e-3.

    Shapes:
        gradient, mu, direction: (P,).

    Raises:
        ValueError: If a parameter is outside its interval. The message has its name and value.

    Source: Chen et al. 2023, Symbolic discovery of optimization algorithms, Algorithm 2.
    """

    _: KW_ONLY
    b1: Decay = 0.9
    b2: Decay = 0.99
    weight_decay: NonNegative = 1e-3

    @property
    def parts(self) -> tuple[Elementwise, ...]:
        """The sign of the momentum, then the decay."""
        return ScaleByLion(b1=self.b1, b2=self.b2), add_decayed_weights(self.weight_decay)
