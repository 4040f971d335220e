"""The contents of a run file that need no replay: settings, data, metrics and the digest of every state."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fnloop.core.checks import Mode
from fnloop.core.display import html_table, one_line
from fnloop.core.errors import RunError
from fnloop.data.dataset import Dataset
from fnloop.data.preprocessing import Preprocessing
from fnloop.runs.reader import Reader
from fnloop.runs.rows import Row
from fnloop.streams.history import append_metrics
from fnloop.training.trainer import Trainer


class RunContents:
    """The contents of a run file, read again at each access.

    Args:
        reader: The reader of the file.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def __repr__(self) -> str:
        shown = {"path", "epochs", "loss", "val_loss", "stop_reason"}
        return one_line("Run", {name: fact for name, fact in self._facts().items() if name in shown})

    def _repr_html_(self) -> str:
        return html_table("Run", self._facts())

    def _facts(self) -> dict[str, str]:
        """Return path, epochs, the metrics of the last epoch and the stop reason; a repr raises no error."""
        path = {"path": repr(str(self._reader.path))}
        try:
            rows = self._reader.rows()
        except (OSError, RunError):
            return {**path, "epochs": "unknown, it cannot be read"}
        metrics = next((row.metrics for row in reversed(rows) if row.metrics), {})
        stopped = {} if rows[-1].stopped is None else {"stop_reason": repr(rows[-1].stopped)}
        return {
            **path,
            "epochs": f"{rows[0].epoch} to {rows[-1].epoch}",
            **{name: f"{value:.4g}" for name, value in metrics.items()},
            **stopped,
        }

    @property
    def path(self) -> Path:
        """The run file."""
        return self._reader.path

    @property
    def trainer(self) -> Trainer | None:
        """The trainer, or None for a custom step; a RunError if it contains functions and `open_run` was not given it."""
        return self._reader.trainer

    @property
    def train(self) -> Dataset:
        """The training data; a RunError if the file has only its digest and `open_run` was not given it."""
        return self._reader.train

    @property
    def validation(self) -> Dataset | None:
        """The validation data, or None if there was none; a RunError as for `train`."""
        return self._reader.validation

    @property
    def preprocessing(self) -> Preprocessing | None:
        """The preprocessing that made the data from a table, if it was recorded."""
        return self._reader.preprocessing

    @property
    def engine(self) -> str:
        """The engine of the run, such as `"numpy"`."""
        return self._reader.manifest.engine

    @property
    def monitor(self) -> tuple[str, Mode] | None:
        """The metric that the best state is chosen by, and its mode; None for a custom step."""
        return self._reader.manifest.monitor

    @property
    def environment(self) -> Mapping[str, str]:
        """The versions, hardware and BLAS threads of the recording, on which the bits depend."""
        return self._reader.environment

    @property
    def parent(self) -> Mapping[str, Any] | None:
        """For a fork: the path, epoch and digest of the state it starts from, and the changes; else None."""
        parent = self._reader.manifest.parent
        return None if parent is None else parent._asdict()

    @property
    def rows(self) -> Sequence[Row]:
        """The recorded row of each state: epoch, step, seconds, stop reason, metrics and digest."""
        return self._reader.rows()

    @property
    def history(self) -> dict[str, list[float]]:
        """The values of each metric and the seconds, one for each epoch, by name."""
        history: dict[str, list[float]] = {}
        for row in self._reader.rows():
            if row.metrics:
                append_metrics(history, {**row.metrics, "seconds": row.seconds})
        return history

    @property
    def stop_reason(self) -> str | None:
        """Why the run stopped, or None if it can be resumed."""
        return self._reader.rows()[-1].stopped

    @property
    def ended(self) -> str | None:
        """When the recording ended, in ISO format; None until then, or if it was interrupted, as by a kill."""
        return self._reader.ended

    @property
    def snapshots(self) -> list[int]:
        """The epochs whose states are stored as snapshots."""
        rows = self._reader.rows()
        return [rows[position].epoch for position in self._reader.snapshots() if position < len(rows)]
