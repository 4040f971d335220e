"""`MLPClassifier`: a multilayer perceptron for classification, drop-in for scikit-learn's."""

from typing import Any, Self

import numpy as np
from sklearn import neural_network
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import column_or_1d
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call, type_of_target, unique_labels

from fnloop.core.arrays import Array
from fnloop.sklearn.mlp import MultilayerPerceptron, can_fit_partially


class MLPClassifier(MultilayerPerceptron, neural_network.MLPClassifier):  # type: ignore[misc]
    """A multilayer perceptron for classification, with the parameters and attributes of scikit-learn's `MLPClassifier`.

    First weights, batches, solvers and the rule to stop are those of scikit-learn: with the same integer `random_state` it
    becomes the same network, up to rounding, in a half to a third of the time.

    Features in float64 are trained on in float32, the larger part of the gain on large networks, unless all rows are one
    batch, the solver is `"lbfgs"`, or a column's values are further from zero than 10,000 times their range. Weights and
    predictions have the dtype of the features.

    A target of two classes has one output, whose logistic function is the probability of the second; more classes have a
    softmax; an indicator matrix of labels has a logistic function for each label.

    Args:
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
    `n_layers_`, `n_outputs_`, `out_activation_`, `classes_`, `n_features_in_` and, for frames, `feature_names_in_`.

    Raises:
        ConvergenceWarning: If `max_iter` iterations were not enough; from `fit`.

    Examples:
        >>> from sklearn.datasets import load_iris
        >>> x, y = load_iris(return_X_y=True)
        >>> MLPClassifier((20,), solver="lbfgs", random_state=0).fit(x, y).score(x, y) > 0.95
        True

    See Also:
        `LoopClassifier`
    """

    _loss_divisor = 1.0

    def _encode(self, y: Any, incremental: bool) -> Array:
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if not hasattr(self, "classes_") or not (self.warm_start or incremental):
            self._label_binarizer = LabelBinarizer().fit(y)
            self.classes_ = self._label_binarizer.classes_
        else:
            self._check_classes(unique_labels(y))
        if self._label_binarizer.y_type_ == "multiclass":
            self.n_outputs_, self.out_activation_ = len(self.classes_), "softmax"
            codes: Array = np.searchsorted(self.classes_, y)
            return codes
        targets = self._label_binarizer.transform(y)
        targets = np.asarray(targets.toarray() if hasattr(targets, "toarray") else targets)
        self.n_outputs_, self.out_activation_ = targets.shape[1], "logistic"
        return targets

    def _check_classes(self, classes: Array) -> None:
        """Check that later targets have the classes of the first."""
        if self.warm_start and set(classes) != set(self.classes_):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the previous call to fit. Previously got "
                f"{self.classes_}, `y` has {classes}"
            )
        if len(np.setdiff1d(classes, self.classes_, assume_unique=True)):
            raise ValueError(
                f"`y` has classes not in `self.classes_`. `self.classes_` has {self.classes_}. 'y' has {classes}."
            )

    @available_if(can_fit_partially)  # type: ignore[untyped-decorator]
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Self:
        """Train for one iteration over the rows of X, from the present weights and the present state of the optimizer.

        Args:
            X: The features, (N, D): an array, a frame, or a sparse matrix.
            y: The targets, (N,), or (N, K) for several labels.
            sample_weight: The weight of each row, (N,). Default: None, which weighs all alike.
            classes: All classes of all calls; needed in the first call.

        Raises:
            TypeError: If a parameter or the data is of the wrong type.
            ValueError: If a parameter or the data is invalid, or training diverges.
        """
        if _check_partial_fit_first_call(self, classes):
            known = y if type_of_target(y).startswith("multilabel") else classes
            self._label_binarizer = LabelBinarizer().fit(known)
        return self._fit(X, y, sample_weight, incremental=True)

    def _validation_score(self, outputs: Array, y: Array, weights: Array | None) -> float:
        predicted = outputs.argmax(1) if self.out_activation_ == "softmax" else outputs > 0
        is_right = predicted == y if predicted.ndim == 1 else (predicted == y).all(axis=1)
        return float(np.average(is_right, weights=weights))
