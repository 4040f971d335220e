"""Decay by a constant factor."""

from typing import Any

from fnloop.core.checks import Factor, Positive
from fnloop.core.records import frozen
from fnloop.schedulers.closed_form import ClosedForm


@frozen
class ExponentialLR(ClosedForm):
    """Multiply the learning rate by gamma every epoch (or step): lr(t) = initial_lr * gamma ** t.

    Args:
        gamma: in (0, 1]; unitless.
    """

    initial_lr: Positive
    gamma: Factor = 0.95

    def formula(self, t: Any) -> Any:
        return self.initial_lr * self.gamma**t
