"""Up and down between two learning rates."""

from dataclasses import KW_ONLY
from typing import Annotated, Any

import numpy as np

from fnloop.core.checks import Factor, Positive, PositiveInt, choice
from fnloop.core.formatting import short
from fnloop.core.records import frozen
from fnloop.schedulers.closed_form import ClosedForm

Policy = Annotated[str, choice("triangular", "triangular2", "exp_range")]


@frozen
class CyclicLR(ClosedForm):
    """Go up from the initial learning rate to max_lr and down again, for ever.

        lr(t) = initial_lr + (max_lr - initial_lr) * wave(t) * height(t)

    The wave goes in straight lines from 0 up to 1 in step_size_up and down to 0 in step_size_down; the height is 1
    (`"triangular"`), 2 ** -cycle (`"triangular2"`), or gamma ** t (`"exp_range"`).

    Args:
        max_lr: at least initial_lr.
        step_size_up, step_size_down: in what is scheduled (epochs or steps); at least 1.
    Source: Smith 2017, Cyclical learning rates for training neural networks.
    """

    initial_lr: Positive
    max_lr: Positive
    _: KW_ONLY
    step_size_up: PositiveInt = 2000
    step_size_down: PositiveInt = 2000
    mode: Policy = "triangular"
    gamma: Factor = 1.0

    def __attrs_post_init__(self) -> None:
        if self.max_lr < self.initial_lr:
            raise ValueError(f"max_lr must be at least initial_lr={short(self.initial_lr)}, got {short(self.max_lr)}")

    def formula(self, t: Any) -> Any:
        up, down = self.step_size_up, self.step_size_down
        cycle, at = np.divmod(t, up + down)
        wave = np.where(at <= up, at / up, (up + down - at) / down)
        height = {"triangular": 1.0, "triangular2": 0.5**cycle, "exp_range": self.gamma**t}[self.mode]
        return self.initial_lr + (self.max_lr - self.initial_lr) * wave * height
