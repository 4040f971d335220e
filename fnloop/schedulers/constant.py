"""The learning rate that stays."""

from typing import Any

from fnloop.core.checks import Positive
from fnloop.core.records import frozen
from fnloop.schedulers.closed_form import ClosedForm


@frozen
class ConstantLR(ClosedForm):
    """Keep the learning rate: lr(t) = initial_lr."""

    initial_lr: Positive

    def formula(self, t: Any) -> Any:
        return self.initial_lr + 0.0 * t
