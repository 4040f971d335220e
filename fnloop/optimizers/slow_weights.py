"""Lookahead: slow parameters that follow fast ones."""

from collections.abc import Sequence
from dataclasses import KW_ONLY
from typing import Any

import numpy as np

from fnloop.core.arrays import AnyArray, Array, freeze
from fnloop.core.checks import Factor, PositiveInt
from fnloop.core.formatting import short
from fnloop.core.records import frozen
from fnloop.core.signatures import call_hint
from fnloop.optimizers.argument_hints import TRANSFORMATION_HINTS
from fnloop.optimizers.chaining import Composite
from fnloop.optimizers.elementwise import Elementwise
from fnloop.optimizers.kernel import Scalars, StepContext, as_number

SMALLEST_RATE = 1e-30  # a difference of parameters can still be divided by it in float32


@frozen
class SlowWeights(Elementwise):
    """The slow parameters of `lookahead`, and the synchronization of the fast ones with them."""

    k: PositiveInt = 5
    alpha: Factor = 0.5

    slots = ("slow",)

    def init_slots(self, vector: Array) -> tuple[Array, ...]:
        """Return the parameters as the initial slow ones."""
        return (freeze(vector),)

    def scalars(self, context: StepContext) -> Scalars:
        """Return the learning rate, the step of the slow parameters, and 1 / lr at a synchronization, else 0."""
        synchronize = (context.count % self.k == 0) & (np.asarray(context.lr) > SMALLEST_RATE)
        inverse = np.where(synchronize, 1 / np.where(synchronize, context.lr, 1.0), 0.0)
        return context.lr, as_number(np.where(synchronize, self.alpha, 0.0)), as_number(inverse)

    def kernel(self, gradient: AnyArray, slots: Sequence[AnyArray], params: AnyArray, scalars: Scalars) -> tuple[Any, Any]:
        """Return the direction, which at a synchronization leads to the slow parameters, and the new slow parameters."""
        (slow,), (lr, alpha, inverse) = slots, scalars
        ahead = params - lr * gradient
        ahead -= slow
        slow += alpha * ahead
        # The direction to the slow parameters is gradient + (fast - slow') / lr.
        ahead *= (1 - alpha) * inverse
        ahead += gradient
        return ahead, (slow,)


@frozen
class lookahead(Composite):
    """Move slow parameters towards the fast ones every k updates, and continue the fast ones from there.

        fast' = fast - lr direction;   every k-th update: slow' = slow + alpha (fast' - slow), fast' = slow'

    The slow parameters start as the parameters. At a learning rate below 1e-30 there is no synchronization: no direction
    would be long enough to move the fast parameters to the slow ones.

    Args:
        optimizer: The optimizer of the fast parameters.
        k: Updates between synchronizations, at least 1. Default: 5.
        alpha: Step of the slow parameters relative to their distance from the fast ones, in (0, 1]; unitless. Default: 0.5.

    Shapes:
        gradient, slow, direction: (P,).

    Raises:
        TypeError: If `optimizer` is not an optimizer.
        ValueError: If a parameter is outside its interval, or the optimizer ends with an average of the parameters.

    Examples:
        >>> from fnloop.optimizers import SGD
        >>> lookahead(SGD(), k=10)
        lookahead(optimizer=SGD(momentum=0.0, nesterov=False), k=10, alpha=0.5)

    Source: Zhang et al. 2019, Lookahead optimizer: k steps forward, 1 step back, Algorithm 1.
    """

    argument_hints = TRANSFORMATION_HINTS

    optimizer: Elementwise
    _: KW_ONLY
    k: PositiveInt = 5
    alpha: Factor = 0.5

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.optimizer, Elementwise):
            raise TypeError(f"optimizer must be an optimizer, got {short(self.optimizer)}{call_hint(self.optimizer)}")
        super().__attrs_post_init__()

    @property
    def parts(self) -> tuple[Elementwise, ...]:
        """The optimizer, then the slow parameters."""
        return *self.optimizer.parts, SlowWeights(self.k, self.alpha)
