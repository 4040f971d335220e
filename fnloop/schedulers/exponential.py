"""Exponential decay."""

from fnloop.core.arrays import Array
from fnloop.core.checks import Factor, Positive
from fnloop.core.records import frozen
from fnloop.schedulers.closed_form import ClosedForm


@frozen
class ExponentialLR(ClosedForm):
    """Multiply the learning rate by gamma every epoch (or step): lr(t) = initial_lr * gamma ** t.

    Args:
        initial_lr: The first learning rate, above 0.
        gamma: Factor of each epoch (or step), in (0, 1]; unitless. Default: 0.95.

    Raises:
        ValueError: If a parameter is outside its interval. The message has its name and value.

    Examples:
        >>> ExponentialLR(0.1, gamma=0.5)(1)
        0.05
    """

    initial_lr: Positive
    gamma: Factor = 0.95

    def formula(self, t: Array) -> Array:
        """Return the learning rate at t."""
        return self.initial_lr * self.gamma**t
