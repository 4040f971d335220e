"""The learning-rate range test: how the loss goes while the rate rises, as a fold that changes nothing."""

import itertools
import math
from collections.abc import Iterator
from typing import Annotated, Any

import numpy as np

from fnloop.core.arrays import Array, read_only
from fnloop.core.checks import Positive, integer, real
from fnloop.core.errors import NoBestError
from fnloop.core.formatting import short
from fnloop.core.records import evolve, frozen
from fnloop.data.batching import Batch, batches_from, count_batches
from fnloop.data.dataset import Dataset
from fnloop.data.names import Names
from fnloop.schedulers.closed_form import ClosedForm
from fnloop.training.adapt import adapt
from fnloop.training.encoding import encode_datasets
from fnloop.training.loop import make_step
from fnloop.training.state import StopReason, TrainState, epoch_start
from fnloop.training.trainer import Trainer, check_trainer


@frozen
class Sweep(ClosedForm):
    """Rise by the same factor every step: lr(t) = min_lr * (max_lr / min_lr) ** (t / (num_iter - 1))."""

    min_lr: Positive
    max_lr: Positive
    num_iter: Annotated[int, integer(2)]

    def __attrs_post_init__(self) -> None:
        if self.max_lr <= self.min_lr:
            raise ValueError(f"max_lr must be above min_lr={short(self.min_lr)}, got {short(self.max_lr)}")

    def formula(self, t: Any) -> Any:
        return self.min_lr * (self.max_lr / self.min_lr) ** (t / (self.num_iter - 1))


@frozen
class LRRange:
    """What a range test saw, a value a step: the rate, the batch's mean loss before its update, and that loss smoothed.

    `stop_reason` is `StopReason`'s "finished", "threshold reached" if the loss rose too far, or "non-finite"; a step that
    could not be taken is left out.
    """

    lr: Array
    loss: Array
    smoothed: Array
    stop_reason: str

    @property
    def steepest(self) -> int | None:
        """The step, up to the smoothed loss's minimum, at which it falls fastest; None if it is nowhere below its first value.

            argmin over i of smoothed[i+1] - smoothed[i-1]        (at the ends of neighbours only, and doubled)

        The steps lie at equal distances in log lr, so this is the steepest point of the curve over log lr.
        """
        lowest = int(self.smoothed.argmin()) if len(self.smoothed) else 0
        return int(np.gradient(self.smoothed)[: lowest + 1].argmin()) if lowest else None

    @property
    def suggestion(self) -> float:
        """The learning rate at the steepest descent.

        Raises: NoBestError: if the loss never falls.
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
    """Train on from a state while the learning rate rises step by step, and see at which rate the loss falls fastest.

        lr_i = min_lr * (max_lr / min_lr) ** (i / (num_iter - 1))
        smoothed_i = sum_j w_ij min(loss_j, start) / sum_j w_ij            w_ij = smoothing ** |i - j|

    where `start` is the largest loss in the first tenth of the steps: how far it explodes does not say where it falls.
    (A running mean, which looks back only, lags behind: its steepest point may lie beyond the minimum of the loss.)

    Batches come in the order of the run, epoch after epoch. State and trainer stay as they are. The trainer's schedule, early
    stopping and answer to non-finite numbers are set aside: the test ends where the running mean of the loss exceeds
    `diverge_threshold` times its smallest value, or something is not finite.

    Args:
        min_lr, max_lr: the first and the last rate, above 0.
        num_iter: steps, at least 2; if they are more than the epoch has, the next epoch follows.
        smoothing: of the smoothed loss and the running mean, in [0, 1); 0 is none.
        diverge_threshold: above 1; unitless.
    Raises: TypeError, ValueError: if trainer, state, data and arguments do not fit together.
    Source: Smith 2017, Cyclical learning rates for training neural networks, section 3.3; the running mean, the threshold and
        the choice of the steepest point as in fastai.
    """
    sweep = Sweep(min_lr, max_lr, num_iter)
    smoothing = real("[0, 1)")("smoothing", smoothing)
    threshold = real("(1, inf)")("diverge_threshold", diverge_threshold)
    check_trainer(trainer).check_state(state, "state")
    trainer = evolve(trainer, scheduler=sweep, schedule_every="step", early_stopping=None, non_finite="stop")
    _, train, _ = encode_datasets(trainer, train, None)
    trainer = trainer.resolve(train)
    trainer.check_data(train, "train")
    state = evolve(adapt(trainer, state, train, False, "state").state, scheduler=sweep.init(), stopped=None, names=Names())
    lrs, losses, reason = [], [], StopReason.NON_FINITE
    mean, smallest = 0.0, math.inf
    for i, (lr, loss) in enumerate(_losses(trainer, state, train), start=1):
        lrs.append(lr)
        losses.append(loss)
        mean = smoothing * mean + (1 - smoothing) * loss
        now = mean / (1 - smoothing**i)  # the weights of i losses sum to 1 - smoothing^i
        smallest = min(smallest, now)
        if now > smallest + (threshold - 1) * abs(smallest):  # threshold * smallest, but for a loss below 0
            reason = StopReason.THRESHOLD
            break
        if i == sweep.num_iter:
            reason = StopReason.FINISHED
            break
    return LRRange(
        read_only(np.array(lrs)), read_only(np.array(losses)), read_only(_smoothed(np.array(losses), smoothing)), reason.value
    )


def _smoothed(loss: Array, smoothing: float) -> Array:
    """The mean of each loss and those around it, as in `lr_range_test`."""
    at = np.arange(len(loss))
    weights = np.float64(smoothing) ** np.abs(at[:, None] - at)
    start = loss[: max(1, len(loss) // 10)].max() if len(loss) else 0.0
    means: Array = weights @ np.minimum(loss, start) / weights.sum(1)
    return means


def _losses(trainer: Trainer, state: TrainState, train: Dataset) -> Iterator[tuple[float, float]]:
    """The rate and the batch's mean loss of each step that can be taken from the state on, in epochs without end."""
    step, size = make_step(trainer), trainer.batch_size * trainer.accumulate
    stop, first = count_batches(train, size), state.progress.batches
    for epoch in itertools.count(state.epoch):
        for examples in batches_from(train, size, trainer.seed, epoch, first, stop, trainer.dtype):
            # Sums are begun anew for each step: they are the batch's own to the last digit, no difference of large numbers.
            state = step(evolve(state, epoch=epoch, progress=epoch_start(state.lr, first)), Batch(*examples))
            if state.stopped is not None:
                return
            first = state.progress.batches
            yield state.progress.lr, float(state.progress.sums[0]) / state.progress.examples
        first = 0
