"""The result of `fit`."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from fnloop.core.arrays import Array
from fnloop.core.checks import Mode
from fnloop.core.display import html_table, one_line
from fnloop.core.errors import NoBestError
from fnloop.core.formatting import short
from fnloop.core.records import frozen
from fnloop.data.dataset import Dataset
from fnloop.training.evaluation import evaluate, predict, predict_proba
from fnloop.training.state import TrainState
from fnloop.training.trainer import Trainer

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@frozen
class Fit:
    """The result of `fit`.

    `predict`, `predict_proba` and `evaluate` use the best state.

    Args:
        trainer: The trainer, with everything that depends on the training data resolved.
        last: The last state of the run.
        metrics: Each metric, `lr` (the learning rate that was used) and `seconds`, with one value for each epoch.
        stop_reason: Why the run ended; a value of `StopReason`.
        monitor: Name of the metric that selects the best state.
        best_state: The best state, or None if no state qualifies, as when the first epoch was not finite.
        loss_scale: What a gap between two losses is compared with: 1 for a classification loss, otherwise the loss of a
            constant prediction, in the units of the loss; NaN if unknown.
        record_failure: Why recording ended before the run; None if it did not.

    See Also:
        `fit`
    """

    trainer: Trainer
    last: TrainState
    metrics: Mapping[str, tuple[float, ...]]
    stop_reason: str
    monitor: str
    best_state: TrainState | None
    loss_scale: float = math.nan
    record_failure: str | None = None

    @property
    def history(self) -> dict[str, list[float]]:
        """The metrics as lists, for `pandas.DataFrame` and `json.dumps`: a copy.

        `json.dumps` writes NaN and infinity as `NaN` and `Infinity`, which Python reads, but which are not standard JSON.
        """
        return {name: list(values) for name, values in self.metrics.items()}

    @property
    def best(self) -> TrainState:
        """The state with the best value of the monitored metric.

        Raises:
            NoBestError: If no state qualifies, as when the first epoch was not finite.
        """
        if self.best_state is None:
            raise NoBestError(f"there is no best state by {short(self.monitor)}; the run ended: {self.stop_reason}")
        return self.best_state

    def predict(self, x: Array, *, engine: str = "numpy") -> Array:
        """Return the predictions of the best state: class labels (N,), or values (N,) or (N, K); see `fnloop.predict`.

        Args:
            x: The features, (N, D), as an array, list or frame, or a `Dataset`.
            engine: `"numpy"` (the default) or `"jax"`.

        Raises:
            NoBestError: If there is no best state.
            ValueError: If x does not match the model.
        """
        return predict(self.trainer, self.best, x, engine=engine)

    def predict_proba(self, x: Array, *, engine: str = "numpy") -> Array:
        """Return the probability of each class by the best state, (N, K); see `fnloop.predict_proba`.

        Args:
            x: The features, (N, D), as an array, list or frame, or a `Dataset`.
            engine: `"numpy"` (the default) or `"jax"`.

        Raises:
            NoBestError: If there is no best state.
            TypeError: If the loss has no probabilities.
            ValueError: If x does not match the model.
        """
        return predict_proba(self.trainer, self.best, x, engine=engine)

    def evaluate(self, data: Dataset, *, engine: str = "numpy") -> dict[str, float]:
        """Return the loss and the metrics of the best state on a dataset; see `fnloop.evaluate`.

        Args:
            data: The dataset.
            engine: `"numpy"` (the default) or `"jax"`.

        Raises:
            NoBestError: If there is no best state.
            ValueError: If the data does not match the model and the loss.
        """
        return evaluate(self.trainer, self.best, data, engine=engine)

    def plot(self) -> "Figure":
        """Return the figure of the run, as `fnloop.plots.training` draws it.

        Raises:
            ValueError: If no epoch was finished.
        """
        from fnloop.plots import training

        return training(self)

    def __repr__(self) -> str:
        return one_line("Fit", self._facts())

    def _repr_html_(self) -> str:
        return html_table("Fit", self._rows())

    def _facts(self) -> dict[str, str]:
        facts = {"epochs": f"{self.last.epoch}", "stop_reason": repr(self.stop_reason)}
        if self.best_state is None:
            return {**facts, "best": "none"}
        value = self.best_state.metrics[self.monitor]
        return {**facts, "best": f"epoch {self.best_state.epoch}", self.monitor: f"{value:.4g}"}

    def summary(self) -> str:
        """Return a summary in a few lines: epochs, time, why the run ended, learning rate, best value of each metric."""
        return "\n".join(f"{name:20} {value}" for name, value in self._rows().items())

    def _rows(self) -> dict[str, str]:
        seconds = self.metrics.get("seconds", ())
        rows = {
            "epochs": f"{self.last.epoch}",
            "total time": f"{sum(seconds):.2f} s",
            "mean epoch time": f"{sum(seconds) / max(1, len(seconds)):.4f} s",
            "ended": self.stop_reason if self.last.stopped is None else str(self.last.stopped),
            "final learning rate": f"{self.last.lr:.4g}",
        }
        skipped = self.last.step - self.last.updates
        if skipped:
            rows["updates skipped"] = f"{skipped} of {self.last.step}: not finite"
        for name, values in self.metrics.items():
            if name not in {"lr", "seconds"} and values:
                mode = self.trainer.known_mode(name)
                label = f"last {name}" if mode is None else f"best {name}"
                rows[label] = _best_value(mode, values, self.last.epoch - len(values) + 1)
        if self.record_failure is not None:
            rows["recording"] = self.record_failure
        return rows


def _best_value(mode: Mode | None, values: Sequence[float], first_epoch: int) -> str:
    """The best of the values and its epoch; the last value if it is unknown which are better."""
    valid = [value for value in values if not math.isnan(value)]
    if not valid:
        return "none, it was NaN in every epoch"
    value = values[-1] if mode is None else min(valid) if mode == "min" else max(valid)
    epoch = first_epoch + (len(values) - 1 if mode is None else values.index(value))
    bad = len(values) - sum(map(math.isfinite, values))
    return f"{value:.4f} (epoch {epoch}{f'; not finite in {bad} of {len(values)} epochs' if bad else ''})"
