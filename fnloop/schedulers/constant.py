"""The learning rate that stays."""

from typing import Any

from fnloop.record import record
from fnloop.schedulers.closed_form import ClosedForm
from fnloop.typing import Positive


@record
class ConstantLR(ClosedForm):
    """Keep the learning rate: lr(t) = initial_lr."""

    initial_lr: Positive

    def formula(self, t: Any) -> Any:
        return self.initial_lr + 0.0 * t
