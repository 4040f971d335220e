"""Half a cosine from the initial learning rate down to the smallest."""

from typing import Any

from fnloop.core.checks import NonNegative, Positive, PositiveInt
from fnloop.core.formatting import short
from fnloop.core.records import frozen
from fnloop.schedulers.closed_form import ClosedForm, fraction, half_cosine


@frozen
class CosineAnnealingLR(ClosedForm):
    """Anneal the learning rate along half a cosine, then stay at its end.

        lr(t) = eta_min + (initial_lr - eta_min) (1 + cos(pi t / T_max)) / 2   for t <= T_max, then eta_min

    Args:
        T_max: length of the descent, in what is scheduled (epochs or steps); at least 1.
        eta_min: where it ends, in [0, initial_lr].
    Source: Loshchilov & Hutter 2017, SGDR, equation 5, without restarts.
    """

    initial_lr: Positive
    T_max: PositiveInt
    eta_min: NonNegative = 0.0

    def __attrs_post_init__(self) -> None:
        if self.eta_min > self.initial_lr:
            raise ValueError(f"eta_min must be at most initial_lr={short(self.initial_lr)}, got {short(self.eta_min)}")

    def formula(self, t: Any) -> Any:
        return self.eta_min + (self.initial_lr - self.eta_min) * half_cosine(fraction(t, self.T_max))
