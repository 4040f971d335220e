"""`MLPClassifier`: a multilayer perceptron for classification, drop-in for scikit-learn's."""

from typing import Any, Self

import numpy as np
from sklearn import neural_network
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import column_or_1d
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call, type_of_target, unique_labels

from fnloop.core.arrays import Array
from fnloop.sklearn.docstrings import insert
from fnloop.sklearn.mlp import MultilayerPerceptron, can_fit_partially
from fnloop.sklearn.mlp_docs import ATTRIBUTES, DESCRIPTION, PARAMETERS


@insert(description=DESCRIPTION, parameters=PARAMETERS, attributes=ATTRIBUTES)
class MLPClassifier(MultilayerPerceptron, neural_network.MLPClassifier):  # type: ignore[misc]
    """A multilayer perceptron for classification, with the parameters and attributes of scikit-learn's `MLPClassifier`.

    {description}

    A target of two classes has one output, whose logistic function is the probability of the second; more classes have a
    softmax; an indicator matrix of labels has a logistic function for each label.

    Args:
        {parameters}

    {attributes}
    `classes_` has the classes, or the numbers of the labels.

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
        targets: Array = self._label_binarizer.transform(y)
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
            sample_weight: The weight of each row, (N,), at least 0. Default: None, which weighs all alike.
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
