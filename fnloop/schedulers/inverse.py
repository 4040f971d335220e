"""Decay by an inverse of the time."""

from dataclasses import KW_ONLY
from typing import Any

import numpy as np

from fnloop.core.checks import NonNegative, Positive
from fnloop.core.records import frozen
from fnloop.schedulers.closed_form import ClosedForm


@frozen
class InverseTimeLR(ClosedForm):
    """Decay as the inverse of the time: lr(t) = initial_lr / (1 + decay_rate * t).

    Args:
        decay_rate: per epoch (or step), at least 0.
    Source: Robbins & Monro 1951, whose conditions it meets.
    """

    initial_lr: Positive
    _: KW_ONLY
    decay_rate: NonNegative = 0.1

    def formula(self, t: Any) -> Any:
        return self.initial_lr / (1 + self.decay_rate * t)


@frozen
class InverseSqrtLR(ClosedForm):
    """Decay as the inverse square root of the time: lr(t) = initial_lr * sqrt(timescale / (timescale + t)).

    Args:
        timescale: after three of them the rate is half of the first; in what is scheduled (epochs or steps), above 0.
    Source: Vaswani et al. 2017, Attention is all you need, section 5.3, behind its warm-up.
    """

    initial_lr: Positive
    _: KW_ONLY
    timescale: Positive = 1.0

    def formula(self, t: Any) -> Any:
        return self.initial_lr * np.sqrt(self.timescale / (self.timescale + t))
