"""Lion: the sign of a momentum."""

from dataclasses import KW_ONLY
from typing import Any

from fnloop.core.checks import Decay
from fnloop.core.namespace import namespace
from fnloop.core.records import frozen
from fnloop.core.signatures import explain_calls
from fnloop.optimizers.argument_hints import OPTIMIZER_HINTS
from fnloop.optimizers.chaining import Chain, chain
from fnloop.optimizers.elementwise import Elementwise
from fnloop.optimizers.transforms import add_decayed_weights


@frozen
class ScaleByLion(Elementwise):
    """See `Lion`."""

    _: KW_ONLY
    b1: Decay = 0.9
    b2: Decay = 0.99

    slots = ("mu",)
    keeps_non_finite = True

    def kernel(self, gradient: Any, slots: Any, params: Any, scalars: Any) -> tuple[Any, Any]:
        xp = namespace(gradient)
        (m,) = slots
        mixed = m * self.b1
        mixed += gradient * (1 - self.b1)
        gradient *= 1 - self.b2
        m *= self.b2
        m += gradient
        return xp.sign(mixed), (m,)


@explain_calls(OPTIMIZER_HINTS)
def Lion(*, b1: float = 0.9, b2: float = 0.99, weight_decay: float = 1e-3) -> Chain:
    """Follow the sign of gradient and momentum, with decoupled weight decay.

        direction = sign(b1 m + (1 - b1) g) + weight_decay params          m' = b2 m + (1 - b2) g

    Every step has the same size, so the learning rate is 3 to 10 times smaller than Adam's, the decay as many times larger.

    Args:
        b1: share of the momentum in the step, in [0, 1); b2: decay of the momentum, in [0, 1); unitless.
        weight_decay: per unit of the learning rate, at least 0.
    Shapes: gradient, slot and direction are (P,).
    Raises: ValueError: if a parameter lies outside its interval; the message carries the name and the value.
    Source: Chen et al. 2023, Symbolic discovery of optimization algorithms, Algorithm 2.
    """
    return chain(ScaleByLion(b1=b1, b2=b2), add_decayed_weights(weight_decay))
