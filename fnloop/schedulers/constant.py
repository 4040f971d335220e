"""A constant learning rate."""

from fnloop.core.arrays import Array
from fnloop.core.checks import Positive
from fnloop.core.records import frozen
from fnloop.schedulers.closed_form import ClosedForm


@frozen
class ConstantLR(ClosedForm):
    """Keep the learning rate constant: lr(t) = initial_lr.

    Args:
        initial_lr: The learning rate, above 0.

    Raises:
        ValueError: If the learning rate is not above 0.

    Examples:
        >>> ConstantLR(0.1)(7)
        0.1
    """

    initial_lr: Positive

    def formula(self, t: Array) -> Array:
        """Return the learning rate at t."""
        return self.initial_lr + 0.0 * t
