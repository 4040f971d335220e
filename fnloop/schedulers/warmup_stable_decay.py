"""Up, along, and down."""

from typing import Annotated, Any

import numpy as np

from fnloop.core.checks import Count, NonNegative, Positive, choice
from fnloop.core.formatting import short
from fnloop.core.records import frozen
from fnloop.schedulers.closed_form import ClosedForm, fraction, half_cosine


@frozen
class WarmupStableDecayLR(ClosedForm):
    """Rise in a straight line from 0 to the initial learning rate, keep it, then descend to min_lr and stay.

    Args:
        warmup, stable, decay: lengths of the three phases, in what is scheduled (epochs or steps); each may be 0.
        anneal_strategy: `"linear"`, `"cos"`, or `"sqrt"`, where 1 - sqrt(x) is what is left of the way at x in [0, 1].
    Source: Hu et al. 2024, MiniCPM, section 4; the form `"sqrt"` is of Hägele et al. 2024, Scaling laws and compute-optimal
        training beyond fixed training durations.
    """

    initial_lr: Positive
    warmup: Count
    stable: Count
    decay: Count
    min_lr: NonNegative = 0.0
    anneal_strategy: Annotated[str, choice("linear", "cos", "sqrt")] = "linear"

    def __attrs_post_init__(self) -> None:
        if self.min_lr > self.initial_lr:
            raise ValueError(f"min_lr must be at most initial_lr={short(self.initial_lr)}, got {short(self.min_lr)}")

    def formula(self, t: Any) -> Any:
        x = fraction(t - self.warmup - self.stable, self.decay)
        left = {"linear": 1 - x, "cos": half_cosine(x), "sqrt": 1 - np.sqrt(x)}[self.anneal_strategy]
        descent = self.min_lr + (self.initial_lr - self.min_lr) * left
        return np.where(t < self.warmup, self.initial_lr * fraction(t, self.warmup), descent)
