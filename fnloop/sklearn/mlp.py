"""The core of `MLPClassifier` and `MLPRegressor`: scikit-learn's parameters and attributes."""

from abc import abstractmethod
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, is_regressor
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from fnloop.core.arrays import Array
from fnloop.nn import Sequential
from fnloop.sklearn.mlp_fit import fit_lbfgs, fit_stochastic
from fnloop.sklearn.mlp_parameters import CONSTRAINTS, check_batch_size, choose_dtype, hidden_sizes
from fnloop.sklearn.mlp_rows import Rows
from fnloop.sklearn.network import initial_arrays, make_network, network_outputs


class MultilayerPerceptron(BaseEstimator):  # type: ignore[misc]
    """The parameters of a multilayer perceptron, and how it is fitted; a subclass encodes targets and predicts."""

    _parameter_constraints = CONSTRAINTS
    loss: str
    n_outputs_: int
    out_activation_: str
    loss_curve_: list[float]

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: str = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool | int = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun

    @abstractmethod
    def _encode(self, y: Any, incremental: bool) -> Array:
        """Return the targets as the loss takes them, and set the number of outputs and their activation."""

    @abstractmethod
    def _validation_score(self, outputs: Array, y: Array, weights: Array | None) -> float:
        """Return the score by which early stopping selects."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train until the loss or the validation score no longer improves, or for `max_iter` iterations.

        Args:
            X: The features, (N, D): an array, a frame, or a sparse matrix.
            y: The targets, (N,), or (N, K) for several outputs or labels.
            sample_weight: The weight of each row, (N,). Default: None, which weighs all alike.

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
        rows = Rows(X, targets, weights)
        sizes = [X.shape[1], *hidden, self.n_outputs_]
        self._random_state = check_random_state(self.random_state)
        self._alpha = float(self.alpha if weights is None else self.alpha / weights.mean())
        network = make_network(sizes, self.activation, self._alpha)
        if starts:
            self.n_layers_, self.t_, self.loss_curve_, self._waits = len(sizes), 0, [], 0
            self.best_loss_ = self.validation_scores_ = self.best_validation_score_ = None
            batches = 1 if self.solver == "lbfgs" else -(-len(rows) // check_batch_size(self.batch_size, len(rows)))
            self._dtype = choose_dtype(X, batches)
            arrays = initial_arrays(sizes, self.activation, self._random_state)
            self.coefs_, self.intercepts_ = ([a.astype(X.dtype) for a in kind] for kind in arrays)
        self._check_shapes(network)
        self._activation = self.activation
        if self.solver == "lbfgs":
            fit_lbfgs(self, network, rows)
        else:
            fit_stochastic(self, network, rows, incremental=incremental)
        return self

    def _check_shapes(self, network: Sequential) -> None:
        """Check that the weights so far are those of the network."""
        shapes = [array.shape for pair in zip(self.coefs_, self.intercepts_, strict=True) for array in pair]
        if shapes != list(network.shapes):
            raise ValueError(
                f"hidden_layer_sizes={self.hidden_layer_sizes} and the data must fit the weights to continue from, of shapes "
                f"{[weights.shape for weights in self.coefs_]}; fit anew with warm_start=False"
            )

    def _outputs(self, X: Any) -> Array:
        """Return the outputs before the last activation for each row of X."""
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse=["csr", "csc"], dtype=(np.float64, np.float32), reset=False)
        sizes = [len(self.coefs_[0]), *(len(biases) for biases in self.intercepts_)]
        network = make_network(sizes, self._activation, 0.0)
        return network_outputs(network, self.coefs_, self.intercepts_, X.tocsr() if hasattr(X, "tocsr") else X)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def can_fit_partially(mlp: Any) -> bool:
    """Return whether the estimator has `partial_fit`.

    Raises:
        AttributeError: If it does not.
    """
    if mlp.solver == "lbfgs":
        raise AttributeError("partial_fit is only available for stochastic optimizers. lbfgs is not stochastic.")
    return True
