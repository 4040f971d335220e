"""Lookahead: slow parameters that follow fast ones."""

from typing import Any

import numpy as np

from fnloop.core.arrays import Array, freeze
from fnloop.core.checks import Factor, PositiveInt
from fnloop.core.records import frozen
from fnloop.core.signatures import explain_calls
from fnloop.optimizers.argument_hints import TRANSFORMATION_HINTS
from fnloop.optimizers.chaining import Chain, chain
from fnloop.optimizers.elementwise import Elementwise
from fnloop.optimizers.kernel import StepContext, as_number

SLOWEST = 1e-30  # a rate by which a difference of parameters can still be divided in float32


@frozen
class FollowSlowly(Elementwise):
    """See `lookahead`."""

    k: PositiveInt = 5
    alpha: Factor = 0.5

    slots = ("slow",)

    def init_slots(self, vector: Array) -> tuple[Array, ...]:
        return (freeze(vector),)

    def scalars(self, context: StepContext) -> Any:
        meet = (context.count % self.k == 0) & (np.asarray(context.lr) > SLOWEST)
        back = np.where(meet, 1 / np.where(meet, context.lr, 1.0), 0.0)
        return context.lr, as_number(np.where(meet, self.alpha, 0.0)), as_number(back)

    def kernel(self, gradient: Any, slots: Any, params: Any, scalars: Any) -> tuple[Any, Any]:
        (slow,), (lr, pull, back) = slots, scalars
        ahead = params - lr * gradient
        ahead -= slow
        slow += pull * ahead
        # Where they meet the parameters go to the slow ones: gradient + (fast - slow') / lr is the way there.
        ahead *= (1 - pull) * back
        ahead += gradient
        return ahead, (slow,)


@explain_calls(TRANSFORMATION_HINTS)
def lookahead(optimizer: Elementwise, *, k: int = 5, alpha: float = 0.5) -> Chain:
    """Every k updates, draw slow parameters towards the fast ones, and let the fast ones go on from there.

        fast' = fast - lr direction;   every k-th time: slow' = slow + alpha (fast' - slow), fast' = slow'

    The slow parameters start as the parameters. At a learning rate of 0, or below 1e-30, they do not meet: no direction would
    be long enough to take the fast ones there.

    Args:
        k: updates from meeting to meeting, at least 1.
        alpha: share of the way that the slow parameters go, in (0, 1]; unitless.
    Shapes: gradient, slot and direction are (P,).
    Source: Zhang et al. 2019, Lookahead optimizer: k steps forward, 1 step back, Algorithm 1.
    """
    return chain(optimizer, FollowSlowly(k, alpha))
