"""A straight line, or a power of one, between two learning rates."""

from dataclasses import KW_ONLY
from typing import Any

from fnloop.core.checks import Count, NonNegative, Positive
from fnloop.core.records import frozen
from fnloop.schedulers.closed_form import ClosedForm, fraction, interpolate


@frozen
class LinearLR(ClosedForm):
    """Go in a straight line from a first to a last factor of the learning rate, then stay.

        lr(t) = initial_lr * (start_factor + (end_factor - start_factor) * min(t / total_iters, 1))

    Args:
        total_iters: length of the way, in what is scheduled (epochs or steps); at 0 the end is there at once.
        start_factor, end_factor: at least 0; unitless.
    """

    initial_lr: Positive
    _: KW_ONLY
    total_iters: Count = 5
    start_factor: NonNegative = 1 / 3
    end_factor: NonNegative = 1.0

    def formula(self, t: Any) -> Any:
        return self.initial_lr * interpolate(self.start_factor, self.end_factor, fraction(t, self.total_iters))


@frozen
class PolynomialLR(ClosedForm):
    """Decay along a power of a straight line, then stay.

        lr(t) = end_lr + (initial_lr - end_lr) * (1 - min(t / total_iters, 1)) ** power

    Args:
        total_iters: length of the descent, in what is scheduled (epochs or steps); at 0 the end is there at once.
        power: above 0; 1 is a straight line.
        end_lr: where it ends, at least 0.
    """

    initial_lr: Positive
    total_iters: Count
    _: KW_ONLY
    power: Positive = 1.0
    end_lr: NonNegative = 0.0

    def formula(self, t: Any) -> Any:
        return interpolate(self.end_lr, self.initial_lr, (1 - fraction(t, self.total_iters)) ** self.power)
