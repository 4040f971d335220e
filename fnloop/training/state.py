"""The state of training as one frozen value."""

from collections.abc import Mapping
from enum import StrEnum

import numpy as np

from fnloop.core.arrays import Array, read_only
from fnloop.core.display import html_table, one_line, pluralize
from fnloop.core.formatting import short
from fnloop.core.records import evolve, frozen
from fnloop.data.names import Names
from fnloop.nn.model import Params
from fnloop.optimizers import OptimizerState
from fnloop.schedulers import LearningRateState
from fnloop.training.early_stopping import EarlyStoppingState


class StopReason(StrEnum):
    """Why a run stopped."""

    FINISHED = "finished"
    NO_IMPROVEMENT = "no improvement"
    NON_FINITE = "non-finite"
    THRESHOLD = "threshold reached"
    TIME = "time budget"
    INTERRUPTED = "interrupted"


@frozen
class Stopped:
    """Where and why training stopped.

    Args:
        reason: A value of `StopReason`.
        epoch: The epoch in which it stopped, from 1.
        step: The last step, from 1, or the step that failed.
        cause: The metric that no longer improved, or the value that was not finite.
    """

    reason: str
    epoch: int
    step: int
    cause: str

    def __str__(self) -> str:
        return f"{self.reason} ({self.cause}), in epoch {self.epoch}, step {self.step}"


@frozen
class EpochPlan:
    """The settings of an epoch in progress: a state within an epoch can be continued only with an equal plan.

    Args:
        examples: Examples in the epoch.
        examples_per_update: Examples in one update, over all accumulated batches.
        seed: Seed of the order of the examples.
        metrics: Names of the metrics that are summed.
    """

    examples: int
    examples_per_update: int
    seed: int
    metrics: tuple[str, ...]

    @property
    def batches(self) -> int:
        """The number of batches in the epoch, one for each update."""
        return -(-self.examples // self.examples_per_update)


@frozen
class EpochProgress:
    """The progress within the current epoch.

    Args:
        batches: Batches so far.
        examples: Examples so far.
        sums: Sums over these examples of the loss and the metrics; empty at the start of an epoch.
        lr: Learning rate of the last step.
        plan: The plan of the epoch. None at its start, and after single steps of `make_step`, which sees no whole dataset.
    """

    batches: int
    examples: int
    sums: Array
    lr: float
    plan: EpochPlan | None = None


def epoch_start(lr: float, batches: int = 0) -> EpochProgress:
    """Return the progress with empty sums, as at the start of an epoch.

    Args:
        lr: Learning rate of the next step.
        batches: Batches of the epoch that the sums leave out. Default: 0.
    """
    return EpochProgress(batches=batches, examples=0, sums=_NO_SUMS, lr=lr)


_NO_SUMS = read_only(np.zeros(0))


@frozen
class TrainState:
    """A state of training: everything that the next step depends on, apart from the trainer and the data.

    Args:
        params: The parameters: `params.vector`, (P,), and views into it by layer, `params.layers`.
        buffers: The model's arrays that are not parameters, such as running moments.
        optimizer: The state of the optimizer.
        scheduler: The state of the schedule.
        early_stopping: The progress of early stopping.
        epoch: Completed epochs.
        step: Batches processed.
        updates: Updates of the parameters: without the batches that were skipped.
        progress: The progress within the current epoch.
        metrics: The metrics at the end of an epoch, with its learning rate as `"lr"`; empty for the initial state and within
            an epoch.
        loss: The loss that the metrics are of.
        stopped: Where and why training stopped; None while it can continue.
        names: The columns and classes of the training data, if it has any.
    """

    params: Params
    buffers: tuple[Array, ...]
    optimizer: OptimizerState
    scheduler: LearningRateState
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
        """The learning rate of the next step; that of an epoch is in its metrics."""
        return self.scheduler.lr

    @property
    def stop_reason(self) -> str | None:
        """Why training stopped, a value of `StopReason`; None while it can continue."""
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
    """Return the state with the averaged parameters of its optimizer, for `evaluate`, `predict` and `save`.

    Its metrics are empty, since none were measured for the average. The model's buffers, such as the running moments of batch
    norm, are unchanged: those of the parameters before averaging.

    Args:
        state: A state whose optimizer ends in `ema` or `swa`.

    Raises:
        TypeError: If it is not a state.
        ValueError: If the optimizer keeps no average.

    Examples:
        >>> import fnloop as fl
        >>> from fnloop.optimizers import AdamW, chain, ema
        >>> trainer = fl.Trainer(model=fl.mlp([3, 1]), loss="mse", optimizer=chain(AdamW(), ema(0.999)))
        >>> fl.averaged(fl.init_state(trainer))
        TrainState(epoch=0, step=0, lr=0.001, 4 parameters)

    See Also:
        `fnloop.optimizers.ema`, `fnloop.optimizers.swa`
    """
    if not isinstance(state, TrainState):
        raise TypeError(f"state must be a TrainState, got {short(state)}")
    if not state.optimizer.has_average:
        raise ValueError("state must be of an optimizer that ends in ema(...) or swa(start=...), this one keeps no average")
    return evolve(state, params=Params(state.optimizer.slots[-1], state.params.model), metrics={})


def restored(state: TrainState) -> TrainState:
    """Return the state with the parameters, buffers and metrics of the best epoch, which early stopping keeps in it.

    The best epoch is `state.early_stopping.best_epoch`, by the monitored metric. Everything else is unchanged. `best` selects
    from a whole stream, by any metric.

    Args:
        state: A state of a trainer with `EarlyStopping(restore_best=True)`.

    Raises:
        TypeError: If it is not a state.
        ValueError: If the state keeps no parameters: without `restore_best`, or before the first improvement.

    Examples:
        >>> import fnloop as fl
        >>> data = fl.datasets.lab()
        >>> trainer = fl.Trainer(model=fl.mlp([10, 1]), loss="bce", early_stopping=fl.EarlyStopping("loss", patience=1))
        >>> state = fl.last(fl.epochs(trainer, data.train))
        >>> fl.restored(state).metrics["loss"] == state.early_stopping.best
        True

    See Also:
        `fnloop.best`, `fnloop.EarlyStopping`
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
