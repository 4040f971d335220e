"""The whole of training, in one frozen value."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import numpy as np

from fnloop.core.arrays import Array, read_only
from fnloop.core.display import html_table, one_line, pluralize
from fnloop.core.formatting import short
from fnloop.core.records import evolve, frozen
from fnloop.data.names import Names
from fnloop.nn.model import Params
from fnloop.optimizers import OptimizerState
from fnloop.training.early_stopping import EarlyStoppingState


class StopReason(StrEnum):
    """Why a run ended."""

    FINISHED = "finished"
    NO_IMPROVEMENT = "no improvement"
    NON_FINITE = "non-finite"
    THRESHOLD = "threshold reached"
    TIME = "time budget"
    INTERRUPTED = "interrupted"


@frozen
class Stopped:
    """Where and why training stopped.

    `reason` is a value of `StopReason`; `epoch` and `step` count from 1 and are those in which it stopped: after its last
    step, or at the step that could not be taken. `cause` says what improved no more, or what was not finite.
    """

    reason: str
    epoch: int
    step: int
    cause: str

    def __str__(self) -> str:
        return f"{self.reason} ({self.cause}), in epoch {self.epoch}, step {self.step}"


@frozen
class EpochPlan:
    """What the epoch in progress was begun with: a state within an epoch continues under the same plan only.

    `metrics` are the names of the metrics that are summed.
    """

    examples: int
    examples_per_update: int
    seed: int
    metrics: tuple[str, ...]


@frozen
class EpochProgress:
    """The progress of the current epoch: batches folded, examples seen, and the sums over them of the loss and the metrics.

    `plan` is None at the start of an epoch, and where single steps were taken of data that nobody knows as a whole.
    """

    batches: int
    examples: int
    sums: Array
    lr: float
    plan: EpochPlan | None = None


def epoch_start(lr: float, batches: int = 0) -> EpochProgress:
    """The progress where sums begin anew: no example is seen, and the next step is trained at that learning rate."""
    return EpochProgress(batches, 0, _NO_SUMS, lr)


_NO_SUMS = read_only(np.zeros(0))


@frozen
class TrainState:
    """A state of training: all that the next step depends on, apart from the trainer and the data.

    `epoch` counts finished epochs, `step` the batches folded, `updates` those that moved the parameters. `metrics` are
    those of these very parameters: a state at the end of an epoch has them, the initial state and one within an epoch have
    none, `{}`. `lr` is the learning rate of the next step; that of an epoch is in its metrics. `stopped` says where and why
    training stopped, and is None while it can continue. `loss` names the loss that the metrics are of.
    `names` are the columns and the classes of the training data, if it has any: what features and outputs mean.
    """

    params: Params
    buffers: tuple[Array, ...]
    optimizer: OptimizerState
    scheduler: Any
    early_stopping: EarlyStoppingState
    epoch: int
    step: int
    updates: int
    progress: EpochProgress
    metrics: Mapping[str, float]
    loss: str
    stopped: Stopped | None
    names: Names

    @property
    def lr(self) -> float:
        """The learning rate that the next step is trained at."""
        return self.scheduler.lr  # type: ignore[no-any-return]

    @property
    def stop_reason(self) -> str | None:
        """Why training stopped, a value of `StopReason`, or None while it can continue."""
        return None if self.stopped is None else self.stopped.reason

    def __repr__(self) -> str:
        losses = {name: f"{self.metrics[name]:.4g}" for name in ("loss", "val_loss") if name in self.metrics}
        return one_line("TrainState", self._counts() | losses, pluralize(self.params.vector.size, "parameter"))

    def _repr_html_(self) -> str:
        metrics = {name: f"{value:.4g}" for name, value in self.metrics.items() if name != "lr"}
        return html_table("TrainState", self._counts() | metrics | {"parameters": f"{self.params.vector.size:,}"})

    def _counts(self) -> dict[str, str]:
        stopped = {} if self.stop_reason is None else {"stop_reason": repr(self.stop_reason)}
        return {"epoch": f"{self.epoch}", "step": f"{self.step}", "lr": f"{self.lr:.4g}", **stopped}


def averaged(state: TrainState) -> TrainState:
    """The state with the parameters that its optimizer averaged, for `evaluate`, `predict` and `save`.

    It carries no metrics, since none were measured of the average. The model's buffers, such as the running moments of a batch
    norm, stay those of the parameters before averaging.

    Examples:
        optimizer=chain(AdamW(), ema(0.999)), then fl.evaluate(trainer, fl.averaged(state), data)

    Raises:
        TypeError: If it is not a state.
        ValueError: If the optimizer keeps no average.

    See Also: fnloop.optimizers.ema, fnloop.optimizers.swa
    """
    if not isinstance(state, TrainState):
        raise TypeError(f"state must be a TrainState, got {short(state)}")
    if not state.optimizer.has_average:
        raise ValueError("state must be of an optimizer that ends in ema(...) or swa(start=...), this one keeps no average")
    return evolve(state, params=Params(state.optimizer.slots[-1], state.params.model), metrics={})


def restored(state: TrainState) -> TrainState:
    """The state with the parameters, the buffers and the metrics of the best epoch, which early stopping keeps in it.

    The best epoch is that of the monitored metric, `state.early_stopping.best_epoch`; everything else stays as it is. Where
    the whole stream is at hand, `best` selects from it, by any metric.

    Examples:
        fl.evaluate(trainer, fl.restored(fl.last(fl.epochs(trainer, train, validation))), data)

    Raises:
        TypeError: If it is not a state.
        ValueError: If the state keeps no parameters: without `EarlyStopping(restore_best=True)`, or before any improvement.

    See Also: fnloop.best, fnloop.EarlyStopping
    """
    if not isinstance(state, TrainState):
        raise TypeError(f"state must be a TrainState, got {short(state)}")
    best = state.early_stopping
    if best.best_vector is None:
        raise ValueError(
            "state must keep the parameters of a best epoch, this one keeps none: train with "
            "early_stopping=EarlyStopping(restore_best=True) for an epoch that improves"
        )
    params = Params(best.best_vector, state.params.model)
    return evolve(state, params=params, buffers=best.best_buffers, metrics=best.best_metrics)
