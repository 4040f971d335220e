"""Decay by stairs at given times."""

from typing import Any

import numpy as np

from fnloop.core.checks import Factor, Positive, Times
from fnloop.core.records import frozen
from fnloop.schedulers.closed_form import ClosedForm


@frozen
class MultiStepLR(ClosedForm):
    """Multiply the learning rate by gamma at each milestone: lr(t) = initial_lr * gamma ** #{m in milestones: m <= t}.

    Args:
        milestones: ascending, in what is scheduled (epochs or steps); one that stands twice counts twice.
        gamma: in (0, 1]; unitless.
    """

    initial_lr: Positive
    milestones: Times
    gamma: Factor = 0.1

    def formula(self, t: Any) -> Any:
        return self.initial_lr * self.gamma ** np.searchsorted(self.milestones, t, side="right").astype(np.float64)
