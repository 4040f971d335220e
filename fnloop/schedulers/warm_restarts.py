"""Cosine annealing with warm restarts."""

from dataclasses import KW_ONLY

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.checks import Factor, NonNegative, Positive, PositiveInt
from fnloop.core.formatting import short
from fnloop.core.records import frozen
from fnloop.schedulers.closed_form import ClosedForm, half_cosine


@frozen
class CosineAnnealingWarmRestarts(ClosedForm):
    """Anneal along half a cosine, and restart at its end.

        lr(t) = eta_min + (initial_lr * decay ** n - eta_min) (1 + cos(pi (t - s_n) / (T_0 T_mult ** n))) / 2

    where cycle n starts at s_n = T_0 (T_mult ** n - 1) / (T_mult - 1), or T_0 n if T_mult is 1. A peak is at least eta_min.

    Args:
        initial_lr: The first learning rate, above 0.
        T_0: Length of the first cycle, in epochs (or steps), at least 1.
        T_mult: Length of each cycle relative to the previous one, an integer of at least 1. Default: 1.
        eta_min: The learning rate at the end of a cycle, in [0, initial_lr]. Default: 0.
        decay: Each peak relative to the previous one, in (0, 1]; unitless. Default: 1.

    Raises:
        ValueError: If a parameter is outside its interval. The message has its name and value.

    Examples:
        >>> CosineAnnealingWarmRestarts(0.1, T_0=10)(15)
        0.05

    Source: Loshchilov & Hutter 2017, SGDR: stochastic gradient descent with warm restarts, equation 5.
    """

    initial_lr: Positive
    T_0: PositiveInt
    _: KW_ONLY
    T_mult: PositiveInt = 1
    eta_min: NonNegative = 0.0
    decay: Factor = 1.0

    def __attrs_post_init__(self) -> None:
        if self.eta_min > self.initial_lr:
            raise ValueError(f"eta_min must be at most initial_lr={short(self.initial_lr)}, got {short(self.eta_min)}")

    def formula(self, t: Array) -> Array:
        """Return the learning rate at t."""
        starts = self._starts(t.max(initial=0.0))
        n = np.searchsorted(starts, t, side="right") - 1.0
        descent = half_cosine((t - starts[n.astype(int)]) / (self.T_0 * float(self.T_mult) ** n))
        peak: Array = np.maximum(self.initial_lr * self.decay**n, self.eta_min)
        return self.eta_min + (peak - self.eta_min) * descent

    def _starts(self, end: float) -> Array:
        """Return the starts of the cycles up to `end`, by integer sums: a logarithm would miss some by rounding."""
        if self.T_mult == 1:
            return np.arange(0.0, end + self.T_0, self.T_0)
        starts = [0]
        while starts[-1] <= end:
            starts.append(starts[-1] + self.T_0 * self.T_mult ** (len(starts) - 1))
        return np.array(starts, np.float64)
