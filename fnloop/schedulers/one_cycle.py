"""One cycle: a rise to a high learning rate, then a descent far below the first rate."""

from dataclasses import KW_ONLY
from typing import Annotated

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.checks import Positive, PositiveInt, choice, real
from fnloop.core.records import frozen
from fnloop.schedulers.closed_form import ClosedForm, fraction, half_cosine, interpolate


@frozen
class OneCycleLR(ClosedForm):
    """Increase the learning rate from max_lr / div_factor to max_lr, then decrease it far below the first rate.

    The rise ends at t = max(0, pct_start * total_steps - 1). The descent ends at t = total_steps - 1, with the rate
    max_lr / div_factor / final_div_factor, which then stays.

    Args:
        max_lr: The highest learning rate, above 0.
        total_steps: Length of the cycle, in epochs (or steps), at least 1.
        pct_start: Fraction of the cycle that the rise takes, in [0, 1]. Default: 0.3.
        anneal_strategy: Shape of rise and descent: `"cos"`, half a cosine, or `"linear"`. Default: `"cos"`.
        div_factor: Ratio of the highest and the first rate, above 0; unitless. Default: 25.
        final_div_factor: Ratio of the first and the last rate, above 0; unitless. Default: 1e4.

    Raises:
        ValueError: If a parameter is outside its interval. The message has its name and value.

    Examples:
        >>> OneCycleLR(0.1, total_steps=100)(29)
        0.1

    Source: Smith & Topin 2018, Super-convergence: very fast training of neural networks using large learning rates, as two
        phases.
    """

    max_lr: Positive
    total_steps: PositiveInt
    _: KW_ONLY
    pct_start: Annotated[float, real("[0, 1]")] = 0.3
    anneal_strategy: Annotated[str, choice("cos", "linear")] = "cos"
    div_factor: Positive = 25.0
    final_div_factor: Positive = 1e4

    def formula(self, t: Array) -> Array:
        """Return the learning rate at t."""
        top, end = max(0.0, self.pct_start * self.total_steps - 1), self.total_steps - 1
        first, last = self.max_lr / self.div_factor, self.max_lr / self.div_factor / self.final_div_factor
        up, down = fraction(t, top), fraction(t - top, end - top)
        if self.anneal_strategy == "cos":
            up, down = 1 - half_cosine(up), 1 - half_cosine(down)
        return np.where(t <= top, interpolate(first, self.max_lr, up), interpolate(self.max_lr, last, down))
