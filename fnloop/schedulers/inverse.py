"""Decay by the inverse of t, or of its square root."""

from dataclasses import KW_ONLY

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.checks import NonNegative, Positive
from fnloop.core.records import frozen
from fnloop.schedulers.closed_form import ClosedForm


@frozen
class InverseTimeLR(ClosedForm):
    """Decay by the inverse of t: lr(t) = initial_lr / (1 + decay_rate * t).

    Args:
        initial_lr: The first learning rate, above 0.
        decay_rate: Decay per epoch (or step), at least 0. Default: 0.1.

    Raises:
        ValueError: If a parameter is outside its interval. The message has its name and value.

    Examples:
        >>> InverseTimeLR(0.1, decay_rate=0.5)(2)
        0.05

    Source: Robbins & Monro 1951, A stochastic approximation method, whose conditions it meets.
    """

    initial_lr: Positive
    _: KW_ONLY
    decay_rate: NonNegative = 0.1

    def formula(self, t: Array) -> Array:
        """Return the learning rate at t."""
        return self.initial_lr / (1 + self.decay_rate * t)


@frozen
class InverseSqrtLR(ClosedForm):
    """Decay by the inverse square root of t: lr(t) = initial_lr * sqrt(timescale / (timescale + t)).

    Args:
        initial_lr: The first learning rate, above 0.
        timescale: In epochs (or steps), above 0: after 3 * timescale the rate is half of the first. Default: 1.

    Raises:
        ValueError: If a parameter is outside its interval. The message has its name and value.

    Examples:
        >>> InverseSqrtLR(0.1, timescale=10)(30)
        0.05

    Source: Vaswani et al. 2017, Attention is all you need, section 5.3, after the warm-up.
    """

    initial_lr: Positive
    _: KW_ONLY
    timescale: Positive = 1.0

    def formula(self, t: Array) -> Array:
        """Return the learning rate at t."""
        return self.initial_lr * np.sqrt(self.timescale / (self.timescale + t))
