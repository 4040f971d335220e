"""`MLPRegressor`: a multilayer perceptron for regression, drop-in for scikit-learn's."""

from typing import Any, Self

import numpy as np
from sklearn import neural_network
from sklearn.metrics import r2_score
from sklearn.utils import column_or_1d
from sklearn.utils.metaestimators import available_if

from fnloop.core.arrays import Array
from fnloop.sklearn.docstrings import insert
from fnloop.sklearn.mlp import MultilayerPerceptron, can_fit_partially
from fnloop.sklearn.mlp_docs import ATTRIBUTES, DESCRIPTION, PARAMETERS
from fnloop.sklearn.targets import check_numbers


@insert(description=DESCRIPTION, parameters=PARAMETERS, attributes=ATTRIBUTES)
class MLPRegressor(MultilayerPerceptron, neural_network.MLPRegressor):  # type: ignore[misc]
    """A multilayer perceptron for regression, with the parameters and attributes of scikit-learn's `MLPRegressor`.

    {description}

    Args:
        loss: `"squared_error"`, of which half is minimized, or `"poisson"`, half of the Poisson deviance, for targets of at
            least 0, with an exponential function after the last layer. Default: `"squared_error"`.
        {parameters}

    {attributes}

    Raises:
        ConvergenceWarning: If `max_iter` iterations were not enough; from `fit`.

    Examples:
        >>> import numpy as np
        >>> x = np.linspace(-1, 1, 50)[:, None]
        >>> y = x[:, 0] ** 2
        >>> MLPRegressor(hidden_layer_sizes=(20,), solver="lbfgs", random_state=0).fit(x, y).score(x, y) > 0.95
        True

    See Also:
        `LoopRegressor`
    """

    def _encode(self, y: Any, incremental: bool) -> Array:
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        check_numbers(y)
        if self.loss == "poisson" and (y < 0).any():
            raise ValueError(f"y must be at least 0 for loss='poisson', got {y.min()}")
        self.n_outputs_ = 1 if y.ndim == 1 else y.shape[1]
        self.out_activation_ = "exp" if self.loss == "poisson" else "identity"
        return np.asarray(y)

    @available_if(can_fit_partially)  # type: ignore[untyped-decorator]
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train for one iteration over the rows of X, from the present weights and the present state of the optimizer.

        Args:
            X: The features, (N, D): an array, a frame, or a sparse matrix.
            y: The targets, (N,), or (N, K) for several outputs.
            sample_weight: The weight of each row, (N,), at least 0. Default: None, which weighs all alike.

        Raises:
            TypeError: If a parameter or the data is of the wrong type.
            ValueError: If a parameter or the data is invalid, or training diverges.
        """
        return self._fit(X, y, sample_weight, incremental=True)

    def _validation_score(self, outputs: Array, y: Array, weights: Array | None) -> float:
        with np.errstate(over="ignore"):
            predicted = np.exp(outputs) if self.out_activation_ == "exp" else outputs
        return float(r2_score(y, predicted, sample_weight=weights)) if np.isfinite(predicted).all() else np.nan
