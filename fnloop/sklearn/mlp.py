"""The core of `MLPClassifier` and `MLPRegressor`: how they are fitted."""

from abc import abstractmethod
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, is_regressor
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, validate_data

from fnloop.core.arrays import Array
from fnloop.nn import Sequential
from fnloop.sklearn.mlp_fit import fit_lbfgs, fit_once, fit_stochastic, make_settings
from fnloop.sklearn.mlp_parameters import check_batch_size, choose_dtype, hidden_sizes
from fnloop.sklearn.mlp_rows import Rows
from fnloop.sklearn.network import initial_arrays, make_network
from fnloop.sklearn.perceptron import Progress


class MultilayerPerceptron(BaseEstimator):  # type: ignore[misc]
    """How a multilayer perceptron is fitted.

    A subclass encodes targets. It is also a subclass of scikit-learn's estimator, whose parameters and predictions it has.
    """

    loss: str
    n_outputs_: int
    out_activation_: str
    loss_curve_: list[float]
    _progress: Progress | None = None

    @abstractmethod
    def _encode(self, y: Any, incremental: bool) -> Array:
        """Return the targets as the loss takes them, and set the number of outputs and their activation."""

    @abstractmethod
    def _validation_score(self, outputs: Array, y: Array, weights: Array | None) -> float:
        """Return the score by which early stopping selects, from the outputs before the last activation."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train until the loss or the validation score no longer improves, or for `max_iter` iterations.

        Args:
            X: The features, (N, D): an array, a frame, or a sparse matrix.
            y: The targets, (N,), or (N, K) for several outputs or labels.
            sample_weight: The weight of each row, (N,), at least 0. Default: None, which weighs all alike.

        Raises:
            TypeError: If a parameter or the data is of the wrong type.
            ValueError: If a parameter or the data is invalid, or training diverges.
        """
        return self._fit(X, y, sample_weight, incremental=False)

    def _fit(self, X: Any, y: Any, sample_weight: Any, *, incremental: bool) -> Self:
        self._validate_params()
        hidden = hidden_sizes(self.hidden_layer_sizes)
        starts = not hasattr(self, "coefs_") or not (self.warm_start or incremental)
        X, y = validate_data(
            self,
            X,
            y,
            accept_sparse=["csr", "csc"],
            multi_output=True,
            y_numeric=is_regressor(self),
            dtype=(np.float64, np.float32),
            reset=starts,
        )
        targets = self._encode(y, incremental)
        weights = None if sample_weight is None else _check_sample_weight(sample_weight, X, ensure_non_negative=True)
        if weights is not None and not weights.any():
            raise ValueError(f"sample_weight must be above 0 for at least one row, got {len(weights)} zeros")
        rows = Rows(X, targets, weights)
        sizes = [X.shape[1], *hidden, self.n_outputs_]
        random_state = check_random_state(self.random_state)
        alpha = float(self.alpha if weights is None else self.alpha / weights.mean())
        network = make_network(sizes, self.activation, alpha)
        if starts:
            self.n_layers_, self.t_, self._progress = len(sizes), 0, None
            batches = 1 if self.solver == "lbfgs" else -(-len(rows) // check_batch_size(self.batch_size, len(rows)))
            self._dtype = choose_dtype(X, targets, batches)
            arrays = initial_arrays(sizes, self.activation, random_state)
            self.coefs_, self.intercepts_ = ([a.astype(X.dtype) for a in kind] for kind in arrays)
        self._check_shapes(network)
        if self.solver != "lbfgs" and (starts or not hasattr(self, "loss_curve_")):
            self.loss_curve_ = []
            self.best_loss_ = self.validation_scores_ = self.best_validation_score_ = None
        if self.solver == "lbfgs":
            fit_lbfgs(self, network, rows, alpha)
            return self
        settings = make_settings(self, network, self._dtype, alpha)
        if incremental:
            self._progress = fit_once(self, settings, rows, random_state, self._progress)
        else:
            self._progress = fit_stochastic(self, settings, rows, random_state, self._progress, self._validation_score)
        return self

    def _check_shapes(self, network: Sequential) -> None:
        """Check that the weights so far are those of the network."""
        shapes = [array.shape for pair in zip(self.coefs_, self.intercepts_, strict=True) for array in pair]
        if shapes != list(network.shapes):
            raise ValueError(
                f"hidden_layer_sizes={self.hidden_layer_sizes} and the data must fit the weights to continue from, of shapes "
                f"{[weights.shape for weights in self.coefs_]}; fit anew with warm_start=False"
            )


def can_fit_partially(mlp: Any) -> bool:
    """Return whether the estimator has `partial_fit`.

    Raises:
        AttributeError: If it does not.
    """
    if mlp.solver == "lbfgs":
        raise AttributeError("partial_fit is only available for stochastic optimizers. lbfgs is not stochastic.")
    return True
