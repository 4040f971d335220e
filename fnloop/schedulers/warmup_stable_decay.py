"""Warm-up, a constant phase, and decay."""

from typing import Annotated

import numpy as np

from fnloop.core.arrays import Array
from fnloop.core.checks import Count, NonNegative, Positive, choice
from fnloop.core.formatting import short
from fnloop.core.records import frozen
from fnloop.schedulers.closed_form import ClosedForm, fraction, half_cosine


@frozen
class WarmupStableDecayLR(ClosedForm):
    """Increase the learning rate linearly from 0 to initial_lr, keep it, decrease it to min_lr, then keep that.

    Args:
        initial_lr: The learning rate of the constant phase, above 0.
        warmup: Length of the warm-up, in epochs (or steps); 0 is none.
        stable: Length of the constant phase, in epochs (or steps); 0 is none.
        decay: Length of the decay, in epochs (or steps); 0 is none.
        min_lr: The last learning rate, in [0, initial_lr]. Default: 0.
        anneal_strategy: Shape of the decay: `"linear"`, `"cos"`, or `"sqrt"`, whose remaining height is 1 - sqrt(x) after a
            fraction x of the decay. Default: `"linear"`.

    Raises:
        ValueError: If a parameter is outside its interval. The message has its name and value.

    Examples:
        >>> [WarmupStableDecayLR(0.1, warmup=2, stable=2, decay=2)(t) for t in range(7)]
        [0.0, 0.05, 0.1, 0.1, 0.1, 0.05, 0.0]

    Source: Hu et al. 2024, MiniCPM: unveiling the potential of small language models, section 4; `"sqrt"`: Hägele et al. 2024,
        Scaling laws and compute-optimal training beyond fixed training durations.
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

    def formula(self, t: Array) -> Array:
        """Return the learning rate at t."""
        x = fraction(t - self.warmup - self.stable, self.decay)
        left = {"linear": 1 - x, "cos": half_cosine(x), "sqrt": 1 - np.sqrt(x)}[self.anneal_strategy]
        descent = self.min_lr + (self.initial_lr - self.min_lr) * left
        return np.where(t < self.warmup, self.initial_lr * fraction(t, self.warmup), descent)
