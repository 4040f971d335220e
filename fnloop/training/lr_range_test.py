"""The learning-rate range test: training while the learning rate rises, to find a rate at which the loss falls fast."""

import itertools
import math
from collections.abc import Iterator
from typing import Annotated

import numpy as np

from fnloop.core.arrays import Array, read_only
from fnloop.core.checks import Positive, integer, real
from fnloop.core.errors import NoBestError
from fnloop.core.formatting import short
from fnloop.core.records import evolve, frozen
from fnloop.data.batching import Batch, batches_from
from fnloop.data.dataset import Dataset
from fnloop.data.names import Names
from fnloop.schedulers.closed_form import ClosedForm
from fnloop.training.adapt import adapt
from fnloop.training.loop import make_step
from fnloop.training.preparation import prepare
from fnloop.training.state import StopReason, TrainState, epoch_start
from fnloop.training.state_checks import make_plan
from fnloop.training.trainer import Trainer, check_trainer


@frozen
class RisingLR(ClosedForm):
    """Multiply the rate by the same factor at each step.

        lr(t) = min_lr * (max_lr / min_lr) ** (t / (num_iter - 1))

    Args:
        min_lr: The first rate, positive.
        max_lr: The rate at step `num_iter - 1`, above `min_lr`.
        num_iter: Steps, at least 2.
    """

    min_lr: Positive
    max_lr: Positive
    num_iter: Annotated[int, integer(2)]

    def __attrs_post_init__(self) -> None:
        if self.max_lr <= self.min_lr:
            raise ValueError(f"max_lr must be above min_lr={short(self.min_lr)}, got {short(self.max_lr)}")

    def formula(self, t: Array) -> Array:
        """Return the learning rate at t."""
        return self.min_lr * (self.max_lr / self.min_lr) ** (t / (self.num_iter - 1))


@frozen
class LRRange:
    """The result of a learning-rate range test, with an entry for each step that succeeded.

    Args:
        lr: The learning rates.
        loss: The mean loss of the step's batch, before the update.
        smoothed: The smoothed losses.
        stop_reason: A value of `StopReason`: `"finished"`, `"threshold reached"` if the loss rose too far, or `"non-finite"`.

    Shapes:
        lr, loss, smoothed: (steps,).
    """

    lr: Array
    loss: Array
    smoothed: Array
    stop_reason: str

    @property
    def steepest(self) -> int | None:
        """The step at which the smoothed loss falls fastest, up to its minimum; None if it never falls below its first value.

            argmin over i of smoothed[i+1] - smoothed[i-1]        (one-sided and doubled at the ends)

        The steps are equally spaced in log lr, so this is the steepest point of the curve over log lr.
        """
        lowest = int(self.smoothed.argmin()) if len(self.smoothed) else 0
        return int(np.gradient(self.smoothed)[: lowest + 1].argmin()) if lowest else None

    @property
    def suggestion(self) -> float:
        """The learning rate at which the smoothed loss falls fastest.

        Raises:
            NoBestError: If the loss never falls.
        """
        if self.steepest is None:
            raise NoBestError(f"no learning rate can be suggested: the loss did not fall in {len(self.lr)} steps")
        return float(self.lr[self.steepest])


