"""One rise to a high learning rate and one descent far below where it began."""

from dataclasses import KW_ONLY
from typing import Annotated, Any

import numpy as np

from fnloop.core.checks import Positive, PositiveInt, choice, real
from fnloop.core.records import frozen
from fnloop.schedulers.closed_form import ClosedForm, fraction, half_cosine, interpolate


@frozen
class OneCycleLR(ClosedForm):
    """Rise from max_lr / div_factor to max_lr, descend to max_lr / div_factor / final_div_factor, then stay.

    The rise ends at t = max(0, pct_start * total_steps - 1), the descent at t = total_steps - 1; both go along half a cosine
    (`anneal_strategy="cos"`) or a straight line (`"linear"`).

    Args:
        max_lr: the peak, above 0.
        total_steps: length of the cycle, in what is scheduled (epochs or steps); at least 1.
        pct_start: the rise's share of the cycle, in [0, 1].
        div_factor, final_div_factor: above 0; unitless.
    Source: Smith & Topin 2018, Super-convergence, as two phases.
    """

    max_lr: Positive
    total_steps: PositiveInt
    _: KW_ONLY
    pct_start: Annotated[float, real("[0, 1]")] = 0.3
    anneal_strategy: Annotated[str, choice("cos", "linear")] = "cos"
    div_factor: Positive = 25.0
    final_div_factor: Positive = 1e4

    def formula(self, t: Any) -> Any:
        top, end = max(0.0, self.pct_start * self.total_steps - 1), self.total_steps - 1
        first, last = self.max_lr / self.div_factor, self.max_lr / self.div_factor / self.final_div_factor
        up, down = fraction(t, top), fraction(t - top, end - top)
        if self.anneal_strategy == "cos":
            up, down = 1 - half_cosine(up), 1 - half_cosine(down)
        return np.where(t <= top, interpolate(first, self.max_lr, up), interpolate(self.max_lr, last, down))
