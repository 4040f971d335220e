"""`LoopRegressor`: a scikit-learn regressor over any trainer."""

from typing import Any, Self

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils import column_or_1d

from fnloop.core.arrays import Array
from fnloop.core.checks import Task
from fnloop.core.records import evolve
from fnloop.data.dataset import Dataset
from fnloop.sklearn.docstrings import insert
from fnloop.sklearn.loop import TrainerEstimator
from fnloop.sklearn.loop_docs import ATTRIBUTES, DESCRIPTION, PARAMETERS
from fnloop.sklearn.targets import check_numbers


@insert(description=DESCRIPTION, parameters=PARAMETERS, attributes=ATTRIBUTES)
class LoopRegressor(RegressorMixin, TrainerEstimator):  # type: ignore[misc]
    """A scikit-learn regressor over any trainer.

    {description}

    Args:
        trainer: A `fl.Trainer`, or a function from `(n_features, n_outputs)` to one. Default: None, that of
            `fl.recipes.tabular`, on robustly scaled features and targets of mean 0 and deviation 1.
        {parameters}

    {attributes}

    Examples:
        >>> import numpy as np
        >>> import fnloop as fl
        >>> x = np.linspace(-1, 1, 100)[:, None]
        >>> trainer = fl.Trainer(model=fl.mlp([1, 1]), loss="mse", scheduler=0.1)
        >>> LoopRegressor(trainer, epochs=50).fit(x, 2 * x[:, 0]).score(x, 2 * x[:, 0]) > 0.99
        True

    See Also:
        `fnloop.fit`, `LoopClassifier`
    """

    _shift: Any
    _scale: Any

    def _encode(self, y: Any, continues: bool) -> tuple[Array, Task, tuple[int, ...]]:
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        check_numbers(y)
        return np.asarray(y, np.float64), "regression", (1 if y.ndim == 1 else y.shape[1],)

    def _scale_targets(self, data: Dataset, continues: bool) -> Dataset:
        if not continues:
            self._shift, self._scale = mean_and_deviation(data) if self.trainer is None else (0.0, 1.0)
        return evolve(data, y=(data.y - self._shift) / self._scale)

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train for one epoch more on these rows, without validation and early stopping.

        On the same rows, so many calls give the bits of one `fit` with so many epochs and `validation_fraction=0`.

        Args:
            X: The features, (N, D).
            y: The targets, (N,), or (N, K) for several outputs.
            sample_weight: The weight of each row, (N,), at least 0. Default: None, which weighs all alike.

        Raises:
            EngineError: If the engine is not available, or cannot compute a part of the trainer.
            TypeError: If a parameter or the data is of the wrong type.
            ValueError: If a parameter or the data is invalid, or does not fit the trainer.
        """
        return self._fit_one_epoch(X, y, sample_weight)

    def predict(self, X: Any) -> Array:
        """Return the value of each row, (N,), or its values, (N, K).

        Args:
            X: The features, (N, D).

        Raises:
            ValueError: If X does not have the features of the training data.
        """
        outputs = self._outputs(X)
        predicted: Array = self.trainer_.loss.predict(outputs) * self._scale + self._shift
        return predicted


def mean_and_deviation(data: Dataset) -> tuple[Array, Array]:
    """Return the weighted mean and deviation of each target; a deviation of 1 for targets that are all equal."""
    mean = np.average(data.y, axis=0, weights=data.weights)
    deviation = np.sqrt(np.average((data.y - mean) ** 2, axis=0, weights=data.weights))
    return mean, np.where(deviation > 1e-12 * np.abs(mean), deviation, 1.0)