def lr_range_test(
    trainer: Trainer,
    state: TrainState,
    train: Dataset,
    *,
    min_lr: float = 1e-7,
    max_lr: float = 10.0,
    num_iter: int = 100,
    smoothing: float = 0.9,
    diverge_threshold: float = 4.0,
) -> LRRange:
    """Train from a state while the learning rate rises step by step, and record the loss.

        lr_i = min_lr * (max_lr / min_lr) ** (i / (num_iter - 1))
        smoothed_i = sum_j w_ij min(loss_j, cap) / sum_j w_ij            w_ij = smoothing ** |i - j|

    The cap is the largest loss in the first tenth of the steps: how far the loss explodes later does not matter. The weights
    are symmetric, since the minimum of a running mean comes later than that of the loss.

    Batches come in the order of the run, epoch by epoch. State and trainer are unchanged. The trainer's schedule, early
    stopping and `non_finite` are not used: the test ends if the running mean of the loss exceeds `diverge_threshold` times its
    smallest value, or if something is not finite.

    Args:
        trainer: The trainer.
        state: The state to start from, such as `init_state(trainer)`.
        train: The training data.
        min_lr: The first learning rate, positive. Default: `1e-7`.
        max_lr: The last learning rate, above `min_lr`. Default: `10.0`.
        num_iter: Steps, at least 2; they may take several epochs. Default: `100`.
        smoothing: Weight of a neighbouring step, in the smoothed loss and in the running mean, in [0, 1). Default: `0.9`.
        diverge_threshold: The ratio of the running mean to its smallest value that ends the test, above 1. Default: `4.0`.

    Raises:
        TypeError: If trainer, state or data are of another type.
        ValueError: If they do not fit together, a custom function does not work, or a number is outside its interval.

    Examples:
        fl.lr_range_test(trainer, fl.init_state(trainer), data.train).suggestion

    Source: Smith 2017, Cyclical learning rates for training neural networks, section 3.3; the running mean, the threshold and
        the choice of the steepest point as in fastai.

    See Also:
        fnloop.plots.lr_range_test, which draws the result
    """
    schedule = RisingLR(min_lr, max_lr, num_iter)
    smoothing = real("[0, 1)")("smoothing", smoothing)
    threshold = real("(1, inf)")("diverge_threshold", diverge_threshold)
    check_trainer(trainer).check_state(state, "state")
    trainer = evolve(trainer, scheduler=schedule, schedule_every="step", early_stopping=None, non_finite="stop")
    trainer, _, train, *_ = prepare(trainer, train, None, "numpy")
    adapted = adapt(trainer, state, train, False, "state").state
    start = evolve(adapted, scheduler=schedule.init(), stopped=None, names=Names())
    lrs, losses, reason = [], [], StopReason.NON_FINITE
    mean, smallest = 0.0, math.inf
    for i, (lr, loss) in enumerate(_losses(trainer, start, train), start=1):
        lrs.append(lr)
        losses.append(loss)
        mean = smoothing * mean + (1 - smoothing) * loss
        running_mean = mean / (1 - smoothing**i)  # the weights of i losses sum to 1 - smoothing^i
        smallest = min(smallest, running_mean)
        if running_mean > smallest + (threshold - 1) * abs(smallest):  # threshold * smallest, but also for losses below 0
            reason = StopReason.THRESHOLD
            break
        if i == schedule.num_iter:
            reason = StopReason.FINISHED
            break
    return LRRange(
        lr=read_only(np.array(lrs)),
        loss=read_only(np.array(losses)),
        smoothed=read_only(smooth(np.array(losses), smoothing)),
        stop_reason=reason.value,
    )


def smooth(losses: Array, smoothing: float) -> Array:
    """Return the weighted mean of each loss and those around it, as in `lr_range_test`."""
    steps = np.arange(len(losses))
    weights = np.float64(smoothing) ** np.abs(steps[:, None] - steps)
    cap = losses[: max(1, len(losses) // 10)].max() if len(losses) else 0.0
    smoothed: Array = weights @ np.minimum(losses, cap) / weights.sum(1)
    return smoothed


def _losses(trainer: Trainer, state: TrainState, train: Dataset) -> Iterator[tuple[float, float]]:
    """Yield the learning rate and the batch's mean loss of each step from the state, over endless epochs, up to a fault."""
    step, plan, first = make_step(trainer), make_plan(trainer, train), state.progress.batches
    for epoch in itertools.count(state.epoch):
        batches = batches_from(train, plan.examples_per_update, trainer.seed, epoch, first, plan.batches, trainer.dtype)
        for examples in batches:
            # Each step starts with empty sums: the batch's own sum is exact, a difference of the epoch's sums would not be.
            state = step(evolve(state, epoch=epoch, progress=epoch_start(state.lr, first)), Batch(*examples))
            if state.stopped is not None:
                return
            first = state.progress.batches
            yield state.progress.lr, float(state.progress.sums[0]) / state.progress.examples
        first = 0
