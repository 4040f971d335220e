"""Adagrad and Adadelta."""

from collections.abc import Sequence
from dataclasses import KW_ONLY
from typing import Any

import numpy as np

from fnloop.core.arrays import AnyArray, Array, read_only
from fnloop.core.checks import Decay, NonNegative, Positive
from fnloop.core.namespace import namespace
from fnloop.core.records import frozen
from fnloop.optimizers.adam import running_sum_decay
from fnloop.optimizers.elementwise import Elementwise
from fnloop.optimizers.kernel import Scalars, StepContext


@frozen
class Adagrad(Elementwise):
    """Scale the gradient by the root of the sum of all squared gradients.

        sum_of_squares' = sum_of_squares + g²        direction = g / (sqrt(sum_of_squares') + eps)

    Args:
        initial_accumulator_value: Initial value of the sum, at least 0; in the units of the squared gradient. Default: 0.
        eps: Added to the denominator; above 0, in the units of the gradient. Default: 1e-10.

    Shapes:
        gradient, sum_of_squares, direction: (P,).

    Raises:
        ValueError: If a parameter is outside its interval. The message has its name and value.

    Source: Duchi, Hazan & Singer 2011, Adaptive subgradient methods for online learning and stochastic optimization.
    """

    _: KW_ONLY
    initial_accumulator_value: NonNegative = 0.0
    eps: Positive = 1e-10

    slots = ("sum_of_squares",)
    keeps_non_finite = True

    def init_slots(self, vector: Array) -> tuple[Array, ...]:
        """Return the initial sum of squares."""
        return (read_only(np.full_like(vector, self.initial_accumulator_value)),)

    def kernel(self, gradient: AnyArray, slots: Sequence[AnyArray], params: AnyArray, scalars: Scalars) -> tuple[Any, Any]:
        """Return the direction and the new sum of squares."""
        xp = namespace(gradient)
        (sum_of_squares,) = slots
        sum_of_squares += gradient * gradient
        scale = xp.sqrt(sum_of_squares)
        scale += self.eps
        gradient /= scale
        return gradient, (sum_of_squares,)


@frozen
class Adadelta(Elementwise):
    """Scale the gradient to the size of earlier steps, in the units of the parameters.

        nu' = rho nu + (1 - rho) g²        direction = d = g sqrt(nu_of_steps + eps) / sqrt(nu' + eps)
        nu_of_steps' = rho nu_of_steps + (1 - rho) d²

    In float32 gradients should be below 1e15: beyond, eps / nu loses digits.

    Args:
        rho: Decay rate of both mean squares, in [0, 1); unitless. Default: 0.9.
        eps: Keeps the first steps from being 0; above 0, in the units of both mean squares. Default: 1e-6.

    Shapes:
        gradient, nu, nu_of_steps, direction: (P,).

    Raises:
        ValueError: If a parameter is outside its interval. The message has its name and value.

    Source: Zeiler 2012, ADADELTA: an adaptive learning rate method, Algorithm 1, whose learning rate is 1.
    """

    _: KW_ONLY
    rho: Decay = 0.9
    eps: Positive = 1e-6

    slots = ("nu", "nu_of_steps")
    keeps_non_finite = True

    def scalars(self, context: StepContext) -> Scalars:
        """Return the decay rate of the slots, and eps in their units."""
        before = context.before or self
        return running_sum_decay(self.rho, before.rho), self.eps / (1 - self.rho)

    def kernel(self, gradient: AnyArray, slots: Sequence[AnyArray], params: AnyArray, scalars: Scalars) -> tuple[Any, Any]:
        """Return the direction and the new mean squares."""
        # The slots are running sums, nu / (1 - rho) and nu_of_steps / (1 - rho): the factor cancels in the quotient.
        xp = namespace(gradient)
        (nu, nu_of_steps), (decay, eps) = slots, scalars
        nu *= decay
        nu += gradient * gradient
        ratio = nu_of_steps + eps
        ratio /= nu + eps
        gradient *= xp.sqrt(ratio)
        nu_of_steps *= decay
        nu_of_steps += gradient * gradient
        return gradient, (nu, nu_of_steps)
