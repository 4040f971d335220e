"""Cosine annealing."""

from fnloop.core.arrays import Array
from fnloop.core.checks import NonNegative, Positive, PositiveInt
from fnloop.core.formatting import short
from fnloop.core.records import frozen
from fnloop.schedulers.closed_form import ClosedForm, fraction, half_cosine


@frozen
class CosineAnnealingLR(ClosedForm):
    """Anneal the learning rate along half a cosine, then keep the last rate.

        lr(t) = eta_min + (initial_lr - eta_min) (1 + cos(pi t / T_max)) / 2   for t <= T_max, then eta_min

    Args:
        initial_lr: The first learning rate, above 0.
        T_max: Length of the descent, in epochs (or steps), at least 1.
        eta_min: The last learning rate, in [0, initial_lr]. Default: 0.

    Raises:
        ValueError: If a parameter is outside its interval. The message has its name and value.

    Examples:
        >>> CosineAnnealingLR(0.1, T_max=10)(5)
        0.05

    Source: Loshchilov & Hutter 2017, SGDR: stochastic gradient descent with warm restarts, equation 5, without restarts.
    """

    initial_lr: Positive
    T_max: PositiveInt
    eta_min: NonNegative = 0.0

    def __attrs_post_init__(self) -> None:
        if self.eta_min > self.initial_lr:
            raise ValueError(f"eta_min must be at most initial_lr={short(self.initial_lr)}, got {short(self.eta_min)}")

    def formula(self, t: Array) -> Array:
        """Return the learning rate at t."""
        return self.eta_min + (self.initial_lr - self.eta_min) * half_cosine(fraction(t, self.T_max))
