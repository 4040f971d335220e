"""Linear and polynomial schedules."""

from dataclasses import KW_ONLY

from fnloop.core.arrays import Array
from fnloop.core.checks import Count, NonNegative, Positive
from fnloop.core.records import frozen
from fnloop.schedulers.closed_form import ClosedForm, fraction, interpolate


@frozen
class LinearLR(ClosedForm):
    """Change the learning rate linearly between two factors, then keep it constant.

        lr(t) = initial_lr * (start_factor + (end_factor - start_factor) * min(t / total_iters, 1))

    Args:
        initial_lr: The learning rate that the factors multiply, above 0.
        total_iters: Length of the change, in epochs (or steps); at 0 the rate is the last one from the start. Default: 5.
        start_factor: First factor, at least 0; unitless. Default: 1/3.
        end_factor: Last factor, at least 0; unitless. Default: 1.

    Raises:
        ValueError: If a parameter is outside its interval. The message has its name and value.

    Examples:
        >>> LinearLR(0.1, total_iters=4, start_factor=1.0, end_factor=0.0)(2)
        0.05
    """

    initial_lr: Positive
    _: KW_ONLY
    total_iters: Count = 5
    start_factor: NonNegative = 1 / 3
    end_factor: NonNegative = 1.0

    def formula(self, t: Array) -> Array:
        """Return the learning rate at t."""
        return self.initial_lr * interpolate(self.start_factor, self.end_factor, fraction(t, self.total_iters))


@frozen
class PolynomialLR(ClosedForm):
    """Decay by a power of the remaining time, then keep the last rate.

        lr(t) = end_lr + (initial_lr - end_lr) * (1 - min(t / total_iters, 1)) ** power

    Args:
        initial_lr: The first learning rate, above 0.
        total_iters: Length of the decay, in epochs (or steps); at 0 the rate is the last one from the start.
        power: Exponent, above 0. Default: 1, a linear decay.
        end_lr: The last learning rate, at least 0. Default: 0.

    Raises:
        ValueError: If a parameter is outside its interval. The message has its name and value.

    Examples:
        >>> PolynomialLR(0.1, total_iters=4)(2)
        0.05
    """

    initial_lr: Positive
    total_iters: Count
    _: KW_ONLY
    power: Positive = 1.0
    end_lr: NonNegative = 0.0

    def formula(self, t: Array) -> Array:
        """Return the learning rate at t."""
        return interpolate(self.end_lr, self.initial_lr, (1 - fraction(t, self.total_iters)) ** self.power)
