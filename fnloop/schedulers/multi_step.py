"""Step decay at given epochs (or steps)."""

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.checks import Factor, Positive, Times
from fnloop.core.records import frozen
from fnloop.schedulers.closed_form import ClosedForm


@frozen
class MultiStepLR(ClosedForm):
    """Multiply the learning rate by gamma at each milestone: lr(t) = initial_lr * gamma ** #{m in milestones: m <= t}.

    Args:
        initial_lr: The first learning rate, above 0.
        milestones: Epochs (or steps) in ascending order; a repeated one counts twice.
        gamma: Factor at each milestone, in (0, 1]; unitless. Default: 0.1.

    Raises:
        ValueError: If a parameter is outside its interval. The message has its name and value.

    Examples:
        >>> [MultiStepLR(0.1, [2, 3], gamma=0.5)(t) for t in range(4)]
        [0.1, 0.1, 0.05, 0.025]
    """

    initial_lr: Positive
    milestones: Times
    gamma: Factor = 0.1

    def formula(self, t: Array) -> Array:
        """Return the learning rate at t."""
        return self.initial_lr * self.gamma ** np.searchsorted(self.milestones, t, side="right").astype(np.float64)
