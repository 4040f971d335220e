"""Resilient propagation: of the gradient only the signs count."""

from dataclasses import KW_ONLY
from typing import Annotated, Any

import numpy as np

from fnloop.core.arrays import Array, read_only
from fnloop.core.checks import Factor, real
from fnloop.core.namespace import namespace
from fnloop.core.records import frozen
from fnloop.optimizers.elementwise import Elementwise
from fnloop.optimizers.norms import within_range


@frozen
class Rprop(Elementwise):
    """Give each parameter a step of its own, longer while its gradient keeps its sign, shorter when it turns.

        step' = min(step eta_plus, max_step) if the sign stayed, max(step eta_minus, min_step) if it turned, else step
        direction = sign(g) step', and 0 where the sign turned, which is then forgotten

    For full batches: the noise of small ones turns signs. Steps are in units of the learning rate, and start at 1: with
    lr = 0.01 PyTorch's step_sizes=(1e-6, 50) are min_step=1e-4, max_step=5000 here.

    Args:
        eta_minus: in (0, 1); eta_plus: above 1; unitless.
        min_step: in (0, 1]; max_step: at least 1; in units of the learning rate.
    Shapes: gradient, slots and direction are (P,).
    Raises: ValueError: if a parameter lies outside its interval; the message carries the name and the value.
    Source: Riedmiller & Braun 1993; the variant iRprop- of Igel & Hüsken 2000.
    """

    _: KW_ONLY
    eta_minus: Annotated[float, real("(0, 1)")] = 0.5
    eta_plus: Annotated[float, real("(1, inf)")] = 1.2
    min_step: Factor = 1e-6
    max_step: Annotated[float, real("[1, inf)")] = 50.0

    slots = ("sign", "step")

    def init_slots(self, vector: Array) -> tuple[Array, ...]:
        return read_only(np.zeros_like(vector)), read_only(np.ones_like(vector))

    def kernel(self, gradient: Any, slots: Any, params: Any, scalars: Any) -> tuple[Any, Any]:
        xp = namespace(gradient)
        sign, (before, step) = xp.sign(gradient), slots
        before *= sign
        # The parabola through eta_minus, 1, eta_plus at -1, 0, 1: a choice element by element takes ten times as long.
        factor = before * ((self.eta_plus + self.eta_minus) / 2 - 1)
        factor += (self.eta_plus - self.eta_minus) / 2
        factor *= before
        factor += 1
        step *= factor
        step = xp.clip(step, self.min_step, within_range(self.max_step, step))
        sign *= before >= 0
        return sign * step, (sign, step)
