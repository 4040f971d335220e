"""Decay by stairs."""

from typing import Any

from fnloop.core.checks import Factor, Positive, PositiveInt
from fnloop.core.records import frozen
from fnloop.schedulers.closed_form import ClosedForm


@frozen
class StepLR(ClosedForm):
    """Multiply the learning rate by gamma every `step_size` epochs (or steps).

        lr(t) = initial_lr * gamma ** (t // step_size)

    Args:
        step_size: length of a stair, in what is scheduled (epochs or steps); at least 1.
        gamma: in (0, 1]; unitless.
    """

    initial_lr: Positive
    step_size: PositiveInt
    gamma: Factor = 0.1

    def formula(self, t: Any) -> Any:
        return self.initial_lr * self.gamma ** (t // self.step_size)
