"""Adagrad, and Adadelta, which forgets and needs no rate of its own."""

from dataclasses import KW_ONLY
from typing import Any

import numpy as np

from fnloop.core.arrays import Array, read_only
from fnloop.core.checks import Decay, NonNegative, Positive
from fnloop.core.namespace import namespace
from fnloop.core.records import frozen
from fnloop.optimizers.adam import sum_decay
from fnloop.optimizers.elementwise import Elementwise
from fnloop.optimizers.kernel import StepContext


@frozen
class Adagrad(Elementwise):
    """Scale the gradient by the root of the sum of all its squares.

        s' = s + g²          direction = g / (sqrt(s') + eps)

    Args:
        initial_accumulator_value: what s starts with, at least 0; in the units of the gradient's square.
        eps: keeps the quotient finite, above 0; in the units of the gradient.
    Shapes: gradient, slot and direction are (P,).
    Raises: ValueError: if a parameter lies outside its interval; the message carries the name and the value.
    Source: Duchi, Hazan & Singer 2011, Adaptive subgradient methods for online learning and stochastic optimization.
    """

    _: KW_ONLY
    initial_accumulator_value: NonNegative = 0.0
    eps: Positive = 1e-10

    slots = ("sum_of_squares",)
    keeps_non_finite = True

    def init_slots(self, vector: Array) -> tuple[Array, ...]:
        return (read_only(np.full_like(vector, self.initial_accumulator_value)),)

    def kernel(self, gradient: Any, slots: Any, params: Any, scalars: Any) -> tuple[Any, Any]:
        xp = namespace(gradient)
        (s,) = slots
        s += gradient * gradient
        scale = xp.sqrt(s)
        scale += self.eps
        gradient /= scale
        return gradient, (s,)


@frozen
class Adadelta(Elementwise):
    """Scale the gradient so that steps have the size of earlier steps, in the units of the parameters.

        v' = rho v + (1 - rho) g²          direction = d = g sqrt(u + eps) / sqrt(v' + eps)          u' = rho u + (1 - rho) d²

    Args:
        rho: decay of both mean squares, in [0, 1); unitless.
        eps: keeps the first steps from being 0, above 0; in the units of v and of u.
    In float32 gradients should be below 1e15: eps / v has fewer digits beyond.

    Shapes: gradient, slots and direction are (P,).
    Raises: ValueError: if a parameter lies outside its interval; the message carries the name and the value.
    Source: Zeiler 2012, ADADELTA: an adaptive learning rate method, Algorithm 1; the method's own rate is 1.
    """

    _: KW_ONLY
    rho: Decay = 0.9
    eps: Positive = 1e-6

    slots = ("nu", "nu_of_steps")
    keeps_non_finite = True

    def scalars(self, context: StepContext) -> Any:
        before = context.before or self
        return sum_decay(self.rho, before.rho), self.eps / (1 - self.rho)

    def kernel(self, gradient: Any, slots: Any, params: Any, scalars: Any) -> tuple[Any, Any]:
        # The slots are running sums, v / (1 - rho) and u / (1 - rho): the factor falls out of the quotient.
        xp = namespace(gradient)
        (v, u), (decay, eps) = slots, scalars
        v *= decay
        v += gradient * gradient
        ratio = u + eps
        ratio /= v + eps
        gradient *= xp.sqrt(ratio)
        u *= decay
        u += gradient * gradient
        return gradient, (v, u)
