"""`MLPRegressor`: a multilayer perceptron for regression, drop-in for scikit-learn's."""

from typing import Any, Self

import numpy as np
from sklearn import neural_network
from sklearn.metrics import r2_score
from sklearn.utils import column_or_1d
from sklearn.utils.metaestimators import available_if

from fnloop.core.arrays import Array
from fnloop.sklearn.mlp import MultilayerPerceptron, can_fit_partially


class MLPRegressor(MultilayerPerceptron, neural_network.MLPRegressor):  # type: ignore[misc]
    """A multilayer perceptron for regression, with the parameters and attributes of scikit-learn's `MLPRegressor`.

    First weights, batches, solvers and the rule to stop are those of scikit-learn: with the same integer `random_state` it
    becomes the same network, up to rounding, in a half to a third of the time.

    Features in float64 are trained on in float32, the larger part of the gain on large networks, unless all rows are one
    batch, the solver is `"lbfgs"`, or a column's values are further from zero than 10,000 times their range. Weights and
    predictions have the dtype of the features.

    Args:
        loss: `"squared_error"`, of which half is minimized, or `"poisson"`, half of the Poisson deviance, for targets of at
            least 0, with an exponential function after the last layer. Default: `"squared_error"`.
        hidden_layer_sizes: The width of each hidden layer: numbers, or one number. Default: (100,).
        activation: The activation of the hidden layers: `"identity"`, `"logistic"`, `"tanh"` or `"relu"`. Default: `"relu"`.
        solver: `"adam"`, `"sgd"`, or `"lbfgs"`, which uses all rows at once. Default: `"adam"`.
        alpha: The loss of a batch of n rows has the penalty alpha / (2 n) times the sum of the squared weights; at least 0.
            With sample weights, n is their sum; in a batch, their mean over all rows times its rows. Default: 0.0001.
        batch_size: The number of rows in a batch; `"auto"`, the default, is `min(200, n_samples)`.
        learning_rate: `"constant"`; `"invscaling"`, which divides the rate by `t_ ** power_t`; or `"adaptive"`, which divides
            it by 5 where training would stop, down to 1e-6. Only for `"sgd"`. Default: `"constant"`.
        learning_rate_init: The first learning rate, above 0. Default: 0.001.
        power_t: The exponent of `"invscaling"`, at least 0. Default: 0.5.
        max_iter: The largest number of iterations, each over all rows. Default: 200.
        shuffle: Whether the rows are shuffled in each iteration. Default: True.
        random_state: A seed or a `RandomState`, for the first weights, the validation set and the order of the rows. Default:
            None, the generator of `numpy.random`, as everywhere in scikit-learn.
        tol: The smallest improvement of the loss, or of the validation score, that counts. Default: 1e-4.
        verbose: Whether to print the loss of each iteration. Default: False.
        warm_start: Whether `fit` starts from the weights of the fit before. Default: False.
        momentum: The momentum of `"sgd"`, in [0, 1]. Default: 0.9.
        nesterovs_momentum: Whether it is Nesterov's. Default: True.
        early_stopping: Whether training stops by the score on a validation set, whose best weights are kept. Default: False.
        validation_fraction: The fraction of the rows in the validation set, in [0, 1). Default: 0.1.
        beta_1: Adam's decay rate of the first moment, in [0, 1). Default: 0.9.
        beta_2: Adam's decay rate of the second moment, in [0, 1). Default: 0.999.
        epsilon: Added to the denominator of Adam; above 0. Default: 1e-8.
        n_iter_no_change: Training stops after more than so many iterations in a row without an improvement. Default: 10.
        max_fun: The largest number of evaluations of the loss by `"lbfgs"`. Default: 15000.

    Fitted attributes: `coefs_` and `intercepts_`, one array for each layer; `loss_`, `loss_curve_`, `best_loss_` (None with
    early stopping); `validation_scores_` and `best_validation_score_` (None without); `n_iter_`, `t_` (rows seen),
    `n_layers_`, `n_outputs_`, `out_activation_`, `n_features_in_` and, for frames, `feature_names_in_`.

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
        if self.loss == "poisson" and (y < 0).any():
            raise ValueError(f"y must be at least 0 for loss='poisson', got {y.min()}")
        self.n_outputs_ = 1 if y.ndim == 1 else y.shape[1]
        self.out_activation_ = "exp" if self.loss == "poisson" else "identity"
        return np.asarray(y)

    @property
    def _loss_divisor(self) -> float:
        """The sum of squares over outputs is followed, as in scikit-learn, but their mean is reported."""
        return float(self.n_outputs_) if self.loss == "squared_error" else 1.0

    @available_if(can_fit_partially)  # type: ignore[untyped-decorator]
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train for one iteration over the rows of X, from the present weights and the present state of the optimizer.

        Args:
            X: The features, (N, D): an array, a frame, or a sparse matrix.
            y: The targets, (N,), or (N, K) for several outputs.
            sample_weight: The weight of each row, (N,). Default: None, which weighs all alike.

        Raises:
            TypeError: If a parameter or the data is of the wrong type.
            ValueError: If a parameter or the data is invalid, or training diverges.
        """
        return self._fit(X, y, sample_weight, incremental=True)

    def _validation_score(self, outputs: Array, y: Array, weights: Array | None) -> float:
        with np.errstate(over="ignore"):
            predicted = np.exp(outputs) if self.out_activation_ == "exp" else outputs
        return float(r2_score(y, predicted, sample_weight=weights)) if np.isfinite(predicted).all() else np.nan
