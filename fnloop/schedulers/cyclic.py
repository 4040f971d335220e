"""Cycles between two learning rates."""

from dataclasses import KW_ONLY
from typing import Annotated

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.checks import Factor, Positive, PositiveInt, choice
from fnloop.core.formatting import short
from fnloop.core.records import frozen
from fnloop.schedulers.closed_form import ClosedForm

Policy = Annotated[str, choice("triangular", "triangular2", "exp_range")]


@frozen
class CyclicLR(ClosedForm):
    """Cycle between the initial learning rate and max_lr.

        lr(t) = initial_lr + (max_lr - initial_lr) * wave(t) * height(t)

    The wave is linear, from 0 to 1 in step_size_up and back to 0 in step_size_down. The height is 1 (`"triangular"`),
    2 ** -cycle (`"triangular2"`), or gamma ** t (`"exp_range"`).

    Args:
        initial_lr: The lowest learning rate, above 0.
        max_lr: The highest learning rate, at least initial_lr.
        step_size_up: Length of a rise, in epochs (or steps), at least 1. Default: 2000.
        step_size_down: Length of a descent, in epochs (or steps), at least 1. Default: 2000.
        mode: `"triangular"`, `"triangular2"` or `"exp_range"`. Default: `"triangular"`.
        gamma: Factor of the height at each t for `"exp_range"`, in (0, 1]; unitless. Default: 1.

    Raises:
        ValueError: If a parameter is outside its interval. The message has its name and value.

    Examples:
        >>> [CyclicLR(0.25, 0.75, step_size_up=2, step_size_down=2)(t) for t in range(5)]
        [0.25, 0.5, 0.75, 0.5, 0.25]

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

    def formula(self, t: Array) -> Array:
        """Return the learning rate at t."""
        up, down = self.step_size_up, self.step_size_down
        cycle, position = np.divmod(t, up + down)
        wave = np.where(position <= up, position / up, (up + down - position) / down)
        heights: dict[str, float | Array] = {"triangular": 1.0, "triangular2": 0.5**cycle, "exp_range": self.gamma**t}
        return self.initial_lr + (self.max_lr - self.initial_lr) * wave * heights[self.mode]
