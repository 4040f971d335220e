"""Step decay."""

from fnloop.core.arrays import Array
from fnloop.core.checks import Factor, Positive, PositiveInt
from fnloop.core.records import frozen
from fnloop.schedulers.closed_form import ClosedForm


@frozen
class StepLR(ClosedForm):
    """Multiply the learning rate by gamma every `step_size` epochs (or steps).

        lr(t) = initial_lr * gamma ** (t // step_size)

    Args:
        initial_lr: The first learning rate, above 0.
        step_size: Epochs (or steps) between two reductions, at least 1.
        gamma: Factor of a reduction, in (0, 1]; unitless. Default: 0.1.

    Raises:
        ValueError: If a parameter is outside its interval. The message has its name and value.

    Examples:
        >>> [StepLR(0.1, step_size=2, gamma=0.5)(t) for t in range(4)]
        [0.1, 0.1, 0.05, 0.05]
    """

    initial_lr: Positive
    step_size: PositiveInt
    gamma: Factor = 0.1

    def formula(self, t: Array) -> Array:
        """Return the learning rate at t."""
        return self.initial_lr * self.gamma ** (t // self.step_size)
