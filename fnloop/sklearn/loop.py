"""The core of `LoopClassifier` and `LoopRegressor`: `fnloop.fit` on arrays."""

import os
import warnings
from abc import abstractmethod
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, is_regressor
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from fnloop.core.arrays import Array
from fnloop.core.checks import Task, boolean, real
from fnloop.core.digest import digest
from fnloop.core.formatting import short
from fnloop.core.records import evolve
from fnloop.data.dataset import Dataset
from fnloop.fitting import Fit
from fnloop.fitting import fit as fit_trainer
from fnloop.runs.run import Run, open_run
from fnloop.sklearn.loop_data import make_dataset, split_off
from fnloop.sklearn.loop_scaling import RobustScaling, fit_scaling
from fnloop.sklearn.loop_trainer import choose_seed, choose_trainer, in_double
from fnloop.streams.select import update_best
from fnloop.training.evaluation import outputs
from fnloop.training.state import TrainState
from fnloop.training.trainer import Trainer

DTYPES = (np.float64, np.float32)


class TrainerEstimator(BaseEstimator):  # type: ignore[misc]
    """How an estimator fits a trainer; a subclass encodes targets and predicts."""

    state_: TrainState
    trainer_: Trainer
    history_: dict[str, list[float]]
    _last: TrainState
    _validated: str | None
    _run_path: str | None
    _feature_scaling: RobustScaling | None

    def __init__(
        self,
        trainer: Any = None,
        *,
        epochs: int = 100,
        validation_fraction: float = 0.1,
        record: str | os.PathLike[str] | None = None,
        overwrite: bool = False,
        random_state: Any = None,
        warm_start: bool = False,
        verbose: bool | int = False,
        engine: str = "numpy",
    ) -> None:
        self.trainer = trainer
        self.epochs = epochs
        self.validation_fraction = validation_fraction
        self.record = record
        self.overwrite = overwrite
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose
        self.engine = engine

    @abstractmethod
    def _encode(self, y: Array, continues: bool) -> tuple[Array, Task, tuple[int, ...]]:
        """Return the targets as the loss takes them, the task, and the numbers of outputs that fit."""

    def _weights(self, y: Array, sample_weight: Array | None) -> Array | None:
        """Return the weight of each row."""
        return sample_weight

    def _scale_targets(self, data: Dataset, continues: bool) -> Dataset:
        """Return the data with the targets that the trainer sees."""
        return data

    def _scale_features(self, data: Dataset, continues: bool) -> Dataset:
        """Return the data with the features that the trainer sees."""
        if not continues:
            self._feature_scaling = fit_scaling(data.x) if self.trainer is None else None
        return data if self._feature_scaling is None else evolve(data, x=self._feature_scaling(data.x))

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train for `epochs` epochs, or until early stopping ends the run.

        Args:
            X: The features, (N, D).
            y: The targets, (N,), or (N, K) for several outputs or labels.
            sample_weight: The weight of each row, (N,), at least 0. Default: None, which weighs all alike.

        Raises:
            EngineError: If the engine is not available, or cannot compute a part of the trainer.
            NoBestError: If the first epoch was not finite.
            RunError: If the run file cannot be created, or there is one already and `overwrite` is False.
            TypeError: If a parameter or the data is of the wrong type.
            ValueError: If a parameter or the data is invalid, or does not fit the trainer.
        """
        fraction = real("[0, 1)")("validation_fraction", self.validation_fraction)
        if not isinstance(self.record, str | os.PathLike | None):
            raise TypeError(f"record must be the path of a run file, or None, got {short(self.record)}")
        continues = boolean("warm_start", self.warm_start) and hasattr(self, "state_")
        data, task, counts = self._read(X, y, sample_weight, continues)
        trainer = self._choose(data, counts, task, continues)
        train, validation = split_off(data, fraction, task == "classification", trainer.seed) if fraction else (data, None)
        result = fit_trainer(
            trainer,
            train,
            validation,
            epochs=self.epochs,
            start=self._last if continues else None,
            engine=self.engine,
            record=self.record,
            overwrite=self.overwrite,
            progress=self.verbose,
        )
        if continues and result.last.epoch == self._last.epoch:
            warnings.warn(_nothing_trained(self.epochs, self._last.epoch, result.stop_reason), stacklevel=2)
            return self
        validated = None if validation is None else digest(validation)
        self._keep(result, continues, validated)
        self._run_path = None if self.record is None else os.path.abspath(os.fspath(self.record))
        return self

    def _fit_one_epoch(self, X: Any, y: Any, sample_weight: Any) -> Self:
        """Train for one epoch more, without validation, early stopping and recording."""
        continues = hasattr(self, "state_")
        data, task, counts = self._read(X, y, sample_weight, continues)
        trainer = self._choose(data, counts, task, continues).replace(early_stopping=None)
        start = self._last if continues else None
        epochs = 1 if start is None else start.epoch + 1
        result = fit_trainer(trainer, data, epochs=epochs, start=start, engine=self.engine, progress=False)
        self._keep(result, continues, None)
        return self

    def _read(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        continues: bool,
    ) -> tuple[Dataset, Task, tuple[int, ...]]:
        X, y = validate_data(self, X, y, multi_output=True, y_numeric=is_regressor(self), dtype=DTYPES, reset=not continues)
        weights = None if sample_weight is None else _check_sample_weight(sample_weight, X, ensure_non_negative=True)
        weights = self._weights(y, weights)
        targets, task, counts = self._encode(y, continues)
        columns = getattr(self, "feature_names_in_", ())
        data = make_dataset(X, targets, weights, columns, max(2, counts[0]) if task == "classification" else 0)
        return self._scale_targets(self._scale_features(data, continues), continues), task, counts

    def _choose(self, data: Dataset, counts: tuple[int, ...], task: Task, continues: bool) -> Trainer:
        trainer = choose_trainer(self.trainer, data, counts, task, self.epochs)
        if not continues:
            return trainer.replace(seed=choose_seed(self.random_state, trainer.seed))
        model = self.trainer_.model if self.trainer is None else trainer.model  # the default depends on the number of rows
        return trainer.replace(seed=self.trainer_.seed, model=model)

    def _keep(self, result: Fit, continues: bool, validated: str | None) -> None:
        """Keep the result as fitted attributes; `validated` is the digest of the validation set, or None."""
        history = result.history
        if continues:
            history = {name: self.history_.get(name, []) + values for name, values in history.items()}
        best_so_far = self.state_ if continues and validated == self._validated else None
        self.state_ = result.last if validated is None else _better(best_so_far, result)
        self.trainer_, self.history_, self._last = result.trainer, history, result.last
        self.stop_reason_, self._validated = result.stop_reason, validated

    @property
    def run_(self) -> Run:
        """The recorded run, opened to read.

        Raises:
            AttributeError: If the fit was not recorded.
        """
        path: str | None = getattr(self, "_run_path", None)
        if path is None:
            raise AttributeError(f"{type(self).__name__} has no run_: fit it with record='path.run'")
        return open_run(path)

    def _outputs(self, X: Any) -> Array:
        """Return the outputs of the model for each row, (N, K), float64."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=DTYPES, reset=False)
        seen = X if self._feature_scaling is None else self._feature_scaling(X)
        return outputs(*in_double(self.trainer_, self.state_), seen)


def _nothing_trained(epochs: int, done: int, stop_reason: str) -> str:
    """Return the text of the warning that a warm start had no epoch to train."""
    if epochs <= done:
        return f"no epoch was trained: epochs={epochs} counts those of the fits before, which were {done} (warm_start=True)"
    return f"no epoch was trained: the run had ended after {done} ({stop_reason}); fit anew with warm_start=False"


def _better(before: TrainState | None, result: Fit) -> TrainState:
    """Return the best state of a fit, or the one before if that is better."""
    if before is None or result.monitor not in before.metrics:
        return result.best
    return update_best(before, result.best, result.monitor, result.trainer.mode_of(result.monitor)) or before
