"""The whole of training, in one frozen value."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from fnloop.early_stopping import EarlyStoppingState
from fnloop.optimizers import OptimizerState
from fnloop.parameters import Params
from fnloop.record import evolve, owned, record
from fnloop.short import short
from fnloop.shown import counted, line, table
from fnloop.typing import Array


@record
class Running:
    """How far the current epoch is: batches folded, examples seen, and the sums over them of the loss and the metrics."""

    batches: int
    examples: int
    sums: Array
    lr: float


def begun(lr: float, batches: int = 0) -> Running:
    """Where sums begin anew: no examples are seen, and the next step is trained at that rate."""
    return Running(batches, 0, _NO_SUMS, lr)


_NO_SUMS = owned(np.zeros(0))


@record
class TrainState:
    """A state of training: all that the next step depends on, beside the trainer and the data.

    `epoch` counts finished epochs, `step` all batches folded; `metrics` are those of the last finished epoch, `{}` before the
    first. The learning rate of the next step is `lr`; the one that an epoch was trained at is in its metrics.
    """

    params: Params
    buffers: tuple[Array, ...]
    optimizer: OptimizerState
    scheduler: Any
    early_stopping: EarlyStoppingState
    epoch: int
    step: int
    running: Running
    metrics: Mapping[str, float]

    @property
    def lr(self) -> float:
        """The learning rate that the next step is trained at."""
        return self.scheduler.lr  # type: ignore[no-any-return]

    @property
    def stop_reason(self) -> str | None:
        """Why the run stopped, or None while it goes on."""
        return self.early_stopping.reason

    def __repr__(self) -> str:
        losses = {name: f"{self.metrics[name]:.4g}" for name in ("loss", "val_loss") if name in self.metrics}
        return line("TrainState", self._counts() | losses, counted(self.params.vector.size, "parameter"))

    def _repr_html_(self) -> str:
        metrics = {name: f"{value:.4g}" for name, value in self.metrics.items() if name != "lr"}
        return table("TrainState", self._counts() | metrics | {"parameters": f"{self.params.vector.size:,}"})

    def _counts(self) -> dict[str, str]:
        stopped = {} if self.stop_reason is None else {"stop_reason": repr(self.stop_reason)}
        return {"epoch": f"{self.epoch}", "step": f"{self.step}", "lr": f"{self.lr:.4g}", **stopped}


def averaged(state: TrainState) -> TrainState:
    """The state with the parameters that its optimizer averaged, for `evaluate`, `predict` and `save`.

    The model's buffers, such as the running moments of a batch norm, stay those of the parameters before averaging.

    Examples:
        optimizer=chain(AdamW(), ema(0.999)), then fl.evaluate(trainer, fl.averaged(state), data)
    Raises: TypeError: for what is no state; ValueError: if the optimizer keeps no average.
    See Also: fnloop.optimizers.ema, fnloop.optimizers.swa
    """
    if not isinstance(state, TrainState):
        raise TypeError(f"state must be a TrainState, got {short(state)}")
    if not state.optimizer.averaged:
        raise ValueError("state must be of an optimizer that ends in ema(...) or swa(start=...), this one keeps no average")
    return evolve(state, params=Params(state.optimizer.slots[-1], state.params.model))
