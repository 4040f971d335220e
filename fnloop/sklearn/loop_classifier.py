"""`LoopClassifier`: a scikit-learn classifier over any trainer."""

import os
from typing import Any, Self

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils import column_or_1d
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets, type_of_target

from fnloop.core.arrays import Array
from fnloop.core.checks import Task
from fnloop.core.formatting import short
from fnloop.sklearn.docstrings import insert
from fnloop.sklearn.loop import TrainerEstimator
from fnloop.sklearn.loop_docs import ATTRIBUTES, DESCRIPTION, PARAMETERS
from fnloop.sklearn.network import dense


@insert(description=DESCRIPTION, parameters=PARAMETERS, attributes=ATTRIBUTES)
class LoopClassifier(ClassifierMixin, TrainerEstimator):  # type: ignore[misc]
    """A scikit-learn classifier over any trainer.

    {description}

    Args:
        trainer: A `fl.Trainer`, or a function from `(n_features, n_outputs)` to one. Two classes have one output, or two if
            the trainer cannot be made for one; more classes have one each, and so have the labels of an indicator matrix.
            Default: None, that of `fl.recipes.tabular`, on robustly scaled features.
        class_weight: A weight of at least 0 for each class, as a dict, or `"balanced"`. Default: None, which weighs all alike.
        {parameters}

    {attributes}
    `classes_` has the classes, or the numbers of the labels.

    Examples:
        >>> import fnloop as fl
        >>> from sklearn.datasets import load_iris
        >>> x, y = load_iris(return_X_y=True)
        >>> def network(n_features, n_outputs):
        ...     return fl.Trainer(model=fl.mlp([n_features, 16, n_outputs]), loss="cross_entropy", scheduler=0.01)
        >>> classifier = LoopClassifier(network, epochs=20).fit(x, y)
        >>> classifier.state_.epoch <= 20, len(classifier.history_["val_loss"])
        (True, 20)

    See Also:
        `fnloop.fit`, `LoopRegressor`
    """

    def __init__(
        self,
        trainer: Any = None,
        *,
        epochs: int = 100,
        validation_fraction: float = 0.1,
        class_weight: Any = None,
        record: str | os.PathLike[str] | None = None,
        overwrite: bool = False,
        random_state: Any = None,
        warm_start: bool = False,
        verbose: bool | int = False,
        engine: str = "numpy",
    ) -> None:
        super().__init__(
            trainer,
            epochs=epochs,
            validation_fraction=validation_fraction,
            record=record,
            overwrite=overwrite,
            random_state=random_state,
            warm_start=warm_start,
            verbose=verbose,
            engine=engine,
        )
        self.class_weight = class_weight

    classes_: Array
    _given_classes: Array | None

    def _weights(self, y: Array, sample_weight: Array | None) -> Array | None:
        if self.class_weight is None:
            return sample_weight
        weights: Array = compute_sample_weight(self.class_weight, y)
        if not (weights >= 0).all():
            raise ValueError(f"class_weight must be at least 0 for each class, got {short(self.class_weight)}")
        return weights if sample_weight is None else weights * sample_weight

    def _encode(self, y: Any, continues: bool) -> tuple[Array, Task, tuple[int, ...]]:
        check_classification_targets(y)
        if type_of_target(y) == "multilabel-indicator":
            targets = dense(y).astype(np.int64)
            self._set_classes(np.arange(targets.shape[1]), continues)
            self._is_multilabel = True
            return targets, "multilabel", (targets.shape[1],)
        y = column_or_1d(y, warn=True)
        self._set_classes(np.unique(y), continues)
        self._is_multilabel = False
        codes: Array = np.searchsorted(self.classes_, y)
        count = len(self.classes_)
        return codes, "classification", (1, 2) if count == 2 else (count,)

    def _set_classes(self, found: Array, continues: bool) -> None:
        """Set the classes at the start, else check that no class is new."""
        given: Array | None = getattr(self, "_given_classes", None)
        if not continues:
            self.classes_ = found if given is None else given
        elif given is not None and not np.array_equal(given, self.classes_):
            raise ValueError(f"classes must be those of the first fit, {self.classes_}, got {given}")
        unknown = np.setdiff1d(found, self.classes_)
        if len(unknown):
            raise ValueError(f"y must have the classes of the first fit, {self.classes_}, got {unknown}")
        if len(self.classes_) < 2:
            raise ValueError(f"y must have at least 2 classes, got 1 class: {self.classes_}")

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Train for one epoch more on these rows, without validation and early stopping.

        On the same rows, so many calls give the bits of one `fit` with so many epochs and `validation_fraction=0`.

        Args:
            X: The features, (N, D).
            y: The targets, (N,), or (N, K) for several labels.
            classes: All classes of all calls, the same in each. Default: None, those of the first call.
            sample_weight: The weight of each row, (N,), at least 0. Default: None, which weighs all alike.

        Raises:
            EngineError: If the engine is not available, or cannot compute a part of the trainer.
            TypeError: If a parameter or the data is of the wrong type.
            ValueError: If a parameter or the data is invalid, or does not fit the trainer.
        """
        self._given_classes = None if classes is None else np.unique(classes)
        try:
            return self._fit_one_epoch(X, y, sample_weight)
        finally:
            del self._given_classes

    def predict(self, X: Any) -> Array:
        """Return the class of each row, (N,), or whether it has each label, (N, K).

        Args:
            X: The features, (N, D).

        Raises:
            ValueError: If X does not have the features of the training data.
        """
        outputs = self._outputs(X)
        predicted = self.trainer_.loss.predict(outputs)
        return predicted if self._is_multilabel else self.classes_[predicted.astype(np.int64)]

    def predict_proba(self, X: Any) -> Array:
        """Return the probability of each class, (N, K), in the order of `classes_`, or of each label.

        Args:
            X: The features, (N, D).

        Raises:
            TypeError: If the loss of the trainer has no probabilities.
            ValueError: If X does not have the features of the training data.
        """
        outputs = self._outputs(X)
        probabilities: Array = self.trainer_.loss.probabilities(outputs)
        return probabilities

    def decision_function(self, X: Any) -> Array:
        """Return the outputs of the model: (N,) for two classes, positive for the second; else (N, K).

        Args:
            X: The features, (N, D).

        Raises:
            ValueError: If X does not have the features of the training data.
        """
        outputs = self._outputs(X)
        if self._is_multilabel or len(self.classes_) > 2:
            return outputs
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs[:, 1] - outputs[:, 0]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
